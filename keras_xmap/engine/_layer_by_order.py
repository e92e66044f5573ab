"""Which layer call of a model is meant by no name at all.

The last layer is chosen whose output is still laid out like the input and has
more than one position; in a transformer, the one whose tokens the last
attention layer looks at.
"""

import logging
import math

import keras
from keras import ops

from keras_xmap._axes import spatial_shape

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


def last_spatial_call(evaluation, score):
    """Returns the last call whose output is a map of the input's positions.

    Raises:
        ValueError: If there is none, or if a later layer may be one.
    """
    rank = max(len(x.shape) for x in keras.tree.flatten(evaluation.inputs))
    spatial = evaluation.positions_of_input(rank, score)
    chosen = unclear = None
    for call in _candidates(evaluation, rank, score):
        if call.outputs in spatial:
            # A nested model, or a layer that is idle in inference, returns
            # the tensor of the layer that made it.
            if chosen is None or call.outputs is not chosen.outputs:
                chosen, unclear = call, None
        elif not _is_of_attention(call, evaluation.calls):
            unclear = call
    if unclear is not None:
        raise ValueError(
            "The last spatial layer cannot be told with certainty. Expected: "
            "layers that keep the axes of the input. Received: after "
            f"{chosen.path if chosen else 'the input'!r}, axes are rearranged "
            f"before layer {unclear.path!r}, whose output has shape "
            f"{tuple(unclear.outputs.shape)}. Pass the layer to look at as "
            "`target_layer`."
        )
    if chosen is None:
        shapes = [tuple(x.shape) for x in keras.tree.flatten(evaluation.inputs)]
        raise ValueError(
            "The model has no spatial layer: none of its layers that has a "
            "part in the target puts out more than one position. Received: a "
            f"model called on shapes {shapes}. Class activation maps need a "
            "convolutional layer; use Saliency or SmoothGrad, or name a "
            "`target_layer`."
        )
    chosen = _last_attended_call(evaluation, score, chosen) or chosen
    logger.info("Explaining layer %r, chosen automatically.", chosen.path)
    return chosen


def _candidates(evaluation, rank, score):
    """Returns the calls on the way to a score that may be maps."""
    upstream = evaluation.ancestors(score)
    ends = keras.tree.flatten((evaluation.outputs, evaluation.scores))
    return [
        call
        for call in evaluation.calls
        if ops.is_tensor(call.outputs)
        and len(call.outputs.shape) == rank >= 3
        and keras.backend.is_float_dtype(call.outputs.dtype)
        and call.outputs in upstream
        and not any(call.outputs is end for end in ends)
        and _num_positions(call) != 1
    ]


def last_calls_of_sizes(evaluation, score, num_sizes):
    """Returns the last call of each of the `num_sizes` coarsest sizes.

    The first is that of `last_spatial_call`, and each further one the last
    call before it that has at least twice as many positions; layers that only
    pad or crop are passed over.

    Raises:
        ValueError: If there are fewer sizes, or if they are not known.
    """
    found = [last_spatial_call(evaluation, score)]
    rank = len(found[0].outputs.shape)
    spatial = evaluation.positions_of_input(rank, score)
    upstream = evaluation.ancestors(found[0].outputs)
    makers = {}  # by the tensor: a layer that is idle returns another's
    for call in evaluation.calls:
        output = call.outputs
        if (
            ops.is_tensor(output)
            and output in spatial
            and output in upstream
            and not isinstance(call.layer, _PADDING_LAYERS)
        ):
            makers.setdefault(id(output), call)
    for call in reversed(list(makers.values())):
        if len(found) == num_sizes:
            break
        sizes = _num_positions(call), _num_positions(found[-1])
        if None in sizes:
            raise ValueError(
                "The sizes of the layers are not known before the model runs. "
                f"Received: target_layer={num_sizes} for a model whose layer "
                f"{call.path!r} has shape {tuple(call.outputs.shape)}. Pass a "
                "list of layers."
            )
        if sizes[0] >= 2 * sizes[1]:
            found.append(call)
    if len(found) < num_sizes:
        raise ValueError(
            "`target_layer` asks for more sizes than there are. Received: "
            f"target_layer={num_sizes} for a model with the sizes of "
            f"{[call.path for call in found]}."
        )
    return found


def _last_attended_call(evaluation, score, after):
    """Returns the call that made the tokens of the last attention layer.

    Behind it, a head may take the class token alone, so that no later layer
    has a gradient at the tokens of the image.

    Returns `None` if no attention layer looks at what `after` puts out.
    """
    attended = None
    for call in evaluation.calls:
        if isinstance(call.layer, _ATTENTION_LAYERS) and call.inputs:
            tokens = call.inputs[0]
            if len(tokens.shape) == 3 and evaluation.is_made_from(
                tokens, after.outputs
            ):
                attended = call
    if attended is None or not evaluation.is_made_from(
        score, keras.tree.flatten(attended.outputs)[0]
    ):
        return None
    tokens = attended.inputs[0]
    for call in evaluation.calls:
        if call.outputs is tokens:
            return call
    raise ValueError(
        "The tokens that the last attention layer looks at must be the output "
        f"of a layer. Received: layer {attended.path!r} with tokens of shape "
        f"{tuple(tokens.shape)} that no layer puts out. Pass the layer to look "
        "at as `target_layer`."
    )


def _is_of_attention(call, calls):
    """Whether a call is inside an attention layer: (tokens, heads, ...)."""
    return isinstance(call.layer, keras.layers.EinsumDense) or any(
        isinstance(other.layer, _ATTENTION_LAYERS)
        and f"{call.path}/".startswith(f"{other.path}/")
        for other in calls
    )


def _num_positions(call):
    """Returns how many positions a call puts out; `None` if unknown."""
    sizes = spatial_shape(call.outputs.shape, call.data_format)
    return None if None in sizes else math.prod(sizes)
