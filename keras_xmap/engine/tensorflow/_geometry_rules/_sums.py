"""Operations that sum over axes: reductions and contractions."""

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine._places import Unknown
from keras_xmap.engine.tensorflow._geometry_rules._rules import Rules

rule = Rules()

_REDUCTIONS = [
    "All",
    "Any",
    "EuclideanNorm",
    "Max",
    "Mean",
    "Min",
    "Prod",
    "Sum",
]


@rule(*_REDUCTIONS)
def _reduction(op, operands, walk):
    rank = len(operands[0].shape)
    axes = {int(n) % rank for n in np.ravel(walk.value(op.inputs[1]))}
    return _places.reduced(operands[0], axes, op.get_attr("keep_dims"))


@rule("ArgMax", "ArgMin")
def _argument(op, operands, walk):
    axis = int(walk.value(op.inputs[1])) % len(operands[0].shape)
    return _places.reduced(operands[0], {axis})


@rule("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def _product(op, operands, walk):
    flags = (
        ("transpose_a", "transpose_b")
        if op.type == "MatMul"
        else ("adj_x", "adj_y")
    )
    ranks = [len(walk.shape(x)) for x in op.inputs]
    batch = "".join(chr(ord("A") + n) for n in range(max(ranks) - 2))
    parts = []
    for rank, names, flag in zip(ranks, ("ij", "jk"), flags, strict=True):
        turned = names[::-1] if op.get_attr(flag) else names
        parts.append(batch[len(batch) - (rank - 2) :] + turned)
    return _sum_of_products(op, operands, walk, parts, batch + "ik")


@rule("Einsum")
def _einsum(op, operands, walk):
    equation = op.get_attr("equation").decode()
    left, _, result = equation.partition("->")
    parts = left.split(",")
    ranks = [len(walk.shape(x)) for x in op.inputs]
    missing = [
        rank - len(part.replace("...", ""))
        for part, rank in zip(parts, ranks, strict=True)
    ]
    most = max(
        (n for n, p in zip(missing, parts, strict=True) if "..." in p),
        default=0,
    )
    names = "".join(chr(0x391 + n) for n in range(most))
    parts = [
        part.replace("...", names[len(names) - n :] if n else "")
        for part, n in zip(parts, missing, strict=True)
    ]
    result = result.replace("...", names)
    if any(len(set(part)) < len(part) for part in (*parts, result)):
        return Unknown("it takes a diagonal")
    return _sum_of_products(op, operands, walk, parts, result)


def _sum_of_products(op, operands, walk, parts, result):
    sizes = {}
    for part, tensor in zip(parts, op.inputs, strict=True):
        for name, length in zip(part, walk.shape(tensor), strict=True):
            sizes[name] = max(length, sizes.get(name, 1))
    found = [
        [
            _aligned(_places.reduced_reading(one, gone), part, result)
            for one in operand.readings
        ]
        for part, operand in zip(parts, operands, strict=True)
        if operand is not None
        for gone in [[n for n, name in enumerate(part) if name not in result]]
    ]
    return _places.contracted(found, [sizes[name] for name in result])


def _aligned(reduced, part, result):
    """Brings the axes `part` of a reading to the order of `result`."""
    reading, lost = reduced
    if isinstance(reading, Unknown):
        return reduced
    kept = [n for n, name in enumerate(part) if name in result]
    order = sorted(kept, key=lambda n: result.index(part[n]))
    gone = [n for n in range(len(part)) if n not in kept]

    def aligned(coordinates):
        values = coordinates.values.transpose(
            0, *[n + 1 for n in order], *[n + 1 for n in gone]
        )
        lengths = dict(
            zip([part[n] for n in order], values.shape[1:], strict=False)
        )
        shape = [lengths.get(name, 1) for name in result]
        return coordinates.with_values(values.reshape(3, *shape))

    return tuple(aligned(one) for one in reading), lost
