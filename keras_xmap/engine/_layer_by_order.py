"""Which layer call of a model is meant by a name, or by no name at all.

A layer is given as the object, by its name anywhere in the model, or by its
path such as `"base/Conv_1"`; `":0"` behind a name means the first call of a
layer that is called several times. Without a name, the last layer is chosen
whose output is still laid out like the input and has more than one position;
in a transformer, the one whose tokens the last attention layer looks at.
"""

import logging

import keras
import tensorflow as tf

from keras_xmap.engine.tensorflow import _graph as graph

logger = logging.getLogger("keras_xmap")

# Operations behind which an axis no longer means what it meant before.
_REARRANGING = (
    "BatchMatMulV2",
    "BatchMatMulV3",
    "Einsum",
    "MatMul",
    "Reshape",
    "Transpose",
)
_REARRANGING_LAYERS = (
    keras.layers.EinsumDense,
    keras.layers.Permute,
    keras.layers.Reshape,
)
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


def named_call(calls, target_layer):
    """Returns the call of `calls` that `target_layer` stands for.

    Of a layer that is called several times it is the last, unless the name
    ends in `":n"`.

    Raises:
        ValueError: If no layer, or more than one, fits.
        TypeError: If `target_layer` is neither layer nor name.
    """
    found = _fitting_calls(calls, target_layer)
    if len(found) > 1:
        logger.info(
            "Layer %r is called %d times; explaining the last call (append "
            "':0' to its name for the first).",
            found[-1].path,
            len(found),
        )
    call = found[-1]
    if not isinstance(call.outputs, tf.Tensor):
        shapes = keras.tree.map_structure(lambda x: x.shape, call.outputs)
        raise ValueError(
            "`target_layer` must be a layer that returns one tensor. "
            f"Received: target_layer={_describe(target_layer)}, which returns "
            f"{shapes}."
        )
    return call


def last_spatial_call(evaluation, score):
    """Returns the last call whose output is a map of the input's positions.

    Raises:
        ValueError: If there is none, or if a later layer may be one.
    """
    rank = max(len(x.shape) for x in keras.tree.flatten(evaluation.inputs))
    upstream = set(graph.operations_above([score]))
    ends = keras.tree.flatten((evaluation.outputs, evaluation.scores))
    ends = {x.ref() for x in ends if isinstance(x, tf.Tensor)}
    candidates = [
        call
        for call in evaluation.calls
        if isinstance(call.outputs, tf.Tensor)
        and len(call.outputs.shape) == rank >= 3
        and call.outputs.dtype.is_floating
        and call.outputs.op in upstream
        and call.outputs.ref() not in ends
        and _num_positions(call) != 1
    ]
    spatial = _spatial_tensors(evaluation, rank, score)
    chosen = unclear = None
    for call in candidates:
        if call.outputs.ref() in spatial:
            # A nested model, or a layer that is idle in inference, returns
            # the tensor of the layer that made it.
            if chosen is None or call.outputs is not chosen.outputs:
                chosen, unclear = call, None
        elif not _is_of_attention(call, evaluation.calls):
            unclear = call
    if unclear is not None:
        raise ValueError(
            "The last spatial layer cannot be told with certainty: after "
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
    spatial = _spatial_tensors(evaluation, rank, score)
    upstream = set(graph.operations_above([found[0].outputs]))
    makers = {}
    for call in evaluation.calls:
        output = call.outputs
        if (
            isinstance(output, tf.Tensor)
            and output.ref() in spatial
            and output.op in upstream
            and not isinstance(call.layer, _PADDING_LAYERS)
        ):
            makers.setdefault(output.ref(), call)
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
            if len(tokens.shape) == 3 and graph.depends_on(
                tokens, after.outputs
            ):
                attended = call
    if attended is None or not graph.depends_on(
        score, keras.tree.flatten(attended.outputs)[0]
    ):
        return None
    tokens = attended.inputs[0]
    for call in evaluation.calls:
        if call.outputs is tokens:
            return call
    raise ValueError(
        "The tokens that the last attention layer "
        f"{attended.path!r} looks at are not the output of a layer. Pass the "
        "layer to look at as `target_layer`."
    )


def _spatial_tensors(evaluation, rank, score):
    """Returns references of the tensors whose axes are those of the input.

    Layers are trusted to keep the layout of what they are called on, except
    for those that exist to rearrange it; operations between layers are, too.
    """
    inputs = keras.tree.flatten(evaluation.inputs)
    inputs = [x for x in inputs if len(x.shape) == rank]
    made_by_layer = {}
    for call in evaluation.calls:
        if call.is_leaf and not isinstance(call.layer, _REARRANGING_LAYERS):
            for output in keras.tree.flatten(call.outputs):
                made_by_layer.setdefault(output.ref(), call)
    spatial = {x.ref() for x in inputs}
    for op in graph.operations_between(inputs, [score]):
        keeps = op.type not in _REARRANGING and any(
            x.ref() in spatial for x in op.inputs
        )
        for output in op.outputs:
            call = made_by_layer.get(output.ref())
            if output.shape.rank == rank and (
                keeps or (call and any(x.ref() in spatial for x in call.inputs))
            ):
                spatial.add(output.ref())
    return spatial


def _is_of_attention(call, calls):
    """Whether a call is inside an attention layer: (tokens, heads, ...)."""
    return isinstance(call.layer, keras.layers.EinsumDense) or any(
        isinstance(other.layer, _ATTENTION_LAYERS)
        and f"{call.path}/".startswith(f"{other.path}/")
        for other in calls
    )


def _fitting_calls(calls, target_layer):
    if isinstance(target_layer, keras.layers.Layer):
        found = [call for call in calls if call.layer is target_layer]
    else:
        name, index = _split_index(target_layer)
        named = [
            call
            for call in calls
            if call.path and f"/{call.path}".endswith(f"/{name}")
        ]
        found = [call for call in named if call.path == name] or named
        found = found if index is None else found[index : index + 1]
    if not found:
        known = dict.fromkeys(call.path for call in calls if call.path)
        raise ValueError(
            "`target_layer` must be a layer that runs when the model is "
            "called, given as the layer, its name or its path. Received: "
            f"target_layer={_describe(target_layer)}. Layers that run: "
            f"{', '.join(known) or 'none'}."
        )
    if len({id(call.layer) for call in found}) > 1:
        paths = dict.fromkeys(call.path for call in found)
        raise ValueError(
            "`target_layer` must name one layer. Received: target_layer="
            f"{target_layer!r}, which fits {', '.join(paths)}. Pass the path, "
            "or the layer itself."
        )
    return found


def _split_index(name):
    if not isinstance(name, str):
        raise TypeError(
            "`target_layer` must be a keras.layers.Layer, a name or None. "
            f"Received: target_layer={name!r} (of type {type(name).__name__})."
        )
    base, separator, index = name.rpartition(":")
    if separator and index.isdigit():
        return base, int(index)
    return name, None


def _num_positions(call):
    shape = call.outputs.shape
    if call.data_format == "channels_last":
        positions = shape[1:-1]
    else:
        positions = shape[2:]
    return positions.num_elements()


def _describe(target_layer):
    return repr(getattr(target_layer, "name", target_layer))
