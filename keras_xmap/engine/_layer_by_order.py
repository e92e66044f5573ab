"""Which layer calls of a model are meant by no name at all.

On every way from the score back to the image, the first call that is met
whose output is a map of the image's positions; in a transformer, the call
that made the tokens which the last attention layer looks at. On most models
they are one call; on those with branches several, which together hold all
that the score sees of the image.
"""

import logging
import math

import keras
from keras import ops

from keras_xmap._axes import spatial_shape
from keras_xmap.engine._inputs import input_names
from keras_xmap.engine._inputs import made_from
from keras_xmap.engine._layer_by_name import name_of

logger = logging.getLogger("keras_xmap")

# Layers that see nothing new, at a size of their own.
_PADDING_LAYERS = (
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
_ATTENTION_LAYERS = (
    keras.layers.Attention,
    keras.layers.GroupQueryAttention,
    keras.layers.MultiHeadAttention,
)
_MOST_LAYERS = 12  # layers that a message lists


def last_spatial_calls(evaluation, score, inputs=None):
    """Returns the calls nearest to a score that show an image: a list.

    Args:
        evaluation: `Evaluation`.
        score: Tensor.
        inputs: List of the inputs that may be meant; of those, the ones with
            most axes are images. Defaults to `None`: all.

    Raises:
        ValueError: If there are none, if they show different images, or if
            they are not all that the score sees of an image.
    """
    inputs = evaluation.given_inputs if inputs is None else inputs
    found = []
    for image in images_of(inputs):
        calls, is_open = _nearest_calls(evaluation, score, image)
        if calls and is_open:
            raise _way_without_layer(evaluation, calls, image)
        if calls:
            found.append(calls)
    if not found:
        raise _no_spatial_layer(evaluation, score, inputs)
    if any(set(map(id, calls)) != set(map(id, found[0])) for calls in found):
        raise _different_images(evaluation, found)
    names = [name_of(evaluation.calls, call) for call in found[0]]
    logger.info("Explaining layer %s, chosen automatically.", _listed(names))
    return found[0]


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
        for call in _calls_of_rank(evaluation, score, rank)
        if num_positions(call) != 1
    ]


def _calls_of_rank(evaluation, score, rank):
    upstream = evaluation.ancestors(score)
    ends = evaluation.moved(_outputs_in_use(evaluation, score))
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
        isinstance(other.layer, _ATTENTION_LAYERS)
        and any(x is call.outputs for x in other.inputs)
        for other in evaluation.calls
    )


def last_calls_of_sizes(evaluation, score, num_sizes, inputs=None):
    """Returns the calls that show an image at each of the coarsest sizes.

    The first are those of `last_spatial_calls`; the next, for each of them,
    the last before it with at least twice as many positions: the one by which
    all comes that it sees of the image, else those by which it comes together.

    Returns:
        List of lists of `LayerCall`, the coarsest first.

    Raises:
        ValueError: If there are fewer sizes, or if they are not known.
    """
    inputs = evaluation.given_inputs if inputs is None else inputs
    found = [last_spatial_calls(evaluation, score, inputs)]
    while len(found) < num_sizes:
        finer = {}
        for call in found[-1]:
            calls = _finer_calls(evaluation, call, images_of(inputs), num_sizes)
            if not calls:
                sizes = [
                    [name_of(evaluation.calls, x) for x in size]
                    for size in found
                ]
                raise ValueError(
                    "`target_layer` asks for more sizes than there are. "
                    f"Received: target_layer={num_sizes} for a model with "
                    f"the sizes of {', '.join(map(_listed, sizes))}."
                )
            finer.update((id(x), x) for x in calls)
        found.append(list(finer.values()))
    return found


def _nearest_calls(evaluation, score, image):
    """Returns the nearest calls, and whether a way passes none of them."""
    found = _calls_of_rank(evaluation, score, len(image.shape))
    maps = [call for call in found if num_positions(call) != 1]
    calls, reached = nearest_maps(evaluation, score, [image], maps)
    if len(calls) > 1 and not reached:
        single = [call.outputs for call in found if num_positions(call) == 1]
        passed = nearest_maps(evaluation, score, [image], maps, single)[0]
        if not passed:
            # The last block has one position: what is nearest is inside it.
            calls = _joined(evaluation, score, [image], calls, maps)
    calls, reached = _with_tokens(evaluation, score, image, calls, reached)
    return _without_gates(evaluation, score, calls), bool(reached)


def _joined(evaluation, score, images, calls, maps):
    """Returns the one call of their size by which all comes, else `calls`."""
    sizes = set(map(num_positions, calls))
    if len(sizes) == 1 and None not in sizes:
        for call in reversed(maps):
            if num_positions(call) in sizes:
                found = nearest_maps(evaluation, score, images, [call])
                if found == ([call], []):
                    return [call]
    return calls


def _with_tokens(evaluation, score, image, calls, reached):
    """Puts attended tokens in the place of the maps they are made from.

    Behind an attention layer, a head may take the class token alone, so that
    no later layer has a gradient at the tokens of the image. The stream of
    tokens that runs on beside the attention is no branch of its own.
    """
    tokens = {}
    for source in [*reached, *(call.outputs for call in calls)]:
        call = _last_attended_call(evaluation, score, source)
        if call is not None:
            tokens[id(call)] = call
    if not tokens:
        return calls, reached
    chosen = list(tokens.values())
    stops = [call.outputs for call in [*calls, *chosen]]
    for call in chosen:
        stops += evaluation.stream(call.outputs)
    met, reached = evaluation.nearest(score, stops, [image])
    return [*calls_of(met, calls), *chosen], reached


def _last_attended_call(evaluation, score, source):
    """Returns the call that made the tokens of the last attention layer.

    Returns `None` if no attention layer looks at what `source` becomes.
    """
    for call in reversed(evaluation.calls):
        if not isinstance(call.layer, _ATTENTION_LAYERS) or not call.inputs:
            continue
        tokens, attended = call.inputs[0], keras.tree.flatten(call.outputs)[0]
        if (
            len(tokens.shape) == 3
            and evaluation.is_made_from(tokens, source)
            and evaluation.is_made_from(score, attended)
        ):
            return _maker(evaluation, tokens, call)
    return None


def _maker(evaluation, tokens, attention):
    for call in evaluation.calls:
        if call.outputs is tokens:
            return call
    raise ValueError(
        "The tokens that the last attention layer looks at must be the output "
        f"of a layer. Received: layer {attention.path!r} with tokens of shape "
        f"{tuple(tokens.shape)} that no layer puts out. Pass the layer to look "
        "at as `target_layer`."
    )


def _without_gates(evaluation, score, calls):
    """Leaves out what only weighs the positions of another of the calls."""
    if len(calls) == 1:
        return calls
    found = []
    for call in calls:
        sources = [
            other.outputs
            for other in calls
            if other is not call
            and evaluation.is_made_from(call.outputs, other.outputs)
        ]
        if not sources or not evaluation.is_gate(call.outputs, sources, score):
            found.append(call)
    return found


def _outputs_in_use(evaluation, score):
    """Returns the outputs of the model that `score` is taken from: a list."""
    flat = keras.tree.flatten((evaluation.outputs, evaluation.scores))
    ends = [x for x in flat if ops.is_tensor(x)]
    inputs = evaluation.given_inputs
    return evaluation.nearest(score, ends, inputs)[0]


def _is_of_attention(evaluation, call):
    """Whether a call is inside an attention layer: (tokens, heads, ...)."""
    return isinstance(call.layer, keras.layers.EinsumDense) or any(
        isinstance(other.layer, _ATTENTION_LAYERS)
        and f"{call.path}/".startswith(f"{other.path}/")
        for other in evaluation.calls
    )


def _finer_calls(evaluation, call, images, num_sizes):
    """Returns the last calls before `call` of at least twice its positions."""
    maps = [
        other
        for other in reversed(
            maps_before(evaluation, call.outputs, len(images[0].shape))
        )
        if _is_twice(other, call, num_sizes)
    ]
    nearest, reached = nearest_maps(evaluation, call.outputs, images, maps)
    if reached:
        return []
    if len(nearest) == 1:
        return nearest
    return _joined(evaluation, call.outputs, images, nearest, maps[::-1])


def _is_twice(call, other, num_sizes):
    """Whether a call puts out at least twice the positions of another."""
    sizes = num_positions(call), num_positions(other)
    if None in sizes:
        raise ValueError(
            "The sizes of the layers are not known before the model runs. "
            f"Received: target_layer={num_sizes} for a model whose layer "
            f"{call.path!r} has shape {tuple(call.outputs.shape)}. Pass "
            "a list of layers."
        )
    return sizes[0] >= 2 * sizes[1]


def _listed(names):
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


def _lost_positions(evaluation, call, why):
    return ValueError(
        "The last spatial layer cannot be told with certainty. Expected: "
        "positions that can be followed from the input to each layer. "
        f"Received: layer {name_of(evaluation.calls, call)!r} with an output "
        f"of shape {tuple(call.outputs.shape)}, where {why}. Pass the layer to "
        "look at as `target_layer`: one before it, or this one with "
        "`resize=False` for a map of its own positions."
    )


def _no_spatial_layer(evaluation, score, inputs):
    upstream = evaluation.ancestors(score)
    ends = evaluation.moved(_outputs_in_use(evaluation, score))
    calls = [
        call
        for call in evaluation.calls
        if ops.is_tensor(call.outputs)
        and call.outputs in upstream
        and made_from(evaluation, call.outputs, inputs)
    ]
    shapes = [tuple(x.shape) for x in inputs]
    others = [
        call
        for call in calls
        if len(call.outputs.shape) >= 3
        and num_positions(call) != 1
        and call.outputs not in ends
    ]
    remedy = "Explain the input by Saliency or SmoothGrad"
    if others:
        remedy += (
            ", or name the `target_layer` that holds positions of it in "
            f"another order, such as {others[-1].path!r}"
        )
    return ValueError(
        "The model has no spatial layer: behind the input, none has an output "
        "with the axes and the positions of the input, more than one, that is "
        "not itself what the model puts out. Received: "
        f"{input_names(evaluation, inputs)} of shapes {shapes}, and layers "
        f"{_shown(calls)}. {remedy}."
    )


def _way_without_layer(evaluation, calls, image):
    names = [name_of(evaluation.calls, call) for call in calls]
    return ValueError(
        "The last spatial layers must hold all that the score sees of the "
        f"image. Received: layer {_listed(names)}, and beside it a way from "
        f"{input_names(evaluation, [image])} to the score on which no layer "
        "puts out a map. Explain the input by Saliency or SmoothGrad, or pass "
        f"target_layer={names[0]!r} to see what this layer holds alone."
    )


def _different_images(evaluation, found):
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
