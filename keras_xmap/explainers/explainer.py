"""What all explainers share: the contract, and how targets become scores."""

import abc
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap._warnings import warn_user
from keras_xmap.explainers._model_reader import ModelReader
from keras_xmap.explainers._views import as_views
from keras_xmap.explainers._views import mean_over_views


class Explainer(ModelReader, abc.ABC):
    """Base of all explainers.

    A method of your own is a subclass of one of three bases, which do
    everything but the formula: `CAMExplainer`, `GradientExplainer` or
    `PerturbationExplainer`. What fits none of them derives from this class
    and overrides `compute`.

    Explainers can be copied, deep-copied and pickled like the model they
    hold; compiled steps are not copied but made anew.

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

    Raises:
        TypeError: If `model` is no Keras layer.
        ValueError: If `score` is none of the two.
        ImportError: If models of this Keras backend cannot be explained.
    """

    # Why a map may be zero everywhere; kinds of explainers say more.
    cause_of_zeros = "the score does not change with the image"

    def __init__(self, model: keras.layers.Layer, score: str = "logits"):
        super().__init__(model, score)

    def __call__(
        self,
        inputs: Structure,
        target: object = None,
        views: list | tuple | None = None,
    ) -> Structure:
        """Explains one batch of tensors, wherever the caller stands.

        Inside a `tf.function` or `strategy.run` the explanation becomes part
        of the caller's graph.

        Args:
            inputs: Tensor or array `(batch, ...)`, or the structure of them
                that the model takes. Integers are cast to the floats that the
                model declares.
            target: What is explained, see `keras_xmap.targets`. Defaults to
                `None`: the class with the highest score.
            views: See `explain`.

        Returns:
            Float32 tensor, shaped as `explain` says.

        Raises:
            ValueError: If inputs, target, views and model do not fit each
                other.
            TypeError: If inputs are text, pictures or functions.
        """
        target = self.convert_target(target)
        return self._runner.call(inputs, target, *self._options(views))

    def explain(
        self,
        data: Structure,
        target: object = None,
        batch_size: int = 32,
        verbose: str | int = "auto",
        views: list | tuple | None = None,
    ) -> Structure:
        """Explains any amount of data, batch by batch.

        A model that was built in the scope of a `tf.distribute` strategy is
        explained on all replicas of this process.

        Args:
            data: What `model.predict` takes: array or tensor `(n, ...)`, or
                the structure of them that the model takes; or batches, from a
                `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator.
                Integers are cast to the floats that the model declares.
            target: See `__call__`; arrays have one entry per image.
                `"labels"` explains, of data that comes in batches, the class
                of the labels beside the images.
            batch_size: Integer: images in one forward pass of arrays. Batches
                are taken as they come. Defaults to `32`.
            verbose: `"auto"`, 0 or 1: whether to show a progress bar.
                `"auto"` shows it from two batches on. Defaults to `"auto"`.
            views: List of views of the images whose maps are averaged, as
                the seeds of weakly supervised segmentation are made: a scale
                such as `1.5`, `"mirror"`, left and right exchanged, or a pair
                `(1.5, "mirror")`. The raw map of each view is brought back to
                the pixels of the image, and the mean is taken of these; the
                target is what the model answers to the image itself. One view
                is in memory at a time. Defaults to `None`: the image as it is.

        Returns:
            Float32 array `(n, height, width)`, in the order of the data. The
            number of axes follows the input; a target of shape `(n,
            classes)` puts an axis of size `classes` behind the first.

        Warns:
            UserWarning: How many maps are zero everywhere, and why that may
                be.
        """
        target = self.convert_target(target)
        maps = self._runner.collect(
            data, target, batch_size, verbose, *self._options(views)
        )
        self._warn_of_zeros(maps, target)
        return maps

    def explain_batches(
        self,
        data: Structure,
        target: object = None,
        batch_size: int = 32,
        verbose: str | int = 0,
        views: list | tuple | None = None,
    ) -> Iterator[Structure]:
        """Yields the results of `explain`, one batch at a time.

        For data whose maps do not fit in memory. Arguments as for `explain`.
        """
        target = self.convert_target(target)
        return self._runner.batches(
            data, target, batch_size, verbose, *self._options(views)
        )

    def convert_target(self, target: object) -> targets.Target:
        """Returns the `Target` that a user's `target` stands for."""
        return targets.get(target)

    @abc.abstractmethod
    def compute(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> tuple[Structure, dict]:
        """Explains one batch. Runs while a step is traced.

        Args:
            inputs: Structure of tensors, as the model takes it.
            target: The `Target`.
            parts: Its parts, as tensors.

        Returns:
            The maps, and a dict of attributes that tell what was explained:
            at least `score_used`.
        """

    def evaluate(self, inputs: Structure) -> engine.Evaluation:
        """Returns the `engine.Evaluation` of the model on a batch."""
        return engine.evaluate(self.model, inputs, self.score)

    def check_views(self) -> None:
        """Raises if the maps of several views cannot be averaged.

        Maps that do not lie on the pixels of the input are told of here.
        """

    def resolved_parts(
        self,
        evaluation: engine.Evaluation,
        target: targets.Target,
        parts: Structure,
    ) -> Structure:
        """Returns `parts` completed by what the image itself answers.

        Args:
            evaluation: `engine.Evaluation` of the image as it is.
            target: The `Target`.
            parts: Its parts.
        """
        target = target.for_units(evaluation.units)
        return target.resolve(evaluation.scores, parts)

    def _options(self, views):
        """Returns what `_compute_float32` takes besides, for `views`."""
        views = as_views(views)
        if views is None:
            return ()
        self.check_views()
        return (views,)

    def _compute_float32(self, inputs, target, parts, views=None):
        # Half precision would lose small gradients on their last step.
        inputs = engine.map_given(
            lambda x: ops.cast(x, "float32") if _is_half(x) else x, inputs
        )
        if views is None:
            maps, notes = self.compute(inputs, target, parts)
        else:
            maps, notes = mean_over_views(self, inputs, target, parts, views)
        maps = keras.tree.map_structure(
            lambda x: None if x is None else ops.cast(x, "float32"), maps
        )
        return maps, notes

    def _warn_of_zeros(self, maps, target):
        maps = [x for x in keras.tree.flatten(maps) if x is not None]
        first = 1 if target.is_single(target.parts) else 2
        found = [x.any(axis=tuple(range(first, x.ndim))) for x in maps]
        expected = target.expects_maps()
        if expected is not None:
            found = [x[expected] for x in found]
        num_maps = sum(x.size for x in found)
        num_zero = num_maps - sum(int(np.sum(x)) for x in found)
        if num_zero:
            of_target = (
                f"; or {target.cause_of_zeros}" if target.cause_of_zeros else ""
            )
            warn_user(
                f"{num_zero} of {num_maps} maps of {type(self).__name__} are "
                f"zero everywhere: {self.why_zero()}{of_target}."
            )

    def why_zero(self) -> str:
        """Returns why a map may be zero everywhere, as warnings say it."""
        saturated = (
            ", or the softmax or sigmoid that ends the model is saturated: "
            'explain score="logits"'
        )
        is_bounded = self.score == "output"
        return f"{self.cause_of_zeros}{saturated if is_bounded else ''}"


def _is_half(x):
    return keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")


def join_classes(maps: list[Tensor], single: bool) -> Tensor:
    """Joins the maps of the classes, behind the batch axis.

    Args:
        maps: List of one tensor `(batch, ...)` per class.
        single: Boolean: the target is one class, which gets no axis.
    """
    return maps[0] if single else ops.stack(maps, axis=1)
