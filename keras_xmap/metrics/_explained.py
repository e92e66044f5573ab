"""Images explained again and again, for what was first answered to them."""

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap import explainers
from keras_xmap import targets
from keras_xmap.metrics.map_similarity import mean_similarity
from keras_xmap.metrics.map_similarity import similarities


def check_explainer(name, value):
    """Returns `value`, which must be an explainer of images."""
    if not isinstance(value, explainers.Explainer):
        raise TypeError(
            f"`{name}` must be an explainer of images. Received: {name}="
            f"{value!r} (of type {type(value).__name__}). Make one, such as "
            "`keras_xmap.explainers.GradCAM(model)`."
        )
    return value


class Explained:
    """Maps of images, kept to be compared with later ones of a fixed target.

    Args:
        explainer: The `Explainer`.
        data: See `Explainer.explain`. It is kept: a dataset may be shuffled
            anew, and a generator has but one pass.
        target: What is explained, see `Explainer.explain`.
        batch_size: Integer, for arrays.

    Attributes:
        calls: List of pairs, the `keras.layers.Layer` of each call of the
            model in the order in which the calls ended, and its path.
    """

    def __init__(self, explainer, data, target, batch_size):
        self._batches = [
            (inputs,) if labels is None else (inputs, labels)
            for inputs, labels in engine.Source(data, batch_size)
        ]
        self._explainer = explainer
        observer = _Observer(explainer)
        self._target = observer.fixed_target(self._batches, target)
        self.calls = observer.calls
        self._maps = list(self._maps_of(explainer))

    def similarity(self, explainer=None):
        """Returns the `MapSimilarity` of the maps to those of now.

        Args:
            explainer: The `Explainer` of those. Defaults to `None`: the same.
        """
        rows = [
            similarities(first, second)
            for before, after in zip(
                self._maps,
                self._maps_of(explainer or self._explainer),
                strict=True,
            )
            for first, second in zip(before, after, strict=True)
        ]
        return mean_similarity(np.concatenate(rows))

    def _maps_of(self, explainer):
        """Yields lists of arrays `(maps, *positions)`, one a batch."""
        target = explainer.convert_target(self._target)
        is_single = target.is_single(target.parts)
        for result in explainer.explain_batches(iter(self._batches), target):
            yield [
                _checked(x if is_single else x.reshape((-1, *x.shape[2:])))
                for x in keras.tree.flatten(result)
                if x is not None
            ]


def _checked(maps):
    if not np.isfinite(maps).all():
        raise ValueError(
            "`explainer` must give finite maps. Received: maps with NaN or "
            "infinite values."
        )
    return maps


class _Observer(explainers.Explainer):
    """What a model answers to images, and what it calls for that.

    Args:
        explainer: The `Explainer` whose target is asked for.

    Attributes:
        calls: See `Explained`; set by `fixed_target`.
    """

    def __init__(self, explainer):
        super().__init__(explainer.model, explainer.score)
        self._explainer = explainer
        self.calls = None
        self.observed = None

    def fixed_target(self, batches, target):
        """Returns the target that stays when the model's answer changes.

        Args:
                batches: List of batches, of inputs and, it may be, labels.
            target: What is explained, see `Explainer.explain`.
        """
        explainer = self._explainer
        target = explainer.convert_target(target)
        found = list(self.explain_batches(iter(batches), target))
        parts = {
            name: np.concatenate([of_batch[name] for of_batch in found])
            for name in found[0]
            if name != "images"
        }
        if not parts:
            return target
        if isinstance(self.observed, targets.Class):
            index = parts["index"].astype("int32")
            made = targets.Class(index, self.observed.output)
            return explainer.convert_target(made)
        return _FixedTarget(target, {**target.parts, **parts})

    def compute(self, inputs, target, parts):
        evaluation = self.evaluate(inputs)
        resolved = self._explainer.resolved_parts(evaluation, target, parts)
        found = {
            name: part for name, part in resolved.items() if len(part.shape)
        }
        number = ops.shape(evaluation.given_inputs[0])[0]
        return {**found, "images": ops.zeros((number,))}, {
            "score_used": evaluation.score_used,
            "observed": target,
            "calls": [(x.layer, x.path) for x in evaluation.calls],
        }


class _FixedTarget(targets.Target):
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
