"""Operations that join what comes by several ways, outside of layers.

`x + y` is an operation with a name where a functional model is built of it;
in the `call` of a layer or a model it is one of the graph alone, and gets a
name of its kind here: `"block/add"` is the first sum that `block` writes out,
`"block/add_1"` the second.
"""

import collections

import keras

from keras_xmap.engine._tap import LayerCall
from keras_xmap.engine.tensorflow import _graph as graph

# What Keras calls the operations, by their type in a graph.
_NAMES = {
    "Add": "add",
    "AddN": "add",
    "AddV2": "add",
    "ConcatV2": "concatenate",
    "Div": "divide",
    "DivNoNan": "divide",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Mul": "multiply",
    "Pack": "stack",
    "RealDiv": "divide",
    "SelectV2": "where",
    "Sub": "subtract",
}

_OF_FRAMES = keras.layers.TimeDistributed


def with_joins(calls, inputs, outputs):
    """Returns the calls, and among them the joins that layers write out.

    Of the operations of functional models, those that join are marked.

    Args:
        calls: List of `LayerCall`, inner ones before outer ones.
        inputs: List of tensors the model was called on.
        outputs: List of tensors it returned.
    """
    if not inputs or not outputs:
        return calls
    between = graph.operations_between(inputs, outputs)
    moving = _computed_from(inputs, between)
    for call in calls:
        if not call.is_layer:
            call.is_join = _is_join(call.inputs, moving)
    known = {x.ref() for call in calls for x in graph.tensors_of(call)}
    joins = [
        op
        for op in between
        if op.type in _NAMES
        and op.outputs[0].dtype.is_floating
        and op.outputs[0].ref() not in known
        and _is_join(op.inputs, moving)
    ]
    return _inserted(calls, joins) if joins else calls


def _computed_from(sources, between):
    """Returns references of what is computed from the values of `sources`."""
    found = {x.ref() for x in sources}
    for op in between:
        if op.type not in graph.OF_SHAPES and any(
            x.ref() in found for x in op.inputs
        ):
            found.update(x.ref() for x in op.outputs)
    return found


def _is_join(tensors, moving):
    return len({x.ref() for x in tensors} & moving) > 1


def _inserted(calls, joins):
    """Puts each join where it ran, among what ran in the same layer."""
    order = {op: n for n, op in enumerate(joins[0].graph.get_operations())}
    owners = _owners(calls, joins)
    counts = collections.Counter()
    before = collections.defaultdict(list)
    for op in joins:
        owner = owners.get(op)
        if owner is None:
            continue
        outer, kind = calls[owner], _NAMES[op.type]
        place = owner
        while (
            place
            and _is_inside(calls[place - 1], outer)
            and _ended_after(calls[place - 1], order[op], order)
        ):
            place -= 1
        number = counts[owner, kind]
        counts[owner, kind] += 1
        name = f"{kind}_{number}" if number else kind
        nearby = calls[place - 1] if place else outer
        before[place].append(
            LayerCall(
                None,
                "/".join(filter(None, [outer.path, name])),
                list(op.inputs),
                op.outputs[0],
                nearby.data_format,
                is_leaf=True,
                is_join=True,
            )
        )
    return [
        x for n, call in enumerate(calls) for x in [*before.get(n, []), call]
    ]


def _owners(calls, joins):
    """Returns for each join the number of the call that wrote it out.

    What runs inside a layer that calls no other is its own affair, and so is
    how frames are put together.
    """
    waiting, found = set(joins), {}
    leaves_first = sorted(range(len(calls)), key=lambda n: not calls[n].is_leaf)
    for number in leaves_first:
        if not waiting:
            break
        call = calls[number]
        inside = waiting.intersection(graph.operations_inside(call))
        waiting -= inside
        if not call.is_leaf and not isinstance(call.layer, _OF_FRAMES):
            found.update(dict.fromkeys(inside, number))
    return found


def _is_inside(call, outer):
    return not outer.path or call.path.startswith(f"{outer.path}/")


def _ended_after(call, place, order):
    return any(order[x.op] > place for x in graph.tensors_of(call))
