"""What the metrics share that ask the model about a map."""

import abc
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._checks import check_layer
from keras_xmap._checks import check_one_of
from keras_xmap._numeric import as_array
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.metrics._asked import Asked
from keras_xmap.metrics._image_mean import weights_of
from keras_xmap.metrics._made_for_one import MadeForOne
from keras_xmap.metrics._made_for_one import check_is_batch
from keras_xmap.metrics._made_for_one import check_single
from keras_xmap.metrics._made_for_one import on_host
from keras_xmap.metrics._made_for_one import without_half


class ModelMetric(MadeForOne, abc.ABC):
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
        model = check_layer("model", model)
        super().__init__(model, batch_size, name, dtype)
        self.model = model
        self.input_name = input_name
        self.score = check_one_of("score", score, ("logits", "output"))

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
        check_is_batch(inputs)
        target = targets.get(target)
        maps = _one_map(maps)
        if engine.backend().is_tracing():
            maps = ops.cast(as_tensor("maps", maps), "float32")
            _check_rank(maps)
            asked = Asked(target, maps)
            answers = self._runner.call(inputs, asked)
            return answers, product(ops.shape(maps)[1:])
        maps = as_array("maps", maps).astype("float32")
        _check_rank(maps)
        self._check_maps(maps)
        asked = Asked(target, maps)
        try:
            answers = self._runner.collect(inputs, asked, self.batch_size, 0)
        finally:
            asked.release()
        return answers, int(np.prod(maps.shape[1:]))

    def _compute(self, inputs, asked, parts):
        maps, parts = parts["maps"], parts["target"]
        self._check_maps(maps)
        inputs = without_half(inputs)
        clean = engine.evaluate(self.model, inputs, self.score)
        target = asked.target.for_units(clean.units)
        # The copies are asked for what the image itself answers.
        parts = target.resolve(clean.scores, parts)
        remedy = "update_state(inputs, maps[:, k], classes[:, k])"
        check_single(asked.target, parts, remedy)
        flat = keras.tree.flatten(inputs)
        number = self._number(inputs, flat)
        x = flat[number]
        layout = engine.InputLayout(x, number, clean.channel_axis(x))
        maps = self._fitting(maps, x, layout)

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

    def _fitting(self, maps, x, layout):
        """Returns maps, which must have a value for each position of `x`."""
        check_fits(maps, x, layout)
        return maps


def beside(maps, layout):
    """Gives maps `(batch, *positions)` the rank of the input."""
    if layout.channel_axis is None:
        return maps
    return ops.expand_dims(maps, layout.channel_axis)


def _scores(evaluation, target, parts):
    (score,) = targets.class_scores(evaluation, target, parts)
    return ops.cast(score, "float32")


def _one_map(maps):
    """Returns the maps of the one input that has some."""
    if not isinstance(maps, (dict, list, tuple)):
        return maps
    found = engine.given(maps)
    is_list = not isinstance(maps, dict)
    all_given = len(found) == len(keras.tree.flatten(maps))
    if is_list and all_given and all(np.ndim(x) < 3 for x in found):
        return maps  # a list of the map of each image
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"`maps` must be those of one input. Received: maps of {len(found)} "
        "inputs. Pass the maps of the input that `input_name` names alone."
    )


def _check_rank(maps):
    shape = tuple(maps.shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(
            "`maps` must have the shape (batch, *positions), and not be "
            f"empty. Received: maps.shape={shape}. A single map goes in as "
            "`maps[None]`, beside `image[None]`."
        )


def check_fits(maps, x, layout):
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
