"""Which layer calls of a model are meant by no name at all.

On every way from the score back to the image, the first call that is met
whose output is a map of the image's positions; in a transformer, the call
that made the tokens which the last attention layer looks at. On most models
they are one call; on those with branches several, which together hold all
that the score sees of the image.
"""

import itertools
import logging

import keras
from keras import ops

from keras_xmap.engine._layer_by_name import name_of
from keras_xmap.engine._nearest_maps import ATTENTION_LAYERS
from keras_xmap.engine._nearest_maps import calls_of
from keras_xmap.engine._nearest_maps import calls_of_rank
from keras_xmap.engine._nearest_maps import images_of
from keras_xmap.engine._nearest_maps import maps_before
from keras_xmap.engine._nearest_maps import nearest_maps
from keras_xmap.engine._nearest_maps import num_positions
from keras_xmap.engine._order_refusals import different_images
from keras_xmap.engine._order_refusals import listed
from keras_xmap.engine._order_refusals import no_spatial_layer
from keras_xmap.engine._order_refusals import way_without_layer

logger = logging.getLogger("keras_xmap")


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
            raise way_without_layer(evaluation, calls, image)
        if calls:
            found.append(calls)
    if not found:
        raise no_spatial_layer(evaluation, score, inputs)
    if any(set(map(id, calls)) != set(map(id, found[0])) for calls in found):
        raise different_images(evaluation, found)
    names = [name_of(evaluation.calls, call) for call in found[0]]
    logger.info("Explaining layer %s, chosen automatically.", listed(names))
    return found[0]


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
    sizes = _sizes(evaluation, score, num_sizes, inputs)
    found = list(itertools.islice(sizes, num_sizes))
    if len(found) < num_sizes:
        names = [[name_of(evaluation.calls, x) for x in size] for size in found]
        raise ValueError(
            "`target_layer` asks for more sizes than there are. Received: "
            f"target_layer={num_sizes} for a model with the sizes of "
            f"{', '.join(map(listed, names))}."
        )
    return found


def last_calls_of_stages(evaluation, word, score, inputs=None):
    """Returns such a list for each stage: every size at which a model learns.

    What comes before all kernels, such as a layer that scales pixels, is no
    stage.

    Args:
        evaluation: `Evaluation`.
        word: String: the `target_layer` that means stages.
        score: Tensor.
        inputs: See `last_spatial_calls`.

    Returns:
        List of lists of `LayerCall`, the coarsest first.

    Raises:
        ValueError: If the sizes are not known, or if a layer has this name.
    """
    for call in evaluation.calls:
        if call.path.rpartition("/")[2] == word:
            raise ValueError(
                f"`target_layer` is {word!r} for the last layer of each size, "
                "and the name of a layer here, too. Received: target_layer="
                f"{word!r} for a model with a layer {call.path!r}. Pass the "
                "layer itself, or how many of the coarsest sizes are meant."
            )
    first, *finer = _sizes(evaluation, score, word, inputs)
    return [
        first,
        *itertools.takewhile(
            lambda size: all(_has_kernel(evaluation, x) for x in size), finer
        ),
    ]


def _has_kernel(evaluation, call):
    """Whether a layer with a matrix or kernel has a part in what it puts out.

    Scales and offsets, such as those of a normalisation, are vectors.
    """
    above = evaluation.ancestors(call.outputs)
    return any(
        other.is_leaf
        and any(len(weight.shape) > 1 for weight in other.layer.weights)
        and any(
            x in above
            for x in keras.tree.flatten(other.outputs)
            if ops.is_tensor(x)
        )
        for other in evaluation.calls
    )


def _sizes(evaluation, score, asked, inputs):
    """Yields lists of calls, one a size, from the coarsest on."""
    inputs = evaluation.given_inputs if inputs is None else inputs
    size = last_spatial_calls(evaluation, score, inputs)
    while True:
        yield size
        finer = {}
        for call in size:
            calls = _finer_calls(evaluation, call, images_of(inputs), asked)
            if not calls:
                return
            finer.update((id(x), x) for x in calls)
        size = list(finer.values())


def _nearest_calls(evaluation, score, image):
    """Returns the nearest calls, and whether a way passes none of them."""
    found = calls_of_rank(evaluation, score, len(image.shape))
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
        if not isinstance(call.layer, ATTENTION_LAYERS) or not call.inputs:
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


def _finer_calls(evaluation, call, images, asked):
    """Returns the last calls before `call` of at least twice its positions."""
    maps = [
        other
        for other in reversed(
            maps_before(evaluation, call.outputs, len(images[0].shape))
        )
        if _is_twice(other, call, asked)
    ]
    nearest, reached = nearest_maps(evaluation, call.outputs, images, maps)
    if reached:
        return []
    if len(nearest) == 1:
        return nearest
    return _joined(evaluation, call.outputs, images, nearest, maps[::-1])


def _is_twice(call, other, asked):
    """Whether a call puts out at least twice the positions of another."""
    sizes = num_positions(call), num_positions(other)
    if None in sizes:
        raise ValueError(
            "The sizes of the layers are not known before the model runs. "
            f"Received: target_layer={asked!r} for a model whose layer "
            f"{call.path!r} has shape {tuple(call.outputs.shape)}. Pass "
            "a list of layers."
        )
    return sizes[0] >= 2 * sizes[1]
