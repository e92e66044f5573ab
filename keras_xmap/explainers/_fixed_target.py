"""What is explained of images, kept while the answers of a model change."""

import keras
import numpy as np
from keras import ops

from keras_xmap import targets
from keras_xmap.explainers.explainer import Explainer


class Observer(Explainer):
    """What a model answers to images, and what it calls for that.

    Args:
        model: The model.
        explainer: The `Explainer` whose target is asked for. Defaults to
            `None`: any.
        score: See `Explainer`, of any explainer. Defaults to `"logits"`.

    Attributes:
        calls: List of pairs, the `keras.layers.Layer` of each call of the
            model in the order in which the calls ended, and its path.
        channel_axes: List of the axes of the channels of the inputs, `None`
            for an input without channels.
        observed: The `Target` of the last batch.
    """

    def __init__(self, model, explainer=None, score="logits"):
        super().__init__(model, score if explainer is None else explainer.score)
        self._explainer = self if explainer is None else explainer
        self.calls = self.channel_axes = self.observed = None

    def fixed_target(self, batches, target):
        """Returns the target that stays when the model's answer changes.

        Args:
            batches: Iterable of batches: tuples of inputs and, it may be,
                labels.
            target: What is explained, see `Explainer.explain`.
        """
        explainer = self._explainer
        target = explainer.convert_target(target)
        found = list(self.explain_batches(iter(batches), target))
        parts = {
            name: np.concatenate([of_batch[name] for of_batch in found])
            for name in found[0]
            if name != "outputs"
        }
        if not parts:
            return target
        if isinstance(self.observed, targets.Class):
            index = parts["index"].astype("int32")
            made = targets.Class(index, self.observed.output)
            return explainer.convert_target(made)
        return FixedTarget(target, {**target.parts, **parts})

    def compute(self, inputs, target, parts):
        evaluation = self.evaluate(inputs)
        resolved = self._explainer.resolved_parts(evaluation, target, parts)
        found = {
            name: part for name, part in resolved.items() if len(part.shape)
        }
        # Something of all outputs, so that none of the pass is left out.
        found["outputs"] = sum(
            _sum_of_each(x)
            for x in keras.tree.flatten(evaluation.outputs)
            if x is not None
        )
        return found, {
            "score_used": evaluation.score_used,
            "observed": target,
            "calls": [(x.layer, x.path) for x in evaluation.calls],
            "channel_axes": [
                evaluation.channel_axis(x) for x in evaluation.given_inputs
            ],
        }


def _sum_of_each(x):
    x = ops.cast(x, "float32")
    return ops.sum(x, axis=tuple(range(1, len(x.shape))))


class FixedTarget(targets.Target):
    """A target with all its parts, also those that only an answer tells."""

    def __init__(self, target, parts):
        super().__init__(target.output)
        self._target = target
        self._parts = parts
        self.cause_of_zeros = target.cause_of_zeros

    def __repr__(self):
        return repr(self._target)

    @property
    def parts(self):
        return self._parts

    @property
    def key(self):
        return (*super().key, self._target.key)

    def scores(self, outputs, parts):
        return self._told.scores(outputs, parts)

    def is_single(self, parts):
        return self._target.is_single(parts)

    def expects_maps(self):
        return self._target.expects_maps()

    def is_of_places(self, outputs):
        return self._told.is_of_places(outputs)

    @property
    def _told(self):
        """The target, told how single units are read."""
        if self._units is None:
            return self._target
        return self._target.for_units(self._units)


def of_images(target, rows):
    """Returns the target of some of the images that a target is of.

    Args:
        target: The `Target`, as `Observer.fixed_target` returns it.
        rows: Array of integers, which images.
    """
    parts = {
        name: part[rows] if np.ndim(part) else part
        for name, part in target.parts.items()
    }
    if not any(map(np.ndim, parts.values())):
        return target
    if isinstance(target, targets.Class):
        return targets.Class(parts["index"], target.output)
    return FixedTarget(target, parts)
