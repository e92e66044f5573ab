"""Which tensors of a model are laid out as its inputs are."""

import keras

from keras_xmap.engine.tensorflow import _graph as graph

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


def tensors_like_inputs(evaluation, rank, score):
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
