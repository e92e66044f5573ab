"""Layers that run once a frame, seen as one call on all frames.

`keras.layers.TimeDistributed` calls the `call` of what it wraps, frame by
frame: the layers inside are recorded once for each of them, and the wrapped
layer not at all.
"""

import keras
from keras import ops

from keras_xmap.engine._tap import LayerCall


def with_frames(calls):
    """Returns calls in which those of single frames are one call of all.

    Its `frames` are the tensors of the frames, and its `outputs`, of shape
    `(batch, frames, ...)`, their stack. What ran in a loop that is unknown
    while tracing is left out: its tensors are out of reach.

    Args:
        calls: List of `LayerCall`, inner layers before outer ones.
    """
    found = []
    for call in calls:
        if isinstance(call.layer, keras.layers.TimeDistributed):
            start = len(found)
            while start and _is_inside(found[start - 1], call):
                start -= 1
            inner = found[start:]
            found[start:] = _on_all_frames(inner, call)
            found.append(_wrapped(call, is_leaf=not inner))
        found.append(call)
    return found


def _is_inside(call, outer):
    return not outer.path or call.path.startswith(f"{outer.path}/")


def _on_all_frames(inner, outer):
    """Returns one call for each that a single frame made: a list."""
    num_frames = outer.inputs[0].shape[1]
    if not num_frames or len(inner) % num_frames:
        return []
    step = len(inner) // num_frames
    frames = [inner[n : n + step] for n in range(0, len(inner), step or 1)]
    found, stacks = [], {}
    for same in zip(*frames, strict=True):
        outputs = [call.outputs for call in same]
        if all(ops.is_tensor(x) for x in outputs) and all(
            call.layer is same[0].layer and x.shape == outputs[0].shape
            for call, x in zip(same, outputs, strict=True)
        ):
            # A nested model returns the tensors of its last layer.
            key = tuple(map(id, outputs))
            if key not in stacks:
                stacks[key] = ops.stack(outputs, axis=1)
            found.append(_on_frames(same[0], outputs, stacks[key], outer))
    return found


def _on_frames(first, frames, stack, outer):
    inside = first.path[len(outer.path) :].strip("/")
    return LayerCall(
        first.layer,
        "/".join(filter(None, [outer.path, outer.layer.layer.name, inside])),
        outer.inputs,
        stack,
        first.data_format,
        is_leaf=False,
        frames=frames,
        is_join=first.is_join,
    )


def _wrapped(call, is_leaf):
    """Returns the call of the layer that `TimeDistributed` wraps."""
    layer = call.layer.layer
    return LayerCall(
        layer,
        "/".join(filter(None, [call.path, layer.name])),
        call.inputs,
        call.outputs,
        getattr(layer, "data_format", None) or call.data_format,
        is_leaf,
        number=call.number,
    )
