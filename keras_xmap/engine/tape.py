"""Scores, activations and gradients of a model, in one traced step.

Everything here runs inside a `tf.function` (see `run.Runner`): a model is
called once, and its scores, the activations of its layers and the gradients
of any score with respect to any of them are tensors of the same graph.
"""

import logging

import keras
import tensorflow as tf

from keras_xmap.engine import graph
from keras_xmap.engine.relu_rule import marked_relus
from keras_xmap.engine.relu_rule import relu_rule
from keras_xmap.engine.score import find_logits
from keras_xmap.engine.tap import record_calls

logger = logging.getLogger("keras_xmap")

_FLOAT16_SCALE = 256.0


class Evaluation:
    """One call of a model, with what its layers put out.

    Attributes:
        inputs: Structure of tensors the model was called on.
        outputs: Structure of tensors the model returned.
        scores: Like `outputs`, in float32 (float64 for a float64 model):
            the values a target chooses from.
        score_used: String: where in the model the scores were found.
        input_data_format: `"channels_last"` or `"channels_first"`.
    """

    def __init__(self, inputs, outputs, recording, score):
        self.inputs = inputs
        self.outputs = outputs
        self.input_data_format = recording.input_data_format
        self._calls = _reachable_calls(recording.calls)
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
        scale = _gradient_scale(floating, score)
        with relu_rule(rule, floating, score):
            taken = tf.gradients(
                [score], floating, grad_ys=[scale * tf.ones_like(score)]
            )
        if all(gradient is None for gradient in taken):
            raise ValueError(
                "The target does not depend on what is to be explained. "
                "Expected: a score computed from the outputs of the model, "
                "by operations that have a gradient. Received: "
                f"{score.op.type} {score.op.name!r}. Look for a target that "
                "returns a constant, for `argmax` or rounding in it, for "
                "`stop_gradient` in the model, or for a layer that has no "
                "part in this output."
            )
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

    def is_made_from(self, tensor, source):
        """Returns whether `tensor` is computed from `source`."""
        return graph.depends_on(tensor, source)

    def nonlinear_operations(self, tensor, score):
        """Names what keeps `score` from being linear in `tensor`."""
        return graph.nonlinear_operations([tensor], score)

    def layer_call(self, target_layer, score):
        """Returns the `LayerCall` that a CAM should look at.

        Args:
            target_layer: `keras.layers.Layer`, name, path such as
                `"base/Conv_1"`, either with `":n"` behind it for the n-th
                call (from 0) of a layer that is called several times; or
                `None` for the last layer called whose output has more than
                one position.
            score: Tensor the layer has to have a part in.
        """
        if target_layer is None:
            return self._last_spatial_call(score)
        calls = self._calls_of(target_layer)
        if len(calls) > 1:
            logger.info(
                "Layer %r is called %d times; explaining the last call "
                "(append ':0' to its name for the first).",
                calls[-1].path,
                len(calls),
            )
        call = calls[-1]
        if not isinstance(call.outputs, tf.Tensor):
            raise ValueError(
                "`target_layer` must be a layer that returns one tensor. "
                f"Received: target_layer={target_layer!r}, which returns "
                f"{keras.tree.map_structure(lambda x: x.shape, call.outputs)}."
            )
        return call

    def _calls_of(self, target_layer):
        if isinstance(target_layer, keras.layers.Layer):
            found = [c for c in self._calls if c.layer is target_layer]
        else:
            name, index = _split_index(target_layer)
            found = [
                c
                for c in self._calls
                if c.path and f"/{c.path}".endswith(f"/{name}")
            ]
            exact = [c for c in found if c.path == name]
            found = exact or found
            found = found if index is None else found[index : index + 1]
        paths = sorted({call.path for call in found})
        if not found:
            known = [call.path for call in self._calls if call.path]
            raise ValueError(
                "`target_layer` must be a layer that runs when the model is "
                "called, given as the layer, its name or its path. Received: "
                f"target_layer={_describe(target_layer)}. Layers that run: "
                f"{', '.join(dict.fromkeys(known)) or 'none'}."
            )
        if len({id(call.layer) for call in found}) > 1:
            raise ValueError(
                "`target_layer` must name one layer. Received: target_layer="
                f"{target_layer!r}, which fits {', '.join(paths)}. Pass the "
                "path, or the layer itself."
            )
        return found

    def _last_spatial_call(self, score):
        ranks = [len(x.shape) for x in keras.tree.flatten(self.inputs)]
        rank = max(ranks, default=0)
        upstream = set(graph.operations_above([score]))
        final = {x.ref() for x in keras.tree.flatten(self.outputs)}
        final |= {x.ref() for x in keras.tree.flatten(self.scores)}
        chosen = None
        for call in self._calls:
            tensor = call.outputs
            if (
                isinstance(tensor, tf.Tensor)
                and len(tensor.shape) == rank >= 3
                and tensor.dtype.is_floating
                and tensor.op in upstream
                and tensor.ref() not in final
                and _num_positions(tensor.shape, call.data_format) != 1
                # A model or a pass-through layer returns another's tensor.
                and (chosen is None or tensor is not chosen.outputs)
            ):
                chosen = call
        if chosen is None:
            shapes = [tuple(x.shape) for x in keras.tree.flatten(self.inputs)]
            raise ValueError(
                "The model has no spatial layer: none of its layers that has "
                "a part in the target puts out more than one position. "
                f"Received: a model called on shapes {shapes}. Class "
                "activation maps need a convolutional layer; use Saliency or "
                "SmoothGrad, or name a `target_layer`."
            )
        logger.info("Explaining layer %r, chosen automatically.", chosen.path)
        return chosen


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
            logits, description = find_logits(output, name)
            scores.append(logits)
            used.append(description)
    scores = [_as_float(tensor) for tensor in scores]
    return keras.tree.pack_sequence_as(outputs, scores), "; ".join(used)


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


def _num_positions(shape, data_format):
    dims = shape[1:-1] if data_format == "channels_last" else shape[2:]
    return None if None in tuple(dims) else dims.num_elements()


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


def _describe(target_layer):
    return repr(getattr(target_layer, "name", target_layer))
