"""Which layer calls are maps of an image, and which a score meets first."""

import math

import keras
from keras import ops

from keras_xmap._axes import spatial_shape
from keras_xmap.engine._layer_by_name import name_of

# Layers that see nothing new, at a size of their own.
_PADDING_LAYERS = (
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
ATTENTION_LAYERS = (
    keras.layers.Attention,
    keras.layers.GroupQueryAttention,
    keras.layers.MultiHeadAttention,
)


def images_of(inputs):
    """Returns those of `inputs` that are maps, of the rank of the highest."""
    rank = max(len(x.shape) for x in inputs)
    return [x for x in inputs if len(x.shape) == rank >= 3]


def nearest_maps(evaluation, score, images, calls, stops=(), refuses=True):
    """Walks back from a score to images, as far as the nearest maps of them.

    Args:
        evaluation: `Evaluation`.
        score: Tensor.
        images: List of inputs of the same rank.
        calls: List of `LayerCall`s that may be maps, see `maps_before`.
        stops: List of tensors that the walk does not pass, either.
        refuses: Boolean: whether it is an error if it is not clear that a
            call is a map; else it counts as one.

    Returns:
        List of the calls that were met, and list of the images that were
        reached past all of them.

    Raises:
        ValueError: If it is not clear whether a call that was met is a map.
    """
    rank = len(images[0].shape)
    spatial = evaluation.positions_of_input(rank, score)
    calls = list(calls)
    while True:
        met, reached = evaluation.nearest(
            score, [*stops, *(call.outputs for call in calls)], images
        )
        found = calls_of(met, calls)
        others = []
        for call in found:
            if call.outputs in spatial:
                continue
            why = spatial.why_unknown(call.outputs)
            if why is None or _is_of_attention(evaluation, call):
                others.append(call)
            elif refuses:
                raise _lost_positions(evaluation, call, why)
        if not others:
            return found, reached
        calls = [call for call in calls if call not in others]


def maps_before(evaluation, score, rank):
    """Returns the calls on the way to a score that may be maps: a list.

    Of calls that put out the same tensor, as a nested model and its last
    layer do, the first. Layers that only pad or crop are none. The output of
    the model is none, neither behind what moves, resizes or squashes it.
    """
    return [
        call
        for call in calls_of_rank(evaluation, score, rank)
        if num_positions(call) != 1
    ]


def calls_of_rank(evaluation, score, rank):
    """Returns the calls of `maps_before`, and those of one position: a list."""
    upstream = evaluation.ancestors(score)
    ends = evaluation.moved(outputs_in_use(evaluation, score))
    found = {}
    for call in evaluation.calls:
        if (
            ops.is_tensor(call.outputs)
            and len(call.outputs.shape) == rank >= 3
            and keras.backend.is_float_dtype(call.outputs.dtype)
            and call.outputs in upstream
            and call.outputs not in ends
            and not isinstance(call.layer, _PADDING_LAYERS)
        ):
            found.setdefault(id(call.outputs), call)
    return list(found.values())


def calls_of(tensors, calls):
    """Returns those of `calls` that put out one of `tensors`: a list."""
    return [x for x in calls if any(x.outputs is y for y in tensors)]


def num_positions(call):
    """Returns how many positions a call puts out; `None` if unknown."""
    sizes = spatial_shape(call.outputs.shape, call.data_format)
    return None if None in sizes else math.prod(sizes)


def is_attended(evaluation, call):
    """Whether an attention layer looks at the tokens that a call puts out."""
    return any(
        isinstance(other.layer, ATTENTION_LAYERS)
        and any(x is call.outputs for x in other.inputs)
        for other in evaluation.calls
    )


def outputs_in_use(evaluation, score):
    """Returns the outputs of the model that `score` is taken from: a list."""
    flat = keras.tree.flatten((evaluation.outputs, evaluation.scores))
    ends = [x for x in flat if ops.is_tensor(x)]
    inputs = evaluation.given_inputs
    return evaluation.nearest(score, ends, inputs)[0]


def _is_of_attention(evaluation, call):
    """Whether a call is inside an attention layer: (tokens, heads, ...)."""
    return isinstance(call.layer, keras.layers.EinsumDense) or any(
        isinstance(other.layer, ATTENTION_LAYERS)
        and f"{call.path}/".startswith(f"{other.path}/")
        for other in evaluation.calls
    )


def _lost_positions(evaluation, call, why):
    return ValueError(
        "The last spatial layer cannot be told with certainty. Expected: "
        "positions that can be followed from the input to each layer. "
        f"Received: layer {name_of(evaluation.calls, call)!r} with an output "
        f"of shape {tuple(call.outputs.shape)}, where {why}. Pass the layer to "
        "look at as `target_layer`: one before it, or this one with "
        "`resize=False` for a map of its own positions."
    )
