"""What all explainers share: the contract, and how targets become scores."""

import abc

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._checks import check_one_of
from keras_xmap._warnings import warn_user


class Explainer(abc.ABC):
    """Base of all explainers.

    Args:
        model: `keras.Model`, or any Keras layer, that runs on TensorFlow:
            functional, sequential, nested or subclassed. It is only called,
            in inference mode, and never changed. Its weights may change
            between explanations; after a change of its layers, or of an
            attribute of the explainer, make a new explainer.
        score: `"logits"` explains the score before the softmax or sigmoid
            that ends the model; `"output"` the output as it is. Defaults to
            `"logits"`.

    Attributes:
        score_used: String: where the explained score was found in the model;
            `None` before the first explanation.
    """

    # Why a map may be zero everywhere; kinds of explainers say more.
    cause_of_zeros = "the score does not change with the image"

    def __init__(self, model, score="logits"):
        if not isinstance(model, keras.layers.Layer):
            raise TypeError(
                "`model` must be a keras.Model or a Keras layer. Received: "
                f"model={model!r} (of type {type(model).__name__})."
            )
        self.model = model
        self.score = check_one_of("score", score, ("logits", "output"))
        self.score_used = None
        self._runner = engine.Runner(model, self._compute_float32)

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

        Warns:
            UserWarning: How many maps are zero everywhere, and why that may
                be.
        """
        target = targets.get(target)
        maps = self._runner.collect(data, target, batch_size, verbose)
        self._warn_of_zeros(maps, target.is_single(target.parts))
        return maps

    def explain_batches(self, data, target=None, batch_size=32, verbose=0):
        """Yields the results of `explain`, one batch at a time.

        For data whose maps do not fit in memory. Arguments as for `explain`.
        """
        return self._runner.batches(
            data, targets.get(target), batch_size, verbose
        )

    def __getstate__(self):
        # Compiled steps and locks are not copied; they are made anew.
        return {k: v for k, v in vars(self).items() if k != "_runner"}

    def __setstate__(self, state):
        vars(self).update(state)
        self._runner = engine.Runner(self.model, self._compute_float32)

    def _warn_of_zeros(self, maps, is_single):
        maps = [x for x in keras.tree.flatten(maps) if x is not None]
        first = 1 if is_single else 2  # the axis behind images and classes
        found = [x.any(axis=tuple(range(first, x.ndim))) for x in maps]
        num_zero = sum(int(x.size - x.sum()) for x in found)
        if num_zero:
            saturated = (
                ", or the softmax or sigmoid that ends the model is "
                'saturated: explain score="logits"'
            )
            warn_user(
                f"{num_zero} of {sum(x.size for x in found)} maps of "
                f"{type(self).__name__} are zero everywhere: "
                f"{self.cause_of_zeros}"
                f"{saturated if self.score == 'output' else ''}."
            )

    @abc.abstractmethod
    def _compute(self, inputs, target, parts):
        """Returns the maps of one batch. Runs while a step is traced."""

    def _compute_float32(self, inputs, target, parts):
        # Half precision would lose small gradients on their last step.
        inputs = keras.tree.map_structure(
            lambda x: ops.cast(x, "float32") if _is_half(x) else x, inputs
        )
        return keras.tree.map_structure(
            lambda x: None if x is None else ops.cast(x, "float32"),
            self._compute(inputs, target, parts),
        )

    def _evaluate(self, inputs):
        evaluation = engine.evaluate(self.model, inputs, self.score)
        self.score_used = evaluation.score_used
        return evaluation


def _is_half(x):
    return keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")


def class_scores(evaluation, target, parts):
    """Returns a list with one score tensor of shape `(batch,)` per class."""
    scores = target.scores(evaluation.scores, parts)
    evaluation.check_depends(scores)
    _check_scores(scores, evaluation, target, parts)
    if len(scores.shape) == 1:
        return [scores]
    return [scores[:, k] for k in range(scores.shape[-1])]


def _check_scores(scores, evaluation, target, parts):
    shape = tuple(scores.shape)
    if len(shape) != (1 if target.is_single(parts) else 2):
        raise ValueError(
            "A target must return shape (batch,), or (batch, classes) where "
            f"its `is_single` is false. Received: shape {shape} from {target}."
        )
    if shape[-1] is None and len(shape) == 2:
        raise ValueError(
            "The number of classes in `target` must be known. Received: a "
            f"target of shape {shape} inside a tf.function. Set its shape by "
            "`target.set_shape((None, classes))`."
        )
    # Else the maps of the images left out would be 0 without a word.
    num_images = ops.shape(keras.tree.flatten(evaluation.inputs)[0])[0]
    engine.require(
        ops.equal(ops.shape(scores)[0], num_images),
        "A target must return one score per image. Received: (scores, images)",
        ops.shape(scores)[0],
        num_images,
    )


def join_classes(maps, single):
    """Joins the maps of the classes, behind the batch axis.

    Args:
        maps: List of one tensor `(batch, ...)` per class.
        single: Boolean: the target is one class, which gets no axis.
    """
    return maps[0] if single else ops.stack(maps, axis=1)
