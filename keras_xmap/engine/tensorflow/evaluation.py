"""Scores, activations and gradients of a model, in one traced step.

Everything here runs inside a `tf.function` (see `run.Runner`): a model is
called once, and its scores, the activations of its layers and the gradients
of any score with respect to any of them are tensors of the same graph.
"""

import keras
import tensorflow as tf

from keras_xmap.engine._layer_by_order import last_calls_of_sizes
from keras_xmap.engine._layer_by_order import last_spatial_call
from keras_xmap.engine._layer_by_order import named_call
from keras_xmap.engine.tensorflow import _graph as graph
from keras_xmap.engine.tensorflow._relu_rule import marked_relus
from keras_xmap.engine.tensorflow._relu_rule import relu_rule
from keras_xmap.engine.tensorflow._score import find_logits
from keras_xmap.engine.tensorflow._tap import record_calls

# Far from both ends: on MobileNetV2 in mixed_float16, 1 to 4096 give the same
# maps and 65536 overflows.
_FLOAT16_SCALE = 256.0


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
        raise ValueError(self._message)

    def __getitem__(self, key):
        raise ValueError(self._message)

    def __array__(self, *args, **kwargs):
        raise ValueError(self._message)


class Evaluation:
    """One call of a model, with what its layers put out.

    Attributes:
        inputs: Structure of tensors the model was called on.
        outputs: Structure of tensors the model returned.
        scores: Like `outputs`, in float32 (float64 for a float64 model):
            the values a target chooses from.
        score_used: String: where in the model the scores were found.
        input_data_format: `"channels_last"` or `"channels_first"`.
        calls: List of `tap.LayerCall`: the layers, in the order they ran.
    """

    def __init__(self, inputs, outputs, recording, score):
        self.inputs = inputs
        self.outputs = outputs
        self.input_data_format = recording.input_data_format
        self.calls = _reachable_calls(recording.calls)
        self.scores, self.score_used = _scores(outputs, score)

    def gradients(self, score, tensors, rule="standard"):
        """Takes the gradients of one score per image.

        Args:
            score: Tensor of shape `(batch,)`, computed from `scores`.
            tensors: List of tensors of this evaluation.
            rule: Backward rule of ReLUs, see `relu_rule.RELU_RULES`.

        Returns:
            List like `tensors`: float32 gradients (float64 where the tensor
            is float64), `None` for tensors that are not floating-point.

        Raises:
            ValueError: If `score` depends on none of `tensors`.
        """
        floating = [tensor for tensor in tensors if tensor.dtype.is_floating]
        if not floating:
            raise TypeError(
                "There is no gradient with respect to integers. Expected: a "
                "floating-point input. Received: dtypes "
                f"{[x.dtype.name for x in keras.tree.flatten(self.inputs)]}. "
                "Use a class activation map, or a method that changes the "
                "input, such as Occlusion."
            )
        scale = _gradient_scale(floating, score)
        with relu_rule(rule, floating, score):
            taken = tf.gradients(
                [score], floating, grad_ys=[scale * tf.ones_like(score)]
            )
            if all(gradient is None for gradient in taken):
                raise _disconnected(score)
        found = iter(
            tf.zeros_like(tensor) if gradient is None else gradient
            for tensor, gradient in zip(floating, taken, strict=True)
        )
        return [
            _as_float(tf.convert_to_tensor(next(found))) / scale
            if tensor.dtype.is_floating
            else None
            for tensor in tensors
        ]

    def check_depends(self, score):
        """Checks that `score` is computed from the inputs."""
        inputs = keras.tree.flatten(self.inputs)
        if not graph.operations_between(inputs, [score]):
            raise _disconnected(score)

    def is_made_from(self, tensor, source):
        """Returns whether `tensor` is computed from `source`."""
        return graph.depends_on(tensor, source)

    def nonlinear_operations(self, tensor, score):
        """Names what keeps `score` from being linear in `tensor`."""
        return graph.nonlinear_operations([tensor], score)

    def layer_call(self, target_layer, score):
        """Returns the `LayerCall` that a CAM should look at.

        Args:
            target_layer: `keras.layers.Layer`, name, path or `None`, see
                `layer_choice`.
            score: Tensor the layer has to have a part in.
        """
        if target_layer is None:
            return last_spatial_call(self, score)
        return named_call(self.calls, target_layer)

    def last_layer_calls(self, num_sizes, score):
        """Returns the last `LayerCall` of each of the coarsest sizes.

        Args:
            num_sizes: Integer >= 1.
            score: See `layer_call`.
        """
        return last_calls_of_sizes(self, score, num_sizes)


def evaluate(model, inputs, score="logits"):
    """Calls `model` once in inference mode and returns the `Evaluation`.

    Must run while a `tf.function` is traced. Nothing of the model is changed:
    variables, losses and modes are as before, also after an error.

    Args:
        model: Any `keras.Model` or layer.
        inputs: Structure of tensors, as the model takes it.
        score: `"logits"`: scores are what softmax or sigmoid are applied to;
            `"output"`: scores are the outputs as they are.
    """
    # Copies, so that gradients can be taken with respect to them in whatever
    # graph this is, also where the caller's tensors belong to an outer one.
    inputs = keras.tree.map_structure(tf.identity, inputs)
    _check_ranks(model, inputs)
    with (
        marked_relus(),
        keras.StatelessScope(collect_losses=True),
        record_calls() as recording,
    ):
        try:
            outputs = model(inputs, training=False)
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
            raise ValueError(
                f"The model {model.name!r} cannot be called on these inputs. "
                f"Expected: a batch as for `model.predict`. Received: shapes "
                f"{shapes}. A single image needs a batch axis: "
                f"`images[np.newaxis]`. Keras said: {error}"
            ) from error
    return Evaluation(inputs, outputs, recording, score)


def _check_ranks(model, inputs):
    """Refuses inputs whose rank Keras would silently mend.

    Their maps would have lost, or gained, an axis.
    """
    expected = [x.shape for x in getattr(model, "inputs", None) or ()]
    received = [x.shape for x in keras.tree.flatten(inputs)]
    if len(expected) == len(received) and any(
        len(a) != len(b) for a, b in zip(expected, received, strict=True)
    ):
        raise ValueError(
            f"The model {model.name!r} takes inputs of other ranks. Expected: "
            f"shapes {[tuple(x) for x in expected]}. Received: shapes "
            f"{[tuple(x) for x in received]}. A single image needs a batch "
            "axis, `images[np.newaxis]`; grey images need a channel axis, "
            "`images[..., np.newaxis]`."
        )


def _scores(outputs, score):
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
    scores = [_as_float(x) if isinstance(x, tf.Tensor) else x for x in scores]
    return keras.tree.pack_sequence_as(outputs, scores), "; ".join(used)


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


def _disconnected(score):
    return ValueError(
        "The target does not depend on what is to be explained. Expected: a "
        "score computed from the outputs of the model, by operations that "
        f"have a gradient. Received: {score.op.type} {score.op.name!r}. Look "
        "for a target that returns a constant, for `argmax` or rounding in "
        "it, for `stop_gradient` in the model, or for a layer that has no "
        "part in this output."
    )


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
        tensors = [
            x for x in keras.tree.flatten(call.outputs) if tf.is_tensor(x)
        ]
        return tensors and all(tensor.graph is here for tensor in tensors)

    return [call for call in calls if in_this_graph(call)]
