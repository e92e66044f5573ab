"""What all explainers share: the contract, and the work around a formula.

`Explainer` is the contract. `GradientExplainer` takes derivatives with
respect to the input, `ActivationExplainer` combines the activations of a
layer with their derivatives. A method overrides its one formula.
"""

import abc

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._validation import check_one_of
from keras_xmap.ops import resize

CHANNEL_REDUCTIONS = ("max", "mean", "norm", "sum", None)


class Explainer(abc.ABC):
    """Base of all explainers.

    Args:
        model: `keras.Model`, or any Keras layer, that runs on TensorFlow:
            functional, sequential, nested or subclassed. It is only called,
            in inference mode, and never changed.
        score: `"logits"` explains the score before the softmax or sigmoid
            that ends the model; `"output"` the output as it is. Defaults to
            `"logits"`.

    Attributes:
        score_used: String: where the explained score was found in the model;
            `None` before the first explanation.
    """

    def __init__(self, model, score="logits"):
        if not isinstance(model, keras.layers.Layer):
            raise TypeError(
                "`model` must be a keras.Model or a Keras layer. Received: "
                f"model={model!r} (of type {type(model).__name__})."
            )
        self.model = model
        self.score = check_one_of("score", score, ("logits", "output"))
        self.score_used = None
        self._runner = engine.Runner(model, self._compute)

    def __call__(self, inputs, target=None):
        """Explains one batch of tensors, wherever the caller stands.

        Inside a `tf.function` or `strategy.run` the explanation becomes part
        of the caller's graph.

        Args:
            inputs: Floating-point tensor or array `(batch, ...)`, or the
                structure of them that the model takes.
            target: What is explained, see `keras_xmap.targets`. Defaults to
                `None`: the class with the highest score.

        Returns:
            Float32 tensor, shaped as `explain` says.

        Raises:
            ValueError: If inputs, target and model do not fit each other.
            TypeError: If inputs are integers.
        """
        return self._runner.call(inputs, targets.get(target))

    def explain(self, data, target=None, batch_size=32, verbose="auto"):
        """Explains any amount of data, batch by batch.

        A model that was built in the scope of a `tf.distribute` strategy is
        explained on all replicas of this process.

        Args:
            data: Floating-point array or tensor `(n, ...)`, or the structure
                of them that the model takes; or a `tf.data.Dataset` of
                batches, as for `model.predict`.
            target: See `__call__`; arrays have one entry per image.
            batch_size: Integer: images in one forward pass. A dataset has
                batches of its own. Defaults to `32`.
            verbose: `"auto"`, 0 or 1: whether to show a progress bar.
                `"auto"` shows it from two batches on. Defaults to `"auto"`.

        Returns:
            Float32 array `(n, height, width)`, in the order of the data. The
            number of axes follows the input; a target of shape `(n,
            classes)` puts an axis of size `classes` behind the first.
        """
        return self._runner.collect(
            data, targets.get(target), batch_size, verbose
        )

    def explain_batches(self, data, target=None, batch_size=32, verbose=0):
        """Yields the results of `explain`, one batch at a time.

        For data whose maps do not fit in memory. Arguments as for `explain`.
        """
        return self._runner.batches(
            data, targets.get(target), batch_size, verbose
        )

    @abc.abstractmethod
    def _compute(self, inputs, target, parts):
        """Returns the maps of one batch. Runs while a step is traced."""

    def _evaluate(self, inputs):
        evaluation = engine.evaluate(self.model, inputs, self.score)
        self.score_used = evaluation.score_used
        return evaluation


class GradientExplainer(Explainer):
    """Base of explainers that differentiate a score by the input.

    Args:
        model: See `Explainer`.
        channel_reduction: How the derivatives of a pixel's channels become
            one number: `"max"` of, `"mean"` of, or Euclidean `"norm"` of the
            absolute values; `"sum"` of the signed values; `None` keeps the
            shape of the input. Inputs of shape `(batch, features)` have no
            channels and are only made absolute. Defaults to `"max"`.
        score: See `Explainer`.
    """

    def __init__(self, model, channel_reduction="max", score="logits"):
        super().__init__(model, score)
        self.channel_reduction = check_one_of(
            "channel_reduction", channel_reduction, CHANNEL_REDUCTIONS
        )

    @abc.abstractmethod
    def attributions(self, inputs, target, parts):
        """Returns `(attributions, data_format)` of one batch.

        `attributions` has one entry per class: a list with one tensor per
        input, of the input's shape, or `None` for inputs of integers.
        """

    def _compute(self, inputs, target, parts):
        per_class, data_format = self.attributions(inputs, target, parts)
        maps = [
            None
            if of_input[0] is None
            else _join_classes(
                [self._reduce(x, data_format) for x in of_input],
                _is_single(target, parts),
            )
            for of_input in zip(*per_class, strict=True)
        ]
        return keras.tree.pack_sequence_as(inputs, maps)

    def _reduce(self, attribution, data_format):
        how = self.channel_reduction
        if how is None:
            return attribution
        if len(attribution.shape) < 3:
            return attribution if how == "sum" else ops.abs(attribution)
        axis = -1 if data_format == "channels_last" else 1
        if how == "sum":
            return ops.sum(attribution, axis=axis)
        if how == "norm":
            return ops.sqrt(ops.sum(ops.square(attribution), axis=axis))
        magnitude = ops.abs(attribution)
        reduce = ops.max if how == "max" else ops.mean
        return reduce(magnitude, axis=axis)

    def _gradients(self, evaluation, target, parts, rule="standard"):
        tensors = keras.tree.flatten(evaluation.inputs)
        return [
            evaluation.gradients(score, tensors, rule)
            for score in class_scores(evaluation, target, parts)
        ]


class ActivationExplainer(Explainer):
    """Base of explainers that weigh the activations of a layer: CAMs.

    Args:
        model: See `Explainer`.
        target_layer: `keras.layers.Layer`, its name, or its path such as
            `"base/Conv_1"`; `":0"` behind a name means the first call of a
            layer that is called several times. Defaults to `None`: the last
            layer called whose output has more than one position and is not
            itself the model's output.
        resize: Boolean: whether maps are brought to the size of the input,
            by linear interpolation. Defaults to `True`.
        score: See `Explainer`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation.
    """

    def __init__(self, model, target_layer=None, resize=True, score="logits"):
        super().__init__(model, score)
        self.target_layer = target_layer
        self.resize = resize
        self.layers_used = None

    @abc.abstractmethod
    def map(self, activations, gradients):
        """Returns the map of one class, of shape `(batch, *spatial)`.

        Args:
            activations: Float32 `(batch, *spatial, channels)`.
            gradients: Derivatives of the scores by `activations`.
        """

    def check_model(self, evaluation, layer_call, score):
        """Raises if the method is not defined for this model."""

    def _compute(self, inputs, target, parts):
        evaluation = self._evaluate(inputs)
        scores = class_scores(evaluation, target, parts)
        call = evaluation.layer_call(self.target_layer, scores[0])
        self.layers_used = [call.path]
        _check_spatial(call, self.target_layer)
        self.check_model(evaluation, call, scores[0])
        activations = _channels_last(call.outputs, call.data_format)
        maps = []
        for score in scores:
            (gradients,) = evaluation.gradients(score, [call.outputs])
            gradients = _channels_last(gradients, call.data_format)
            maps.append(self.map(activations, gradients))
        if self.resize:
            size = _input_size(evaluation, call)
            maps = [
                resize(x[..., None], size, data_format="channels_last")[..., 0]
                for x in maps
            ]
        return _join_classes(maps, _is_single(target, parts))


def spatial_axes(x):
    """Returns the axes of `x` between the batch and the channels."""
    return tuple(range(1, len(x.shape) - 1))


def class_scores(evaluation, target, parts):
    """Returns a list with one score tensor of shape `(batch,)` per class."""
    scores = target.scores(evaluation.scores, parts)
    evaluation.check_depends(scores)
    if len(scores.shape) == 1:
        return [scores]
    if scores.shape[-1] is None:
        raise ValueError(
            "The number of classes in `target` must be known. Received: a "
            f"target of shape {tuple(scores.shape)} inside a tf.function. Set "
            "its shape by `target.set_shape((None, classes))`."
        )
    return [scores[:, k] for k in range(scores.shape[-1])]


def _is_single(target, parts):
    return all(len(part.shape) != 2 for part in parts.values())


def _join_classes(maps, single):
    return maps[0] if single else ops.stack(maps, axis=1)


def _channels_last(x, data_format):
    x = ops.cast(x, "float32")
    if data_format == "channels_last":
        return x
    return ops.moveaxis(x, 1, -1)


def _check_spatial(call, target_layer):
    if len(call.outputs.shape) < 3:
        raise ValueError(
            "`target_layer` must be a spatial layer. Expected: an output of "
            "shape (batch, height, width, channels), or of another number of "
            f"positions. Received: target_layer={call.path!r} with shape "
            f"{tuple(call.outputs.shape)}. Name the last convolution."
        )


def _input_size(evaluation, call):
    """Returns the size of the input that the layer's positions stand for."""
    rank = len(call.outputs.shape)
    sizes = [
        ops.shape(x)[1:-1]
        if evaluation.input_data_format == "channels_last"
        else ops.shape(x)[2:]
        for x in keras.tree.flatten(evaluation.inputs)
        if len(x.shape) == rank and evaluation.is_made_from(call.outputs, x)
    ]
    if not sizes or any(size != sizes[0] for size in sizes):
        raise ValueError(
            "It is not clear to which size the map should be brought. "
            f"Expected: inputs of one size that layer {call.path!r} is "
            f"computed from. Received: sizes {sizes}. Pass `resize=False`."
        )
    return sizes[0]
