"""Operations that cut tensors to pieces and join them."""

import itertools

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine._places import Places
from keras_xmap.engine.tensorflow._geometry_rules._rules import Rules

rule = Rules()


@rule("StridedSlice")
def _strided_slice(op, operands, walk):
    begin, end, strides = (walk.value(x).tolist() for x in op.inputs[1:])
    masks = {
        name: op.get_attr(f"{name}_mask")
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    keys = []
    for n, (first, last, step) in enumerate(
        zip(begin, end, strides, strict=True)
    ):
        is_set = {name: mask >> n & 1 for name, mask in masks.items()}
        if is_set["ellipsis"]:
            named = masks["new_axis"] & ~((1 << (n + 1)) - 1)
            after = len(begin) - n - 1 - bin(named).count("1")
            before = sum(key is not None for key in keys)
            rest = len(operands[0].shape) - before - after
            keys += [slice(None)] * rest
        elif is_set["new_axis"]:
            keys.append(None)
        elif is_set["shrink_axis"]:
            keys.append(first)
        else:
            keys.append(
                slice(
                    None if is_set["begin"] else first,
                    None if is_set["end"] else last,
                    step,
                )
            )
    named = sum(key is not None for key in keys)
    keys += [slice(None)] * (len(operands[0].shape) - named)
    return _places.indexed(operands[0], keys)


@rule("Slice")
def _slice(op, operands, walk):
    begin, size = (walk.value(x).tolist() for x in op.inputs[1:])
    keys = [
        slice(first, None if length == -1 else first + length)
        for first, length in zip(begin, size, strict=True)
    ]
    return _places.indexed(operands[0], keys)


@rule("Split", "SplitV", "Unpack")
def _split(op, operands, walk):
    data = 1 if op.type == "Split" else 0
    source = operands[data]
    rank = len(source.shape)
    if op.type == "Unpack":
        axis = op.get_attr("axis") % rank
        parts = range(len(op.outputs))
    else:
        place = 0 if op.type == "Split" else 2
        axis = int(walk.value(op.inputs[place])) % rank
        length = source.shape[axis]
        sizes = [length // len(op.outputs)] * len(op.outputs)
        if op.type == "SplitV":
            sizes = walk.value(op.inputs[1]).tolist()
            sizes = [length - sum(sizes) - 1 if n < 0 else n for n in sizes]
        ends = np.cumsum([0, *sizes]).tolist()
        parts = [slice(*pair) for pair in itertools.pairwise(ends)]
    keys = [slice(None)] * rank
    return [
        _places.indexed(source, [*keys[:axis], part, *keys[axis + 1 :]])
        for part in parts
    ]


@rule("ConcatV2", "Pack")
def _join(op, operands, walk):
    if op.type == "Pack":
        rank = len(op.inputs[0].shape) + 1
        axis = op.get_attr("axis") % rank
        lengths = [1] * len(operands)
        keys = [slice(None)] * (rank - 1)
        keys.insert(axis, None)
        operands = [
            _places.indexed(x, keys) if isinstance(x, Places) else x
            for x in operands
        ]
    else:
        operands = operands[:-1]
        tensors = list(op.inputs)[:-1]
        rank = len(op.inputs[0].shape)
        axis = int(walk.value(op.inputs[-1])) % rank
        lengths = [walk.shape(x)[axis] for x in tensors]
    return _places.joined(operands, axis, lengths)
