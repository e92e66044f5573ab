"""Which layer calls of a model are meant by no name at all.

On every way from the score back to the image, the first call that is met
whose output is a map of the image's positions; in a transformer whose head
takes a class token, the tokens which the last attention looks at. On most
models they are one call; on those with branches several, which together hold
all that the score sees of the image.
"""

import itertools
import logging
import math

import keras
from keras import ops

from keras_xmap.engine._attention import attended_call
from keras_xmap.engine._layer_by_name import name_of
from keras_xmap.engine._nearest_maps import MOVING_LAYERS
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
from keras_xmap.engine.geometry import GeometryError
from keras_xmap.engine.geometry import TooFewSizesError

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
    for image in images_of(evaluation, inputs):
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
        TooFewSizesError: If there are fewer sizes.
        ValueError: If they are not known.
    """
    sizes = _sizes(evaluation, score, num_sizes, inputs)
    found = list(itertools.islice(sizes, num_sizes))
    if len(found) < num_sizes:
        names = [[name_of(evaluation.calls, x) for x in size] for size in found]
        raise TooFewSizesError(
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
        other.is_layer
        and other.is_leaf
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
    images = images_of(evaluation, inputs)
    size = last_spatial_calls(evaluation, score, inputs)
    while True:
        yield size
        finer = {}
        for call in size:
            calls = _finer_calls(evaluation, call, images, asked)
            if not calls:
                return
            finer.update((id(x), x) for x in calls)
        size = list(finer.values())


def _nearest_calls(evaluation, score, image):
    """Returns the nearest calls, and whether a way passes none of them."""
    rank = evaluation.map_rank(image)
    found = calls_of_rank(evaluation, score, rank)
    single = [x.outputs for x in found if num_positions(x, rank) == 1]
    maps = maps_before(evaluation, score, rank)
    calls, reached = nearest_maps(evaluation, score, [image], maps)
    if len(calls) > 1 and not reached:
        passed = nearest_maps(evaluation, score, [image], maps, single)[0]
        if not passed:
            # The last block has one position: what is nearest is inside it.
            calls = _fewest(evaluation, score, [image], calls, maps)
    calls, reached = _with_tokens(evaluation, score, image, calls, reached)
    return _without_gates(evaluation, score, calls), bool(reached)


def _fewest(evaluation, score, images, calls, maps):
    """Returns the fewest calls of the size of `calls` by which all comes.

    Inside a block the ways are many; before it, they come by few.
    """
    rank = evaluation.map_rank(images[0])
    sizes = {num_positions(call, rank) for call in calls}
    if None in sizes:
        return calls
    spatial = evaluation.positions_of_input(rank, score)
    alike = [
        call
        for call in maps
        if num_positions(call, rank) in sizes and call.outputs in spatial
    ]
    outputs = [call.outputs for call in alike]
    found = calls_of(evaluation.fewest(score, outputs, images), alike)
    return found if len(found) < len(calls) else calls


def _with_tokens(evaluation, score, image, calls, reached):
    """Puts attended tokens in the place of the maps they are made from.

    Behind an attention layer, a head may take the class token alone, so that
    no later layer has a gradient at the tokens of the image. The stream of
    tokens that runs on beside the attention is no branch of its own.
    """
    tokens = {}
    for source in [*reached, *(call.outputs for call in calls)]:
        call = _last_attended_call(evaluation, score, source, image)
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


def _last_attended_call(evaluation, score, source, image):
    """Returns the call that made the tokens of the last attention.

    Returns `None` if no attention looks at what `source` becomes.
    """
    products = evaluation.products(source, score)
    if not products:
        return None
    call = attended_call(evaluation, products[-1], image)
    if (
        call is None
        or isinstance(call.layer, MOVING_LAYERS)
        or call.outputs is source
        or not evaluation.is_made_from(call.outputs, source)
    ):
        return None
    return call


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
    rank = evaluation.map_rank(images[0])
    maps = [
        other
        for other in reversed(maps_before(evaluation, call.outputs, rank))
        if _is_twice(evaluation, other, call, images[0], asked)
    ]
    nearest, reached = nearest_maps(evaluation, call.outputs, images, maps)
    if reached:
        return []
    if len(nearest) == 1:
        return nearest
    return _fewest(evaluation, call.outputs, images, nearest, maps[::-1])


def _is_twice(evaluation, call, other, image, asked):
    """Whether a call puts out at least twice the positions of another."""
    sizes = [_traced_positions(evaluation, x, image) for x in (call, other)]
    if None in sizes:
        raise ValueError(
            "The sizes of the layers are not known before the model runs. "
            f"Received: target_layer={asked!r} for a model whose layer "
            f"{call.path!r} has shape {tuple(call.outputs.shape)}. Pass "
            "a list of layers."
        )
    return sizes[0] >= 2 * sizes[1]


def _traced_positions(evaluation, call, image):
    """Returns how many positions a call puts out; `None` if unknown.

    Where a shape leaves them open, they are those of the image's size.
    """
    known = num_positions(call, evaluation.map_rank(image))
    if known is not None or None in image.shape[1:]:
        return known
    try:
        geometry = evaluation.geometry(call.outputs, image, call.data_format)
    except GeometryError:
        return None
    return math.prod(geometry.positions)
