"""Scores, activations and gradients of a model, in one traced step.

Everything here runs inside a `tf.function`: a model is called once, and its
scores, the activations of its layers and the gradients of any score with
respect to any of them are tensors of the same graph.
"""

import keras
import tensorflow as tf

from keras_xmap._axes import spatial_axes
from keras_xmap._checks import MISTAKES
from keras_xmap._messages import said_by
from keras_xmap.engine._frames import with_frames
from keras_xmap.engine._tap import record_calls
from keras_xmap.engine.contract import Evaluation
from keras_xmap.engine.geometry import GeometryError
from keras_xmap.engine.given import given
from keras_xmap.engine.given import map_given
from keras_xmap.engine.tensorflow import _cuts as cuts
from keras_xmap.engine.tensorflow import _graph as graph
from keras_xmap.engine.tensorflow import _ways as ways
from keras_xmap.engine.tensorflow._channels import OnlyProducts
from keras_xmap.engine.tensorflow._channels import Unclear
from keras_xmap.engine.tensorflow._channels import axes_of_recurrent_layers
from keras_xmap.engine.tensorflow._channels import channel_axis
from keras_xmap.engine.tensorflow._channels import flat_tensors
from keras_xmap.engine.tensorflow._channels import unknown_channels
from keras_xmap.engine.tensorflow._checks import TARGET_SCOPE
from keras_xmap.engine.tensorflow._geometry import Tracer
from keras_xmap.engine.tensorflow._linearity import Owners
from keras_xmap.engine.tensorflow._linearity import Way
from keras_xmap.engine.tensorflow._relu_rule import relu_rule
from keras_xmap.engine.tensorflow._score import find_logits
from keras_xmap.engine.tensorflow._score import squashing
from keras_xmap.engine.tensorflow._written_joins import with_joins
from keras_xmap.engine.units import units_of

# Far from both ends: on MobileNetV2 in mixed_float16, 1 to 4096 give the same
# maps and 65536 overflows.
_FLOAT16_SCALE = 256.0
# What a model raises that cannot be called on what it is given.
NOT_CALLED = (*MISTAKES, tf.errors.InvalidArgumentError)


class UnclearScore:
    """Stands for the score of an output that could not be found.

    Whatever is asked of it, the answer is the error that tells why.
    """

    def __init__(self, message):
        self._message = message

    def __getattr__(self, name):
        # Python and TensorFlow look for methods by names like these.
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()

    def __getitem__(self, key):
        self._refuse()

    def __array__(self, *args, **kwargs):
        self._refuse()

    def _refuse(self):
        raise ValueError(self._message)


class GraphEvaluation(Evaluation):
    """One call of a model in the graph of a `tf.function`."""

    def __init__(self, model, inputs, outputs, recording, score):
        self.inputs = inputs
        self._replaced = recording.replaced
        self._channel_axes = {}
        self._only_products = {}
        self.outputs = outputs
        self.input_data_format = recording.input_data_format
        self.calls = with_frames(
            with_joins(
                _reachable_calls(recording.calls),
                self.given_inputs,
                flat_tensors(outputs),
            )
        )
        self._frames = {
            call.outputs.ref(): call.frames
            for call in self.calls
            if call.frames
        }
        units = units_of(
            model,
            outputs,
            [squashing(x) for x in keras.tree.flatten(outputs)],
            score,
        )
        self.units = keras.tree.pack_sequence_as(outputs, units)
        self.scores, self.score_used = _scores(outputs, units, score)
        self._tracers = {}
        self._owners = None

    def gradients(
        self, score, tensors, rule="standard", where=None, apart=False
    ):
        floating = [tensor for tensor in tensors if tensor.dtype.is_floating]
        if not floating:
            raise self.without_gradient(score)
        if where is None:
            found = self._taken(score, floating, rule, apart)
        else:
            # Taken inside of the branch, so that the pass is not made.
            found = tf.cond(
                where,
                lambda: self._taken(score, floating, rule, apart),
                lambda: [_as_float(tf.zeros_like(x)) for x in floating],
            )
        found = iter(found)
        return [
            next(found) if tensor.dtype.is_floating else None
            for tensor in tensors
        ]

    def channel_axis(self, x):
        """Returns the axis of the channels of an input, or `None`.

        Where the model does not tell, images have the channels of its data
        format, and sequences theirs in the last axis.

        Raises:
            ValueError: If it may well be another one.
        """
        if len(x.shape) < 3 or not x.dtype.is_floating:
            return None
        axis = self._known_channel_axis(x)[0]
        summed = self._only_products.get(x.ref())
        if summed is not None:
            raise unknown_channels(x, axis, summed)
        return axis

    def map_rank(self, x):
        rank = len(x.shape)
        if rank < 3:
            return rank + 1
        axis, is_clear = self._known_channel_axis(x)
        return rank + 1 if axis is None and is_clear else rank

    def _known_channel_axis(self, x):
        """Returns the axis, and whether the model tells."""
        rank = len(x.shape)
        if x.ref() not in self._channel_axes:
            is_first = self.input_data_format == "channels_first"
            by_format = 1 if is_first else rank - 1
            try:
                axis = channel_axis(
                    x,
                    flat_tensors(self.outputs),
                    axes_of_recurrent_layers(self.calls),
                    by_format,
                )
                found = axis, True
            except OnlyProducts as error:
                found = by_format, False
                # Nothing else is as long as one position.
                if x.shape[by_format] != 1:
                    self._only_products[x.ref()] = error.axis
            except LookupError:
                found = by_format, False
            except Unclear:
                # Flattened: an image has its format, a matrix no channels.
                found = by_format if rank > 3 else None, False
            self._channel_axes[x.ref()] = found
        return self._channel_axes[x.ref()]

    def derive(self, function, *tensors):
        # What fails while the step runs is then known to be the target's.
        with tf.name_scope(TARGET_SCOPE):
            return function(*tensors)

    def ancestors(self, tensor):
        operations = set(graph.operations_above([tensor]))
        return _Container(self, lambda x: x.op in operations)

    def depends(self, score):
        sources = self.given_inputs + self._replaced
        return bool(graph.operations_between(sources, [score]))

    def carries_gradient(self, tensor, score):
        way = Way([tensor], score)
        return tensor is score or bool(way.carrying)

    def nonlinear_operations(self, tensors, score):
        sources = [x for tensor in tensors for x in self.parts(tensor)]
        way = Way(sources, score, apart=True)
        if not way.carries(score):
            raise self._no_gradient(tensors, score)
        return Owners(self.calls).names(way.nonlinear_operations())

    def nearest(self, score, stops, inputs):
        parts = [x for stop in stops for x in self.parts(stop)]
        met, reached = ways.nearest(score, parts, inputs)
        return (
            [x for x in stops if any(y.ref() in met for y in self.parts(x))],
            [x for x in inputs if x.ref() in reached],
        )

    def fewest(self, score, tensors, inputs):
        parts = [x for tensor in tensors for x in self.parts(tensor)]
        found = cuts.fewest(score, parts, inputs)
        return [
            x for x in tensors if any(y.ref() in found for y in self.parts(x))
        ]

    def moved(self, tensors):
        found = ways.moved(tensors, self.given_inputs)
        return _Container(self, lambda x: x.ref() in found)

    def offspring(self, tensors, score):
        sources = [x for tensor in tensors for x in self.parts(tensor)]
        found = ways.offspring(sources, score)
        return _Container(self, lambda x: x.ref() in found)

    def products(self, source, score):
        return [
            x for part in self.parts(source) for x in ways.products(part, score)
        ]

    def owner(self, tensor):
        if self._owners is None:
            self._owners = Owners(self.calls)
        return self._owners.call(tensor.op)

    def stream(self, tensor):
        return ways.stream(tensor)

    def is_gate(self, tensor, others, score):
        others = [x for other in others for x in self.parts(other)]
        return all(ways.is_gate(x, others, score) for x in self.parts(tensor))

    def geometry(self, tensor, source, data_format="channels_last"):
        rank = len(source.shape)
        if rank < 2:
            raise GeometryError("the input has one value an image", False)
        # Ids, and other numbers in a row, have no axis of channels.
        axes = spatial_axes(rank, self.input_data_format) or (1,)
        channels = None if rank < 3 else self._known_channel_axis(source)[0]
        has_channels = rank < 3 or channels
        found = self._attempted(source, axes, tensor, data_format)
        if isinstance(found, GeometryError):
            is_clear = found.is_unknown or rank == 2
        else:
            is_clear = found.is_as_expected and has_channels
        if not is_clear:
            # Which axes are positions is told by those the layer keeps.
            axes = tuple(range(1, rank))
            every = self._attempted(source, axes, tensor, data_format)
            if not isinstance(every, GeometryError):
                axes = every.axes_run_over
                if len(axes) < self.map_rank(source) - 2:
                    # Of others a position stands for the whole.
                    axes = tuple(n for n in range(1, rank) if n != channels)
                found = self._attempted(source, axes, tensor, data_format)
            elif not has_channels:
                found = every
        if isinstance(found, GeometryError):
            raise found
        return found

    def _attempted(self, source, axes, tensor, data_format):
        try:
            return self._tracer(source, axes).geometry(tensor, data_format)
        except GeometryError as error:
            return error

    def _tracer(self, source, axes):
        key = source.ref(), axes
        if key not in self._tracers:
            self._tracers[key] = Tracer(source, axes, self.calls)
        return self._tracers[key]

    def describe(self, tensor):
        return f"{tensor.op.type} {tensor.op.name!r}"

    def is_made_from(self, tensor, source):
        return any(graph.depends_on(tensor, x) for x in self.parts(source))

    def parts(self, tensor):
        """Returns the tensors that one is the stack of, or itself: a list.

        A layer that is called once a frame puts out a tensor for each; what
        it put out for all frames has no part in what follows.
        """
        frames = self._frames.get(tensor.ref())
        if frames is None:
            return [tensor]
        return [x for frame in frames for x in self.parts(frame)]

    def _joined(self, tensor, gradients):
        """Stacks gradients by the parts of a tensor, an iterator, as it is."""
        frames = self._frames.get(tensor.ref())
        if frames is None:
            return next(gradients)
        return tf.stack([self._joined(x, gradients) for x in frames], axis=1)

    def _taken(self, score, floating, rule, apart):
        parts = [x for tensor in floating for x in self.parts(tensor)]
        scale = _gradient_scale(parts, score)
        with relu_rule(rule, parts, score, self.calls):
            taken = tf.gradients(
                [score],
                parts,
                grad_ys=[scale * tf.ones_like(score)],
                stop_gradients=parts if apart else None,
            )
            if all(gradient is None for gradient in taken):
                raise self._no_gradient(floating, score)
        gradients = iter(
            [
                _as_float(
                    tf.zeros_like(part)
                    if gradient is None
                    else tf.convert_to_tensor(gradient)
                )
                / scale
                for part, gradient in zip(parts, taken, strict=True)
            ]
        )
        return [self._joined(tensor, gradients) for tensor in floating]

    def _no_gradient(self, tensors, score):
        """Returns the error for tensors that no gradient reaches."""
        if any(x is y for x in tensors for y in self.given_inputs):
            return self.without_gradient(score)
        return self.disconnected(score)


class _Container:
    """Tensors of an evaluation that a question is true of, or of a frame."""

    def __init__(self, evaluation, question):
        self._evaluation = evaluation
        self._question = question

    def __contains__(self, tensor):
        return any(map(self._question, self._evaluation.parts(tensor)))


def evaluate(model, inputs, score="logits", replacement=None):
    """Returns the `GraphEvaluation` of one call, see `Backend.evaluate`."""
    # Copies, so that gradients can be taken with respect to them in whatever
    # graph this is, also where the caller's tensors belong to an outer one.
    inputs = map_given(tf.identity, inputs)
    _check_ranks(model, inputs)
    with (
        keras.StatelessScope(collect_losses=True),
        record_calls(_uncompiled, replacement) as recording,
    ):
        try:
            outputs = model(inputs, training=False)
        except NOT_CALLED as error:
            raise not_called(model, inputs, error) from error
    return GraphEvaluation(model, inputs, outputs, recording, score)


def not_called(model, inputs, error):
    """Returns the error for a model that stops where it is called."""
    shapes = map_given(lambda x: tuple(x.shape), inputs)
    declared = getattr(model, "inputs", None)
    expected = "a batch as for `model.predict`, in a step that is compiled"
    remedy = ""
    if declared:
        expected += f": of shapes {[tuple(x.shape) for x in declared]}"
    elif any(len(x.shape) == 3 for x in given(inputs)):
        remedy = "A single image needs a batch axis: `images[np.newaxis]`. "
    return ValueError(
        f"The model {model.name!r} cannot be called on these inputs. "
        f"Expected: {expected}. Received: shapes {shapes}. {remedy}"
        f"It stopped with {type(error).__name__}: {said_by(error)}"
    )


def _uncompiled(function):
    """Returns the Python function of a `tf.function`, else `None`."""
    if isinstance(function, tf.types.experimental.PolymorphicFunction):
        return function.python_function
    return None


def _check_ranks(model, inputs):
    """Refuses inputs whose rank Keras would silently mend.

    Their maps would have lost, or gained, an axis.
    """
    declared = getattr(model, "inputs", None) or []
    received = keras.tree.flatten(inputs)
    if len(declared) != len(received):
        return
    pairs = [
        (expected.shape, x.shape)
        for expected, x in zip(declared, received, strict=True)
        # Ids and texts have no map of their own.
        if x is not None and x.dtype.is_floating
    ]
    if any(len(a) != len(b) for a, b in pairs):
        raise ValueError(
            f"The model {model.name!r} takes inputs of other ranks. Expected: "
            f"shapes {[tuple(x) for x, _ in pairs]}. Received: shapes "
            f"{[tuple(x) for _, x in pairs]}. A single image needs a batch "
            "axis, `images[np.newaxis]`; grey images need a channel axis, "
            "`images[..., np.newaxis]`."
        )


def _scores(outputs, units, score):
    flat = keras.tree.flatten(outputs)
    if score == "output":
        scores, used = flat, ["the output itself"] * len(flat)
    else:
        scores, used = [], []
        for number, output in enumerate(flat):
            name = f"output {number}" if len(flat) > 1 else "the output"
            logits, description = _logits(output, name, len(flat) == 1)
            scores.append(logits)
            used.append(description)
    used = [
        text + unit.remark if _has_one_unit(output) else text
        for text, unit, output in zip(used, units, flat, strict=True)
    ]
    scores = [_as_float(x) if isinstance(x, tf.Tensor) else x for x in scores]
    return keras.tree.pack_sequence_as(outputs, scores), "; ".join(used)


def _has_one_unit(output):
    shape = tuple(getattr(output, "shape", None) or ())
    return len(shape) == 1 or shape[-1:] == (1,)


def _logits(output, name, is_only):
    if not isinstance(output, tf.Tensor) or not output.dtype.is_floating:
        return output, "the output itself"
    try:
        return find_logits(output, name)
    except ValueError as error:
        if is_only:
            raise
        # Another output may be meant: only who uses this one is refused.
        return UnclearScore(str(error)), "unclear"


def _as_float(tensor):
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, "float32")


def _gradient_scale(tensors, score):
    """Returns what scores are multiplied by, so that no gradient vanishes.

    On its way through float16 operations a gradient below 6e-8 becomes 0.
    """
    half = any(
        output.dtype == tf.float16
        for op in graph.operations_between(tensors, [score])
        for output in op.outputs
    )
    return _FLOAT16_SCALE if half else 1.0


def _reachable_calls(calls):
    here = tf.compat.v1.get_default_graph()

    def in_this_graph(call):
        tensors = graph.tensors_of(call)
        return tensors and all(tensor.graph is here for tensor in tensors)

    return [call for call in calls if in_this_graph(call)]
