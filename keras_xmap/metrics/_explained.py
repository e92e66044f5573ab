"""Images explained again and again, for what was first answered to them."""

import keras
import numpy as np

from keras_xmap import engine
from keras_xmap import explainers
from keras_xmap._checks import check_instance
from keras_xmap.metrics.map_similarity import mean_similarity
from keras_xmap.metrics.map_similarity import similarities


def check_explainer(name, value):
    """Returns `value`, which must be an explainer of images."""
    return check_instance(
        name,
        value,
        explainers.Explainer,
        "an explainer of images",
        "Make one, such as `keras_xmap.explainers.GradCAM(model)`.",
    )


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
        observer = explainers.Observer(explainer.model, explainer)
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
