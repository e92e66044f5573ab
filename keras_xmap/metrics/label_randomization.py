from __future__ import annotations

import typing

from keras_xmap._description import describe
from keras_xmap._description import describe_model
from keras_xmap._description import differences
from keras_xmap._description import layer_names
from keras_xmap._typing import Structure
from keras_xmap.metrics.map_similarity import MapSimilarity

if typing.TYPE_CHECKING:
    from keras_xmap.explainers import Explainer


def label_randomization(
    explainer: Explainer,
    permuted: Explainer,
    data: Structure,
    target: object = None,
    batch_size: int = 32,
) -> MapSimilarity:
    """Measures whether maps change when the labels meant nothing.

    A model that was trained on permuted labels has learned its images by
    heart: nothing in them goes with the label. A map that explains the model
    that was trained on the true labels is another one than the map of that
    model. Maps that are alike show what is in the images, and not what goes
    with the label.

    Training is yours: make the model again, as it was made, and fit it on the
    same images with `generator.permutation(labels)`, until it fits them as
    well as the first one. One that has not learned its labels is another
    random network, which `parameter_randomization` measures without any
    training.

    Args:
        explainer: An explainer of images, made for the model that was trained
            on the true labels.
        permuted: An explainer of the same class and arguments, made for the
            model that was trained on permuted labels.
        data: See `Explainer.explain`. It is kept in memory meanwhile, with
            its maps.
        target: What is explained, see `keras_xmap.targets`, by both. Defaults
            to `None`: what the model of the true labels answers to each
            image.
        batch_size: Integer >= 1, see `Explainer.explain`. Defaults to `32`.

    Returns:
        The `MapSimilarity` of the maps.

    Raises:
        ValueError: If the two explainers differ in more than the weights of
            their models, or do not differ in these.
        TypeError: If they are no explainers.

    References:
        - [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292)

    Example:

    >>> def make_model():
    ...     return keras.Sequential([keras.Input((8, 8, 1)),
    ...         keras.layers.Conv2D(4, 3, activation="relu"),
    ...         keras.layers.Flatten(),
    ...         keras.layers.Dense(2)])
    >>> images = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    >>> found = keras_xmap.metrics.label_randomization(
    ...     keras_xmap.explainers.Saliency(make_model()),  # to be trained
    ...     keras_xmap.explainers.Saliency(make_model()),
    ...     images)
    >>> found.num_maps
    2
    """
    # Explainers load when they are first used.
    from keras_xmap.metrics import _explained

    _explained.check_explainer("explainer", explainer)
    _explained.check_explainer("permuted", permuted)
    _check_alike(explainer, permuted)
    explained = _explained.Explained(explainer, data, target, batch_size)
    return explained.similarity(permuted)


def _check_alike(explainer, permuted):
    found = differences(_described(explainer), _described(permuted))
    if found:
        received = "; ".join(found[:5]).replace(
            ", where the run has ", " in place of "
        )
        raise ValueError(
            "`explainer` and `permuted` must be of one class, with the same "
            "arguments and models of the same layers. Received: permuted with "
            f"{received} of explainer. Make both in the same way."
        )
    pairs = zip(explainer.model.weights, permuted.model.weights, strict=True)
    alike = explainer.model is permuted.model or all(
        describe(first) == describe(second) for first, second in pairs
    )
    if alike:
        raise ValueError(
            "`permuted` must be of a model that was trained on permuted "
            "labels. Received: a model with the weights of that of "
            "`explainer`. For weights that are drawn anew use "
            "`metrics.parameter_randomization`."
        )


def _described(explainer):
    names = layer_names(explainer.model)
    return {
        "explainer": describe(explainer, names),
        **describe_model(explainer.model),
    }
