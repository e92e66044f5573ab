"""Why no layer is chosen by order: errors that say what was found instead."""

from keras import ops

from keras_xmap.engine._inputs import input_names
from keras_xmap.engine._inputs import made_from
from keras_xmap.engine._layer_by_name import name_of
from keras_xmap.engine._nearest_maps import num_positions
from keras_xmap.engine._nearest_maps import outputs_in_use
from keras_xmap.engine.geometry import GeometryError

_MOST_LAYERS = 12  # layers that a message lists


def no_spatial_layer(evaluation, score, inputs):
    """Returns the error where no call that the score sees is a map."""
    upstream = evaluation.ancestors(score)
    ends = evaluation.moved(outputs_in_use(evaluation, score))
    calls = [
        call
        for call in evaluation.calls
        if (call.is_layer or call.is_join)
        and ops.is_tensor(call.outputs)
        and call.outputs in upstream
        and made_from(evaluation, call.outputs, inputs)
    ]
    shapes = [tuple(x.shape) for x in inputs]
    rank = max(map(evaluation.map_rank, inputs))
    others = [
        call
        for call in calls
        if len(call.outputs.shape) >= 3
        and num_positions(call, rank) != 1
        and call.outputs not in ends
    ]
    remedy = "Explain the input by Saliency or SmoothGrad"
    remedy += _layer_to_name(evaluation, others, inputs)
    return ValueError(
        "The model has no spatial layer: behind the input, none has an output "
        "of more than one position, with a known place in the input for each, "
        "that is not itself what the model puts out. Received: "
        f"{input_names(evaluation, inputs)} of shapes {shapes}, and layers "
        f"{_shown(calls)}. {remedy}."
    )


def _layer_to_name(evaluation, calls, inputs):
    """Returns the remedy of naming the last call that can be, a string."""
    alone = None
    for call in reversed(calls):
        errors = [_geometry_error(evaluation, call, x) for x in inputs]
        name = name_of(evaluation.calls, call)
        if None in errors:
            return (
                ", or name the `target_layer` that holds positions of it in "
                f"another order, such as {name!r}"
            )
        if alone is None and not any(error.is_mixed for error in errors):
            alone = name
    if alone is None:
        return ""
    return (
        ", or a layer for a map of its own positions, as in GradCAM(model, "
        f"{alone!r}, resize=False)"
    )


def _geometry_error(evaluation, call, x):
    """Returns why positions of a call are not laid on `x`, or `None`."""
    try:
        evaluation.geometry(call.outputs, x, call.data_format)
    except GeometryError as error:
        return error
    return None


def way_without_layer(evaluation, calls, image):
    """Returns the error where the score sees an image past all `calls`."""
    names = [name_of(evaluation.calls, call) for call in calls]
    return ValueError(
        "The last spatial layers must hold all that the score sees of the "
        f"image. Received: layer {listed(names)}, and beside it a way from "
        f"{input_names(evaluation, [image])} to the score on which no layer "
        "puts out a map. Explain the input by Saliency or SmoothGrad, or pass "
        f"target_layer={names[0]!r} to see what this layer holds alone."
    )


def different_images(evaluation, found):
    """Returns the error where each image has calls of its own."""
    calls = {id(call): call for calls in found for call in calls}.values()
    places = [
        f"{name_of(evaluation.calls, call)!r} made from "
        f"{input_names(evaluation, made_from(evaluation, call.outputs))}"
        for call in calls
    ]
    return ValueError(
        "The last spatial layers must show one input. Received: "
        f"input_name=None for layers {', '.join(places)}. Each input has a "
        "map of its own: pass the one that is meant as `input_name`."
    )


def listed(names):
    """Returns the names of layers that are explained together as a text."""
    names = list(names)
    return repr(names[0]) if len(names) == 1 else " + ".join(map(repr, names))


def _shown(calls):
    """Names layers with their shapes, the last ones of many."""
    texts = [
        f"{call.path!r} {tuple(call.outputs.shape)}"
        for call in calls
        if call.path and ops.is_tensor(call.outputs)
    ]
    more = "..., " if len(texts) > _MOST_LAYERS else ""
    return more + ", ".join(texts[-_MOST_LAYERS:]) or "none"
