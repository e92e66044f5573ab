"""Operations position by position."""

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine._places import Places
from keras_xmap.engine._places import Unknown
from keras_xmap.engine.tensorflow._geometry_rules._rules import Rules

rule = Rules()

ELEMENTWISE = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "AddN",
        "AddV2",
        "Angle",
        "Asin",
        "Asinh",
        "Atan",
        "Atan2",
        "Atanh",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Bitcast",
        "Bucketize",
        "Cast",
        "Ceil",
        "CheckNumerics",
        "ClipByValue",
        "Complex",
        "ComplexAbs",
        "Conj",
        "Cos",
        "Cosh",
        "Cumprod",
        "Cumsum",
        "Digamma",
        "Div",
        "DivNoNan",
        "Elu",
        "EnsureShape",
        "Equal",
        "Erf",
        "Erfc",
        "Erfinv",
        "Exp",
        "Expm1",
        "FakeQuantWithMinMaxArgs",
        "FakeQuantWithMinMaxVars",
        "FakeQuantWithMinMaxVarsPerChannel",
        "Floor",
        "FloorDiv",
        "FloorMod",
        "Greater",
        "GreaterEqual",
        "Identity",
        "Imag",
        "Inv",
        "Invert",
        "IsFinite",
        "IsInf",
        "IsNan",
        "LRN",
        "LeakyRelu",
        "Less",
        "LessEqual",
        "Lgamma",
        "Log",
        "Log1p",
        "LogSoftmax",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "Maximum",
        "Minimum",
        "Mod",
        "Mul",
        "MulNoNan",
        "Ndtri",
        "Neg",
        "NextAfter",
        "NotEqual",
        "Polygamma",
        "Pow",
        "PreventGradient",
        "QuantizeAndDequantizeV2",
        "QuantizeAndDequantizeV3",
        "QuantizeAndDequantizeV4",
        "Real",
        "RealDiv",
        "Reciprocal",
        "Relu",
        "Relu6",
        "Rint",
        "Round",
        "Rsqrt",
        "Select",
        "SelectV2",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Snapshot",
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Square",
        "SquaredDifference",
        "StopGradient",
        "Sub",
        "Tan",
        "Tanh",
        "TruncateDiv",
        "TruncateMod",
        "Xdivy",
        "Xlog1py",
        "Xlogy",
        "Zeta",
    ]
)
_ABOUT_SHAPES = ["Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"]


@rule(*_ABOUT_SHAPES)
def _constant(op, operands, walk):
    return [None] * len(op.outputs)


@rule(*ELEMENTWISE)
def _elementwise(op, operands, walk):
    shapes = [walk.shape(x) for x in op.inputs]
    shape = np.broadcast_shapes(*[x for x in shapes if x is not None])
    return _places.merged([x for x in operands if x is not None], shape)


@rule("IdentityN")
def _each(op, operands, walk):
    return operands


@rule("BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def _first_input(op, operands, walk):
    if operands[0] is None:
        return Unknown("what it adds is computed from the input")
    return operands[0]


@rule("OneHot")
def _one_hot(op, operands, walk):
    source, axis = operands[0], op.get_attr("axis")
    rank = len(source.shape)
    keys = [slice(None)] * rank
    keys.insert(axis if axis >= 0 else rank, None)
    depth = int(walk.value(op.inputs[1]))
    found = _places.indexed(source, keys)
    at = keys.index(None)
    return Places(
        (*found.shape[:at], depth, *found.shape[at + 1 :]), found.readings
    )
