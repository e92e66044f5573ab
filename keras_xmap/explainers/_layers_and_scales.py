"""Several layers of a model, and several sizes of its images."""

import math
import numbers

import keras
from keras import ops

from keras_xmap.ops import resize

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def check_layers(layers, none="the upper convolutions"):
    """Returns `layers` as a list of layers and names, or `None`.

    Args:
        layers: What was given.
        none: String: what `None` stands for.
    """
    if layers is None:
        return None
    if not isinstance(layers, (list, tuple)) or not all(
        isinstance(layer, (str, keras.layers.Layer)) for layer in layers
    ):
        raise TypeError(
            "`layers` must be a list of keras.layers.Layer, names or paths, "
            f"or None for {none}. Received: layers={layers!r}."
        )
    if not layers:
        raise ValueError(
            "`layers` must name at least one layer. Received: layers="
            f"{layers!r}. Pass None for {none}."
        )
    return list(layers)


def check_scales(scales):
    """Returns `scales` as a tuple of positive numbers."""
    valid = isinstance(scales, (list, tuple)) and len(scales)
    if not valid or not all(
        isinstance(scale, numbers.Real)
        and not isinstance(scale, bool)
        and 0 < scale < float("inf")
        for scale in scales
    ):
        raise ValueError(
            "`scales` must be a list of numbers > 0. Received: "
            f"scales={scales!r}. One size is `scales=(1,)`."
        )
    return tuple(scales)


def scaled_inputs(evaluation, scale):
    """Returns the inputs of an evaluation, their images resized.

    Args:
        evaluation: `engine.Evaluation`.
        scale: Float > 0: the new size relative to the old, rounded to whole
            pixels.
    """
    data_format = evaluation.input_data_format
    first = 1 if data_format == "channels_last" else 2

    def scaled(x):
        is_float = keras.backend.is_float_dtype(x.dtype)
        # Integers of lower rank are tokens or categories, not images.
        if len(x.shape) < (3 if is_float else 4):
            return x
        size = ops.shape(x)[first : first + len(x.shape) - 2]
        size = tuple(_times(length, scale) for length in size)
        resized = resize(x, size, data_format=data_format)
        return resized if is_float else ops.cast(ops.round(resized), x.dtype)

    return keras.tree.map_structure(scaled, evaluation.inputs)


def _times(length, scale):
    if isinstance(length, int):
        return max(1, round(length * scale))
    scaled = ops.round(ops.cast(length, "float32") * scale)
    return ops.maximum(ops.cast(scaled, "int32"), 1)


def chosen_layers(evaluation, layers, score):
    """Returns the numbers of the calls to explain, in `evaluation.calls`.

    Args:
        evaluation: `engine.Evaluation`.
        layers: List of layers, names or paths; `None` for the upper two
            thirds of the convolutions.
        score: Tensor that they must have a part in.
    """
    if layers is None:
        return _upper_convolutions(evaluation, score)
    calls = [evaluation.layer_call(layer, score) for layer in layers]
    for call in calls:
        if not keras.backend.is_float_dtype(
            call.outputs.dtype
        ) or not evaluation.is_made_from(score, call.outputs):
            raise ValueError(
                "`layers` must be layers with floating-point outputs that the "
                f"target is computed from. Received: layer {call.path!r}."
            )
    return [evaluation.calls.index(call) for call in calls]


def _upper_convolutions(evaluation, score):
    ends = keras.tree.flatten((evaluation.outputs, evaluation.scores))
    found = [
        number
        for number, call in enumerate(evaluation.calls)
        if isinstance(call.layer, _CONVOLUTIONS)
        and max(call.layer.kernel_size) > 1
        and _num_positions(call) != 1
        and not any(call.outputs is end for end in ends)
        and evaluation.is_made_from(score, call.outputs)
    ]
    if not found:
        raise ValueError(
            "The model has no spatial layer to explain by itself: no "
            "convolution with a kernel larger than one pixel has a part in "
            "the target. Received: layers=None. Name the `layers`."
        )
    return found[-math.ceil(2 * len(found) / 3) :]


def _num_positions(call):
    shape = tuple(call.outputs.shape)
    if call.data_format == "channels_last":
        positions = shape[1:-1]
    else:
        positions = shape[2:]
    return None if None in positions else math.prod(positions)
