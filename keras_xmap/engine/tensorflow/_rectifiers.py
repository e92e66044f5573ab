"""Which operations are ReLUs, by what they compute.

`relu(x)`, `maximum(x, 0)`, `where(x > 0, x, 0)`, `x * (x > 0)`, `clip(x, 0,
6)`, `(x + abs(x)) / 2`: a ReLU is written in many ways. Where a tensor is
computed from one other, element by element and with constants alone, that
function is evaluated on a grid of numbers, while the model is traced. It is a
ReLU if it is 0 up to some number, and from there on proportional, up to a
ceiling if there is one.
"""

import inspect

import numpy as np
import tensorflow as tf

from keras_xmap.engine.tensorflow._joins import joined_parts

# Operations whose every value is computed from those at its own place.
_NAMES = """
    Abs Add AddN AddV2 Cast Ceil ClipByValue Div DivNoNan Elu Equal Erf Erfc Exp
    Expm1 Floor FloorDiv Greater GreaterEqual Identity IdentityN Inv LeakyRelu
    Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mul
    MulNoNan Neg NotEqual Pow RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt
    Select
    SelectV2 Selu Sigmoid Sign Softplus Softsign Sqrt Square
    SquaredDifference StopGradient Sub Tanh
"""
_ELEMENTWISE = set(_NAMES.split())
# Operations that move or repeat a constant, and leave it what it is.
_FILLED = {"BroadcastTo": 0, "ExpandDims": 0, "Fill": 1, "Identity": 0}
_FILLED |= {"Reshape": 0, "Squeeze": 0, "Tile": 0}

_MOST_OPERATIONS = 24
# Fine around 0, exact in every precision, and far out on both sides.
_HALF = np.concatenate(
    [2.0 ** np.arange(-10, -2), np.arange(1, 65) / 8, [20.0, 100.0, 1e3, 1e4]]
)
_FAR = {"float32": [1e15], "float64": [1e15], "bfloat16": [1e15]}
_ROUNDING = {"float16": 5e-3, "bfloat16": 4e-2, "float32": 1e-6}
_ROUNDING |= {"float64": 1e-14}


class Rectifier:
    """A ReLU: `output = slope * x` where `x` is on the slope, 0 below it.

    Attributes:
        output: Tensor.
        source: Tensor: the `x` that it is computed from.
        path: List of pairs, an operation and the number of its input: one
            way from `output` up to the source.
        inside: List of the tensors between the two.
        slope: Float > 0.
        ceiling: Float, the greatest value of `output`; may be infinite.
    """

    def __init__(self, output, source, path, inside, slope, ceiling):
        self.output = output
        self.source = source
        self.path = path
        self.inside = inside
        self.slope = slope
        self.ceiling = ceiling


def find_rectifiers(way, owners):
    """Returns the `Rectifier`s on a way, and the other bent operations.

    Args:
        way: `Way`.
        owners: `Owners` of the operations.
    """
    rectifiers, others, inside, barred = [], [], set(), set()
    for reference, tensor in reversed(way.carrying.items()):
        if reference in inside:
            continue
        found = None
        if reference not in barred:
            found = _rectifier(tensor, way, owners)
            if found is None:
                barred.update(_parts_of_another(tensor, way, owners))
        if found is not None:
            rectifiers.append(found)
            inside.update(x.ref() for x in found.inside)
        elif way.is_bent(tensor.op):
            others.append(tensor.op)
    others = list(dict.fromkeys(others))
    return rectifiers[::-1], others[::-1]


def _rectifier(output, way, owners):
    """Returns the longest `Rectifier` that ends in `output`, or `None`."""
    longest = None
    for source, region in _regions(output, way):
        known = _slope_and_ceiling(output, source, region)
        if known is not None:
            if _is_gate(source, known[1]):
                return None
            found = _with_path(output, source, region, way, *known)
            longest = found or longest
        # What another layer made is judged by itself.
        if owners.path(source.op) != owners.path(output.op):
            break
    return longest


def _with_path(output, source, region, way, slope, ceiling):
    """Returns the `Rectifier`, or `None` if the rule could not pass it."""
    path = _path(output, source, region, way)
    if path is None or not _are_of_one_shape(output, source):
        return None
    operations = {x.op for x in region.values()}
    own = {
        reference: x
        for reference, x in region.items()
        if x is not output and operations.issuperset(way.takers(x))
    }
    on_the_path = [op.inputs[number] for op, number in path[:-1]]
    if not all(x.ref() in own for x in on_the_path):
        return None
    return Rectifier(output, source, path, list(own.values()), slope, ceiling)


def _parts_of_another(tensor, way, owners):
    """Returns references of what is a building block of an activation.

    Where branches join into something that is no ReLU, as in PReLU or CELU,
    the ReLUs on the branches are none either, if it is one layer's doing.
    """
    if sum(way.depends(x) for x in _made_from(tensor)) < 2:
        return []
    for _, region in _regions(tensor, way):
        owner = owners.path(tensor.op)
        return [
            reference
            for reference, x in region.items()
            if owners.path(x.op) == owner
        ]
    return []


def _regions(output, way):
    """Yields what `output` alone is computed from, nearest first.

    Pairs of a tensor and the dict, by their references, of the tensors from
    behind it to `output`: all of them computed element by element.
    """
    region, frontier = {}, {output.ref(): output}
    while len(region) < _MOST_OPERATIONS:
        latest = max(frontier.values(), key=way.place)
        # Behind a source nothing is looked at; but `output` may be one itself,
        # of several of which one is computed from another.
        if latest is not output and way.place(latest) < 0:
            return
        is_joined = joined_parts(latest.op) is not None
        if latest.op.type not in _ELEMENTWISE and not is_joined:
            return
        region[latest.ref()] = frontier.pop(latest.ref())
        if is_joined:
            region[latest.op.inputs[0].ref()] = latest.op.inputs[0]
        for x in _made_from(latest):
            if way.depends(x):
                frontier[x.ref()] = x
        if len(frontier) == 1:
            yield next(iter(frontier.values())), dict(region)


def _made_from(tensor):
    return [x for _, x in _steps_up(tensor)]


def _steps_up(tensor):
    """Returns what a tensor is computed from, and the way to it.

    A list of pairs: a part of a `Rectifier.path`, and the tensor it leads to.
    """
    op = tensor.op
    if op.type == "IdentityN":
        number = tensor.value_index
        return [([(op, number)], op.inputs[number])]
    parts = joined_parts(op)
    if parts is not None:
        join = op.inputs[0].op
        return [([(op, 0), (join, n)], x) for n, x in enumerate(parts)]
    return [([(op, n)], x) for n, x in enumerate(op.inputs)]


def _path(output, source, region, way):
    """Returns a way by which a gradient passes, see `Rectifier.path`."""
    for steps, x in _steps_up(output):
        if x is source:
            return steps
        if x.ref() in region and x.ref() in way.carrying:
            rest = _path(x, source, region, way)
            if rest is not None:
                return [*steps, *rest]
    return None


def _are_of_one_shape(output, source):
    """Whether nothing was repeated on the way, as far as is known."""
    if output.shape.rank is None or source.shape.rank is None:
        return False
    # Axes of size 1 come and go where tensors are stacked.
    sizes = [[n for n in x.shape if n != 1] for x in (output, source)]
    return len(sizes[0]) == len(sizes[1]) and all(
        a == b or a is None for a, b in zip(*sizes, strict=True)
    )


def _is_gate(source, ceiling):
    """Whether a ReLU with a ceiling is a hard sigmoid: `relu6(x + 3) / 6`."""
    op = source.op
    return ceiling < np.inf and (
        op.type in ("Add", "AddV2", "Sub")
        and any(value not in (None, 0.0) for value in map(_number, op.inputs))
    )


def _slope_and_ceiling(output, source, region):
    """Returns both, if `output` is a ReLU of `source`, else `None`."""
    op = output.op
    if op.type in ("Relu", "Relu6") and op.inputs[0] is source:
        return 1.0, 6.0 if op.type == "Relu6" else np.inf
    dtype = source.dtype
    if dtype.name not in _ROUNDING:
        return None
    positive = np.concatenate([_HALF, _FAR.get(dtype.name, [])])
    grid = np.concatenate([-positive[::-1], [0.0], positive])
    with tf.init_scope():
        x = tf.constant(grid, dtype)
        try:
            y, slopes = _values_and_slopes(output, source, region, x)
        except _NotConstant:
            return None
        if y.shape != x.shape:
            return None
        arrays = [tf.cast(a, "float64").numpy() for a in (x, y, slopes)]
    return _as_relu(
        *arrays, max(_ROUNDING[dtype.name], _ROUNDING[y.dtype.name])
    )


def _values_and_slopes(output, source, region, x):
    """Returns what is computed at `x`, and with which derivative."""
    y = _evaluated(output, source, x)
    if not any(tensor.op.type == "StopGradient" for tensor in region.values()):
        return y, tf.cast(y, x.dtype) / x

    @tf.function(autograph=False)
    def slopes(x):
        y = _evaluated(output, source, x)
        return tf.gradients(y, x, unconnected_gradients="zero")[0]

    return y, slopes(x)


def _as_relu(x, y, slopes, tolerance):
    """Returns slope and ceiling of a ReLU with these values, or `None`.

    `slopes` are the derivatives where they could be others than those of the
    values: through `stop_gradient`.
    """
    rises = np.flatnonzero(y)
    if not np.isfinite(y).all() or len(rises) < 3 or rises[0] == 0:
        return None
    first = rises[0]
    slope = y[first] / x[first]
    ceiling = y[-1] if y[-1] < slope * x[-1] * (1 - tolerance) else np.inf
    expected = np.minimum(slope * x, ceiling) * (np.arange(len(x)) >= first)
    on_slope = (np.arange(len(x)) > first) & (expected < ceiling)
    is_relu = (
        slope > 0
        and np.allclose(y, expected, rtol=tolerance, atol=0)
        and np.allclose(slopes[on_slope], slope, rtol=tolerance)
    )
    return (float(slope), float(ceiling)) if is_relu else None


class _NotConstant(Exception):
    """A function has operands that are not known while it is traced."""


def _evaluated(tensor, source, x):
    """Returns the value of a tensor where `source` has the value `x`."""
    values = {source.ref(): x}

    def value(tensor):
        known = values.get(tensor.ref())
        if known is None:
            number = _number(tensor)
            if number is not None:
                known = tf.constant(number, tensor.dtype)
            elif tensor.op.type == "IdentityN":
                # Without the gradient of its own that it may have.
                known = value(_made_from(tensor)[0])
            elif joined_parts(tensor.op) is not None:
                known = _reduced(
                    tensor.op, list(map(value, _made_from(tensor)))
                )
            elif tensor.op.type in _ELEMENTWISE:
                known = _run(tensor.op, [value(x) for x in tensor.op.inputs])
            else:
                raise _NotConstant
            values[tensor.ref()] = known
        return known

    return value(tensor)


def _reduced(op, values):
    """Returns the reduction of values that are stacked, at each place."""
    shape = max((x.shape for x in values), key=len)
    stack = tf.stack([tf.broadcast_to(x, shape) for x in values])
    return getattr(tf.raw_ops, op.type)(input=stack, axis=0)


def _number(tensor):
    """Returns the number that fills a constant tensor, or `None`."""
    op = tensor.op
    if op.type in ("ZerosLike", "OnesLike"):
        return float(op.type == "OnesLike")
    array = tf.get_static_value(tensor)
    if array is not None:
        array = np.asarray(array)
        is_one = array.size and (array == array.flat[0]).all()
        return array.flat[0] if is_one else None
    if op.type in _FILLED:
        return _number(op.inputs[_FILLED[op.type]])
    return None


def _run(op, values):
    """Runs the same operation on other values."""
    function = getattr(tf.raw_ops, op.type)
    taken = op.op_def.input_arg
    if len(taken) == 1 and taken[0].number_attr:
        arguments = {taken[0].name: values}
    else:
        arguments = dict(zip((x.name for x in taken), values, strict=True))
    for name in inspect.signature(function).parameters:
        if name not in arguments and name != "name":
            arguments[name] = op.get_attr(name)
    return function(**arguments)
