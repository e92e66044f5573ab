"""Explainers that watch the score while parts of the input change."""

import abc

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.engine import InputLayout
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.targets import class_scores

# By how much, of the largest score, the score of one image may differ between
# two places of a batch, by rounding.
_ALIKE = 1e-3


class PerturbationExplainer(Explainer):
    """Base of explainers that change the input and watch the score.

    They need no gradient, so that they explain every target, also one that
    rounds or counts. Of a model with several inputs, each floating-point
    input is changed on its own while the others stay as they are, and has a
    map of its own; inputs of integers and strings have none (`None`), and
    where there are no others the model is refused.

    Positions are all axes but the batch and the channels, whose values change
    together. Which axis is the channels is known from the model; an input
    whose axes are all positions, such as `(batch, features)`, has none.

    A subclass is its formula, `maps_of_input`.

    Args:
        model: See `Explainer`.
        input_name: Name or number of the input that is changed, in a model
            with several: the key of a dict, the number in a list, or the
            name of the `keras.Input`. Defaults to `None`: each in turn.
        score: See `Explainer`.

    Example:

    >>> class Brighten(keras_xmap.explainers.PerturbationExplainer):
    ...     def maps_of_input(self, x, clean, scores, layout):
    ...         effect = scores(x + 1.0) - clean  # (batch, classes)
    ...         pixels = keras.ops.mean(x, axis=-1)[:, None]
    ...         return effect[..., None, None] * pixels
    ...
    >>> model = keras.Sequential([keras.Input((2, 2, 1)),
    ...     keras.layers.GlobalAveragePooling2D()])
    >>> images = np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    >>> number = keras_xmap.targets.Component()
    >>> Brighten(model).explain(images, number)
    array([[[1., 2.],
            [3., 4.]]], dtype=float32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(model, score)
        self.input_name = input_name

    @abc.abstractmethod
    def maps_of_input(
        self,
        x: Tensor,
        clean: Tensor,
        scores: "Scores",
        layout: InputLayout,
    ) -> Tensor:
        """Returns the maps of one input, `(batch, classes, *positions)`.

        Args:
            x: The input.
            clean: Float32 scores of the unchanged inputs, `(batch, classes)`.
            scores: Function of a changed copy of `x`: one forward pass, which
                returns scores like `clean`. `scores.of_images()` returns a
                function `(changed, images)` of copies of any of the images:
                row `r` of `changed` is made from image `images[r]`, an
                integer tensor `(batch,)`.
            layout: `InputLayout` of `x`.
        """

    def compute(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> tuple[Structure, dict]:
        clean = self.evaluate(inputs)
        target = target.for_units(clean.units)
        parts = target.resolve(clean.scores, parts)
        clean_scores = _stacked_scores(clean, target, parts)
        flat = keras.tree.flatten(inputs)

        maps: list = []
        chosen = engine.chosen_inputs(self.model, inputs, self.input_name)
        for number, x in enumerate(flat):
            if not _is_float(x) or not any(x is one for one in chosen):
                maps.append(None)
                continue
            of_classes = self.maps_of_input(
                x,
                clean_scores,
                Scores(self, inputs, number, clean, target, parts),
                InputLayout(x, number, clean.channel_axis(x)),
            )
            of_classes = ops.unstack(of_classes, clean_scores.shape[1], axis=1)
            maps.append(join_classes(of_classes, target.is_single(parts)))
        notes = {"score_used": clean.score_used}
        if self.input_name is not None or not any(map(_is_float, flat)):
            score = clean_scores[:, 0]
            return self._only(maps, clean, score), notes
        return keras.tree.pack_sequence_as(inputs, maps), notes

    def _only(self, maps, evaluation, score):
        """Returns the map of the only input that is changed."""
        for found in maps:
            if found is not None:
                return found
        layer = evaluation.first_differentiable(score)
        raise ValueError(
            f"{type(self).__name__} changes floating-point inputs. Received: "
            f"input_name={self.input_name!r} of inputs of "
            f"{evaluation.input_dtypes}. Of ids, texts and truth values "
            "explain the first layer that makes numbers of them: "
            f"IntegratedGradients(model, target_layer={layer!r})."
        )


class Scores:
    """Scores of changed copies of one of the inputs.

    Args:
        explainer: The `PerturbationExplainer`.
        inputs: Structure of tensors, as the model takes it.
        number: Integer: which of them is changed.
        clean: `engine.Evaluation` of the inputs as they are.
        target: The `Target`, resolved.
        parts: Its tensors.
    """

    def __init__(self, explainer, inputs, number, clean, target, parts):
        self._explainer = explainer
        self._inputs = inputs
        self._number = number
        self._clean = clean
        self._target = target
        self._parts = parts

    def __call__(self, changed):
        flat = list(keras.tree.flatten(self._inputs))
        return self._scored(changed, flat, self._parts)

    def of_images(self):
        """Returns a function `(changed, images)`: copies of any images.

        Row `r` of `changed`, as many as there are images, is made from image
        `images[r]`. It goes with the other inputs and the target of that one.
        """
        self._require_places_do_not_count()

        def scores(changed, images):
            flat = [
                None
                if x is None or number == self._number
                else _rows(x, images)
                for number, x in enumerate(keras.tree.flatten(self._inputs))
            ]
            return self._scored(changed, flat, _rows_of(self._parts, images))

        return scores

    def _scored(self, changed, flat, parts):
        flat[self._number] = changed
        evaluation = self._explainer.evaluate(
            keras.tree.pack_sequence_as(self._inputs, flat)
        )
        return _stacked_scores(evaluation, self._target, parts)

    def _require_places_do_not_count(self):
        """Stops where a target is of certain places in the batch.

        Such is a callable that holds one number for each image. Seen by
        letting the outputs of the images change places.
        """
        evaluation = self._clean
        clean = _stacked_scores(evaluation, self._target, self._parts)
        size = ops.shape(clean)[0]
        images = (ops.arange(size) + 1) % size
        outputs = keras.tree.map_structure(
            lambda x: None if x is None else _rows(x, images),
            evaluation.scores,
        )
        moved = self._target.scores(outputs, _rows_of(self._parts, images))
        moved = ops.reshape(ops.cast(moved, "float32"), ops.shape(clean))
        difference = ops.max(ops.abs(moved - _rows(clean, images)))
        engine.require(
            ops.logical_not(difference > _ALIKE * ops.max(ops.abs(clean))),
            f"{type(self._explainer).__name__} covers several images in one "
            "forward pass, so that a target must score an image alike in all "
            "places of the batch. Give what differs from image to image as an "
            "array of a target, such as classes (batch,), or use Occlusion. "
            "Received: a target whose scores change, when images change "
            "places, by",
            difference,
        )


def _rows(x, images):
    return ops.take(x, images, axis=0)


def _rows_of(parts, images):
    return keras.tree.map_structure(
        lambda x: _rows(x, images) if len(x.shape) else x, parts
    )


def _is_float(x):
    return x is not None and keras.backend.is_float_dtype(x.dtype)


def _stacked_scores(evaluation, target, parts):
    """Returns float32 scores `(batch, classes)`."""
    scores = class_scores(evaluation, target, parts)
    return ops.cast(ops.stack(scores, axis=1), "float32")
