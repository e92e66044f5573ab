"""Several layers of a model, and several sizes of its images."""

import math

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._axes import spatial_axes
from keras_xmap._axes import spatial_shape
from keras_xmap._checks import is_number
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


def check_layers(target_layer, none="the upper convolutions"):
    """Returns `target_layer` as a list of layers and names, or `None`.

    Args:
        target_layer: What was given: one of them or a list.
        none: String: what `None` stands for.
    """
    if target_layer is None:
        return None
    layers = target_layer
    if not isinstance(target_layer, (list, tuple)):
        layers = [target_layer]
    if not all(isinstance(x, (str, keras.layers.Layer)) for x in layers):
        raise TypeError(
            "`target_layer` must be a keras.layers.Layer, a name or path, a "
            f"list of these, or None for {none}. Received: target_layer="
            f"{target_layer!r}."
        )
    if not layers:
        raise ValueError(
            "`target_layer` must name at least one layer. Received: "
            f"target_layer={target_layer!r}. Pass None for {none}."
        )
    return list(layers)


def check_part(evaluation, call, score):
    """Raises if a layer's derivatives would mean nothing."""
    if not keras.backend.is_float_dtype(call.outputs.dtype):
        raise ValueError(
            "`target_layer` must have a floating-point output. Received: "
            f"layer {call.path!r} with dtype "
            f"{keras.backend.standardize_dtype(call.outputs.dtype)}."
        )
    if not evaluation.is_made_from(score, call.outputs):
        raise ValueError(
            "`target_layer` must have a part in the target. Received: layer "
            f"{call.path!r}, from whose output the score is not computed. It "
            "may stand beside the way to this output, or behind the score: "
            'the softmax or sigmoid that ends a model, which score="output" '
            "includes."
        )


def check_entries(evaluation, call):
    """Raises if a layer does not put out one entry per image.

    Frames may have been folded into the batch.
    """
    name = evaluation.name_of(call)
    remedy = "Explain the input itself, as in Saliency(model)"
    if _is_laid(evaluation, call):
        remedy += f", or the layer by GradCAM(model, {name!r})"
    engine.require(
        ops.equal(
            ops.shape(call.outputs)[0], ops.shape(evaluation.given_inputs[0])[0]
        ),
        "`target_layer` must put out one entry per image. Received: "
        f"target_layer={name!r}, whose first axis is not that of the images, "
        "as where frames are folded into the batch. "
        f"{remedy}. (entries, images):",
        ops.shape(call.outputs)[0],
        ops.shape(evaluation.given_inputs[0])[0],
    )


def _is_laid(evaluation, call):
    """Whether it is known where the positions of a layer lie in an input."""
    for x in evaluation.given_inputs:
        try:
            evaluation.geometry(call.outputs, x, call.data_format)
        except engine.GeometryError:
            continue
        return True
    return False


def check_scales(scales):
    """Returns `scales` as a tuple of positive numbers, or `None`."""
    if scales is None:
        return None
    if (
        not isinstance(scales, (list, tuple))
        or not scales
        or not all(
            is_number(scale) and 0 < scale < math.inf for scale in scales
        )
    ):
        raise ValueError(
            "`scales` must be a list of numbers > 0, or None. Received: "
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

    def scaled(x):
        is_float = keras.backend.is_float_dtype(x.dtype)
        # Integers of lower rank are tokens or categories, not images.
        if len(x.shape) < (3 if is_float else 4):
            return x
        size = [
            _times(ops.shape(x)[axis], scale)
            for axis in spatial_axes(len(x.shape), data_format)
        ]
        resized = resize(x, tuple(size), data_format=data_format)
        return resized if is_float else ops.cast(ops.round(resized), x.dtype)

    return engine.map_given(scaled, evaluation.inputs)


def _times(length, scale):
    if isinstance(length, int):
        return max(1, round(length * scale))
    scaled = ops.round(ops.cast(length, "float32") * scale)
    return ops.maximum(ops.cast(scaled, "int32"), 1)


def chosen_layers(evaluation, target_layer, score):
    """Returns the numbers of the calls to explain, in `evaluation.calls`.

    Args:
        evaluation: `engine.Evaluation`.
        target_layer: Layer, name or path, a list of them, or `None` for the
            upper two thirds of the convolutions.
        score: Tensor that they must have a part in.
    """
    layers = check_layers(target_layer)
    if layers is None:
        return _upper_convolutions(evaluation, score)
    calls = [evaluation.layer_call(layer, score) for layer in layers]
    for call in calls:
        check_part(evaluation, call, score)
    return [evaluation.calls.index(call) for call in calls]


def _upper_convolutions(evaluation, score):
    ends = keras.tree.flatten((evaluation.outputs, evaluation.scores))
    upstream = evaluation.ancestors(score)
    found = [
        number
        for number, call in enumerate(evaluation.calls)
        if isinstance(call.layer, _CONVOLUTIONS)
        and max(call.layer.kernel_size) > 1
        and _has_positions(call)
        and not any(call.outputs is end for end in ends)
        and call.outputs in upstream
    ]
    if not found:
        raise ValueError(
            "The model has no spatial layer to explain by itself: no "
            "convolution with a kernel larger than one pixel has a part in "
            "the target. Received: target_layer=None. Name the "
            "`target_layer`."
        )
    return found[-math.ceil(2 * len(found) / 3) :]


def _has_positions(call):
    """Whether a call puts out more than one position, as far as is known."""
    sizes = spatial_shape(call.outputs.shape, call.data_format)
    return None in sizes or math.prod(sizes) != 1
