"""Explainers that watch the score while parts of the input change."""

import abc
import functools

import keras
from keras import ops

from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import class_scores
from keras_xmap.explainers.explainer import join_classes


class PerturbationExplainer(Explainer):
    """Base of explainers that change the input and watch the score.

    They need no gradient, so that they explain every target, also one that
    rounds or counts. Of a model with several inputs, each floating-point
    input is changed on its own while the others stay as they are, and has a
    map of its own; inputs of integers have none (`None`).

    Positions are all axes but the batch and the channels, whose values change
    together; of an input of shape `(batch, features)` they are the features.

    Args:
        model: See `Explainer`.
        score: See `Explainer`.
    """

    @abc.abstractmethod
    def maps_of_input(self, x, clean, scores, layout):
        """Returns the maps of one input, `(batch, classes, *positions)`.

        Args:
            x: The input.
            clean: Float32 scores of the unchanged inputs, `(batch, classes)`.
            scores: Function of a changed copy of `x`: one forward pass, which
                returns scores like `clean`.
            layout: `InputLayout` of `x`.
        """

    def _compute(self, inputs, target, parts):
        clean = self._evaluate(inputs)
        parts = target.resolve(clean.scores, parts)
        clean_scores = _stacked_scores(clean, target, parts)
        flat = keras.tree.flatten(inputs)

        def scores_of(number, changed):
            copies = [*flat[:number], changed, *flat[number + 1 :]]
            evaluation = self._evaluate(
                keras.tree.pack_sequence_as(inputs, copies)
            )
            return _stacked_scores(evaluation, target, parts)

        maps = []
        for number, x in enumerate(flat):
            if "float" not in x.dtype.name:
                maps.append(None)
                continue
            of_classes = self.maps_of_input(
                x,
                clean_scores,
                functools.partial(scores_of, number),
                InputLayout(x, number, clean.input_data_format),
            )
            of_classes = ops.unstack(of_classes, clean_scores.shape[1], axis=1)
            maps.append(join_classes(of_classes, target.is_single(parts)))
        self.score_used = clean.score_used  # and not of a copy in a loop
        return keras.tree.pack_sequence_as(inputs, maps)


def _stacked_scores(evaluation, target, parts):
    """Returns float32 scores `(batch, classes)`."""
    scores = class_scores(evaluation, target, parts)
    return ops.cast(ops.stack(scores, axis=1), "float32")


class InputLayout:
    """Which axes of an input are its positions.

    Attributes:
        number: Integer: the input's number among the model's inputs.
        axes: Tuple of integers: the axes of the positions.
        size: Tuple: the sizes of these axes, integers or scalar tensors.
    """

    def __init__(self, x, number, data_format):
        rank = len(x.shape)
        if rank < 3:
            self.axes = tuple(range(1, rank))
        elif data_format == "channels_last":
            self.axes = tuple(range(1, rank - 1))
        else:
            self.axes = tuple(range(2, rank))
        self.number = number
        self.size = tuple(ops.shape(x)[axis] for axis in self.axes)
        self._others = [axis for axis in range(rank) if axis not in self.axes]

    def expand(self, values):
        """Gives `values`, of shape `size`, the rank of the input."""
        for axis in self._others:
            values = ops.expand_dims(values, axis)
        return values
