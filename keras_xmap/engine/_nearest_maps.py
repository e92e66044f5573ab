"""Which layer calls are maps of an image, and which a score meets first."""

import math

import keras
from keras import ops

from keras_xmap._axes import spatial_shape
from keras_xmap.engine._attention import is_in_attention
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
# These make tokens of a map: what was computed is the map.
MOVING_LAYERS = (
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Reshape,
)


def images_of(evaluation, inputs):
    """Returns those of `inputs` that have maps, of the rank of the highest."""
    ranks = [evaluation.map_rank(x) for x in inputs]
    return [
        x
        for x, rank in zip(inputs, ranks, strict=True)
        if rank == max(ranks) >= 3
    ]


def nearest_maps(evaluation, score, images, calls, stops=(), refuses=True):
    """Walks back from a score to images, as far as the nearest maps of them.

    Args:
        evaluation: `Evaluation`.
        score: Tensor.
        images: List of inputs of the same `map_rank`.
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
    rank = evaluation.map_rank(images[0])
    spatial = evaluation.positions_of_input(rank, score)
    calls = list(calls)
    while True:
        met, reached = evaluation.nearest(
            score, [*stops, *(call.outputs for call in calls)], images
        )
        found = calls_of(met, calls)
        others = []
        for call in found:
            why = spatial.why_unknown(call.outputs)
            is_map = call.outputs in spatial
            if (is_map or why) and is_in_attention(
                evaluation, call, score, images
            ):
                others.append(call)
            elif why and refuses:
                raise _lost_positions(evaluation, call, why)
            elif not is_map and not why:
                others.append(call)
        if not others:
            return found, reached
        calls = [call for call in calls if call not in others]


def maps_before(evaluation, score, rank):
    """Returns the calls on the way to a score that may be maps: a list.

    Of calls that put out the same tensor, as a nested model and its last
    layer do, the first. Layers that only pad or crop are none, and of the
    operations between layers those alone that join branches. The output of
    the model is none, neither behind what moves, resizes or squashes it.
    """
    return [
        call
        for call in calls_of_rank(evaluation, score, rank)
        if num_positions(call, rank) != 1
    ]


def calls_of_rank(evaluation, score, rank):
    """Returns the calls of `maps_before`, and those of one position: a list."""
    upstream = evaluation.ancestors(score)
    ends = evaluation.moved(outputs_in_use(evaluation, score))
    found = {}
    for call in evaluation.calls:
        if (
            ops.is_tensor(call.outputs)
            and _may_be_map(call, rank)
            and keras.backend.is_float_dtype(call.outputs.dtype)
            and call.outputs in upstream
            and call.outputs not in ends
        ):
            found.setdefault(id(call.outputs), call)
    return list(found.values())


def _may_be_map(call, rank):
    if not (call.is_layer or call.is_join):
        return False
    if isinstance(call.layer, _PADDING_LAYERS):
        return False
    own = len(call.outputs.shape)
    is_moved = isinstance(call.layer, MOVING_LAYERS)
    return own >= 3 and (own == rank or not is_moved)


def calls_of(tensors, calls):
    """Returns those of `calls` that put out one of `tensors`: a list."""
    return [x for x in calls if any(x.outputs is y for y in tensors)]


def num_positions(call, rank):
    """Returns how many positions a call puts out; `None` if unknown.

    Args:
        call: `LayerCall`.
        rank: Integer: that of a map; of fewer axes are tokens.
    """
    shape = tuple(call.outputs.shape)
    if len(shape) == rank:
        sizes = spatial_shape(shape, call.data_format)
    else:
        sizes = shape[1:-1]
    return None if None in sizes else math.prod(sizes)


def outputs_in_use(evaluation, score):
    """Returns the outputs of the model that `score` is taken from: a list."""
    flat = keras.tree.flatten((evaluation.outputs, evaluation.scores))
    ends = [x for x in flat if ops.is_tensor(x)]
    inputs = evaluation.given_inputs
    return evaluation.nearest(score, ends, inputs)[0]


def _lost_positions(evaluation, call, why):
    return ValueError(
        "The last spatial layer cannot be told with certainty. Expected: "
        "positions that can be followed from the input to each layer. "
        f"Received: layer {name_of(evaluation.calls, call)!r} with an output "
        f"of shape {tuple(call.outputs.shape)}, where {why}. Pass the layer to "
        "look at as `target_layer`: one before it, or this one with "
        "`resize=False` for a map of its own positions."
    )
