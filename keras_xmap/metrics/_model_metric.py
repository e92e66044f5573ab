"""What the metrics share that ask the model about a map."""

import abc
import inspect
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._checks import check_layer
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import as_array
from keras_xmap._numeric import as_tensor
from keras_xmap._repr import call_repr
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.metrics._asked import Asked
from keras_xmap.metrics._image_mean import ImageMean
from keras_xmap.metrics._image_mean import weights_of


class ModelMetric(ImageMean, abc.ABC):
    """Mean over images of what the model itself says of their maps.

    A subclass is its formula: `_answers`, what the model says to changed
    copies of an image, computed in one compiled step, and `_image_scores`,
    the number made of that. Targets, units, several inputs and the score
    before a softmax are those of the explainers.

    Args:
        model: See `Explainer`. It is only called.
        input_name: Name or number of the input that is changed, in a model
            with several.
        score: `"output"` or `"logits"`, see `Explainer`.
        batch_size: Integer: images in one forward pass.
        name: String.
        dtype: Dtype of the sums.
    """

    def __init__(self, model, input_name, score, batch_size, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.model = check_layer("model", model)
        self.input_name = input_name
        self.score = check_one_of("score", score, ("logits", "output"))
        self.batch_size = check_positive_integer("batch_size", batch_size)
        self.score_used = None
        self._runner = engine.Runner(model, self._compute, self._note)

    def update_state(
        self,
        inputs: Structure,
        maps: Structure,
        target: object = None,
        sample_weight: object = None,
    ) -> None:
        """Adds images and their maps to the mean.

        Args:
            inputs: See `image_scores`.
            maps: See `image_scores`.
            target: See `image_scores`.
            sample_weight: `None` or weights `(batch,)`. Defaults to `None`.
        """
        scores = ops.convert_to_tensor(self.image_scores(inputs, maps, target))
        self._add(scores, weights_of(sample_weight, scores))

    def image_scores(
        self, inputs: Structure, maps: Structure, target: object = None
    ) -> Tensor:
        """Returns the value of each image, and leaves the mean as it is.

        Args:
            inputs: Array or tensor `(batch, ...)`, or the structure of them
                that the model takes.
            maps: Maps `(batch, height, width)`, finite, on the pixels of the
                input, as explainers return them; `(batch, *positions)`
                for other inputs.
            target: What the maps explain, see `keras_xmap.targets`: the
                target they were made for. Defaults to `None`: the class with
                the highest score of the unchanged image.

        Returns:
            Float32 array `(batch,)`; a tensor inside of a compiled function.
        """
        answered = self._answered(inputs, maps, target)
        return on_host(self._image_scores(*answered))

    def get_config(self):
        raise NotImplementedError(
            f"{type(self).__name__} holds a model, and its config cannot: a "
            "file would bring it back without the weights. Received: "
            "get_config(). Save the model, and make the metric anew from the "
            "loaded one; copies and pickles hold both."
        )

    def __reduce__(self):
        variables = [ops.convert_to_numpy(x) for x in self.variables]
        return _made, (type(self), _arguments(self), variables)

    def __repr__(self):
        is_default = self.dtype == keras.config.floatx()
        return call_repr(
            self, ("model",), without=("dtype",) if is_default else ()
        )

    @abc.abstractmethod
    def _answers(
        self,
        x: Tensor,
        maps: Tensor,
        clean: Tensor,
        score: Callable,
        layout: engine.InputLayout,
    ) -> Tensor:
        """Returns what the model says to copies of an input, `(batch, n)`.

        Args:
            x: The input.
            maps: Float32 maps of it, `(batch, *positions)`.
            clean: Float32 scores of the unchanged inputs, `(batch,)`.
            score: Function of a changed copy of `x`: one forward pass, which
                returns scores like `clean`.
            layout: `InputLayout` of `x`.
        """

    @abc.abstractmethod
    def _image_scores(self, answers, num_positions):
        """Returns the score of each image, `(batch,)`.

        Args:
            answers: What `_answers` returned, an array or a tensor.
            num_positions: Integer or scalar tensor: positions of one map.
        """

    def _check_maps(self, maps):
        """Raises if a value of maps is not allowed, also in a step."""
        engine.require(
            ops.all(ops.isfinite(maps)),
            "`maps` must hold finite numbers. Received: maps with NaN or "
            "infinite values.",
        )

    def _answered(self, inputs, maps, target):
        """Returns answers `(batch, n)`, and the number of positions."""
        target = targets.get(target)
        maps = _one_map(maps)
        if engine.backend().is_tracing():
            maps = ops.cast(as_tensor("maps", maps), "float32")
            asked = Asked(target, maps)
            answers = self._runner.call(inputs, asked)
            return answers, product(ops.shape(maps)[1:])
        maps = as_array("maps", maps).astype("float32")
        self._check_maps(maps)
        asked = Asked(target, maps)
        try:
            answers = self._runner.collect(inputs, asked, self.batch_size, 0)
        finally:
            asked.release()
        return answers, int(np.prod(maps.shape[1:]))

    def _compute(self, inputs, asked, parts):
        maps, parts = parts["maps"], parts["target"]
        if engine.backend().is_tracing():
            self._check_maps(maps)
        # As in explainers: half precision would round scores away.
        inputs = engine.map_given(_without_half, inputs)
        clean = engine.evaluate(self.model, inputs, self.score)
        target = asked.target.for_units(clean.units)
        # The copies are asked for what the image itself answers.
        parts = target.resolve(clean.scores, parts)
        _check_single(asked.target, parts)
        flat = keras.tree.flatten(inputs)
        number = self._number(inputs, flat)
        x = flat[number]
        layout = engine.InputLayout(x, number, clean.channel_axis(x))
        _check_fits(maps, x, layout)

        def score(changed):
            copies = [*flat[:number], changed, *flat[number + 1 :]]
            copies = keras.tree.pack_sequence_as(inputs, copies)
            return _scores(
                engine.evaluate(self.model, copies, self.score), target, parts
            )

        answers = self._answers(
            x, maps, _scores(clean, target, parts), score, layout
        )
        return answers, {"score_used": clean.score_used}

    def _number(self, inputs, flat):
        """Returns the number of the input that is changed."""
        chosen = engine.chosen_inputs(self.model, inputs, self.input_name)
        found = [
            number
            for number, x in enumerate(flat)
            if any(x is one for one in chosen)
            and keras.backend.is_float_dtype(x.dtype)
        ]
        if len(found) == 1:
            return found[0]
        kinds = [None if x is None else str(x.dtype) for x in flat]
        if found:
            raise ValueError(
                "Maps are of one input. Received: input_name=None with "
                f"{len(found)} floating-point inputs among {kinds}. Name the "
                "one that the maps are of: "
                f"{type(self).__name__}(model, input_name=...)."
            )
        raise ValueError(
            f"{type(self).__name__} changes a floating-point input. Received: "
            f"input_name={self.input_name!r} of inputs of {kinds}. Of ids, "
            "texts and truth values nothing can be hidden this way: make a "
            "model that takes what their embedding puts out."
        )

    def _note(self, notes):
        vars(self).update(notes)


def on_host(tensors):
    """Returns tensors, in any structure, as arrays where they have values."""
    if engine.backend().is_tracing():
        return tensors
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


def beside(maps, layout):
    """Gives maps `(batch, *positions)` the rank of the input."""
    if layout.channel_axis is None:
        return maps
    return ops.expand_dims(maps, layout.channel_axis)


def _scores(evaluation, target, parts):
    (score,) = targets.class_scores(evaluation, target, parts)
    return ops.cast(score, "float32")


def _without_half(x):
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.cast(x, "float32") if dtype in ("float16", "bfloat16") else x


def _one_map(maps):
    """Returns the maps of the one input that has some."""
    if not isinstance(maps, (dict, list, tuple)):
        return maps
    found = engine.given(maps)
    if isinstance(maps, dict) or all(np.ndim(x) > 1 for x in found):
        if len(found) == 1:
            return found[0]
        raise ValueError(
            "`maps` must be those of one input. Received: maps of "
            f"{len(found)} inputs. Pass the maps of the input that "
            "`input_name` names alone."
        )
    return maps


def _check_single(target, parts):
    if not target.is_single(parts):
        raise ValueError(
            "A map is judged by one class. Received: a target of shape "
            "(batch, classes). Take one column after the other: "
            "update_state(inputs, maps[:, k], classes[:, k])."
        )


def _check_fits(maps, x, layout):
    """Raises unless there is one value for each position of an input."""
    expected = tuple(x.shape[axis] for axis in layout.axes)
    found = tuple(maps.shape)[1:]
    same = len(found) == len(expected) and all(
        None in pair or pair[0] == pair[1]
        for pair in zip(found, expected, strict=True)
    )
    if not same:
        text = ", ".join(map(str, ("batch", *expected)))
        raise ValueError(
            f"`maps` must have the shape ({text}), a value for each position "
            f"of the input. Received: maps.shape={tuple(maps.shape)} for "
            f"inputs of shape {tuple(x.shape)}. Explainers lay maps on the "
            "input unless `resize=False`; other maps of one channel go there "
            f"by `keras_xmap.ops.resize(maps[..., None], {expected})[..., 0]`; "
            "of values for each channel take the sum over them."
        )
    for axis, size in enumerate(layout.size, start=1):
        engine.require(
            ops.equal(ops.shape(maps)[axis], size),
            "`maps` must have the size of the inputs. Received: (maps, inputs)",
            ops.shape(maps)[axis],
            size,
        )


def product(sizes):
    count = 1
    for size in sizes:
        count = count * size
    return count


def _arguments(metric):
    names = list(inspect.signature(type(metric)).parameters)
    return {name: getattr(metric, name) for name in names}


def _made(kind, arguments, variables):
    """Makes a metric again, from what `__reduce__` gave."""
    metric = kind(**arguments)
    for variable, value in zip(metric.variables, variables, strict=True):
        variable.assign(value)
    return metric
