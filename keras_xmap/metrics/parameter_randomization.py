from __future__ import annotations

import contextlib
import typing

import keras
import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._checks import is_integer
from keras_xmap._checks import message
from keras_xmap._description import layers_of
from keras_xmap._typing import Structure
from keras_xmap.metrics._weights import learned_layers
from keras_xmap.metrics._weights import restored
from keras_xmap.metrics.map_similarity import MapSimilarity

if typing.TYPE_CHECKING:
    from keras_xmap.explainers import Explainer


def parameter_randomization(
    explainer: Explainer,
    data: Structure,
    target: object = None,
    mode: str = "cascading",
    steps: int | list | tuple | None = None,
    batch_size: int = 32,
    seed: int = 0,
    verbose: str | int = "auto",
) -> dict[str, MapSimilarity]:
    """Measures whether maps change when the model forgets what it learned.

    A map that explains a model depends on the model's weights. Layer by
    layer, these are drawn anew, as a new layer starts, and the same images
    are explained again, for the class that the trained model answered. Maps
    that stay as they were show the image, such as its edges, and not what
    the model knows. That a map changes does not make it right; that it stays
    makes it wrong.

    Kernels and the like come from the layer's initializer under a seed of
    this function, batch normalization starts anew, statistics included.
    Weights whose layer tells no initializer, and kernels that start with one
    number everywhere, are shuffled. Frozen layers are drawn anew as well;
    what `adapt` has measured stays.

    The weights are changed in place and put back, bit by bit, whatever
    happens: also after an error or a `KeyboardInterrupt`. While the function
    runs, nothing else should use the model. Images, their maps and a copy of
    the weights are in memory meanwhile: a few dozen images tell enough.

    Args:
        explainer: An explainer of images, made for the trained model.
        data: See `Explainer.explain`.
        target: What is explained, see `keras_xmap.targets`. Defaults to
            `None`: what the trained model answers to each image.
        mode: `"cascading"`: a layer stays drawn anew when the next follows,
            from the output down; `"independent"`: each alone, the others as
            trained. Defaults to `"cascading"`.
        steps: After which layers maps are compared. `None`: each layer that
            has weights. An integer: in so many steps, of about the same
            number of layers, or as many as there are layers; 1 is all at
            once. A list: these layers, by object, path or name, in this
            order; of a layer that holds others, a block or an inner model,
            all at once. Defaults to `None`.
        batch_size: Integer >= 1, see `Explainer.explain`. Defaults to `32`.
        seed: Integer, chooses the new weights. Defaults to `0`.
        verbose: `"auto"`, 0 or 1: whether to show a progress bar over the
            steps. `"auto"` shows it from two on. Defaults to `"auto"`.

    Returns:
        A dictionary of one `MapSimilarity` a step, in their order, by the
        path of the layer that was drawn anew last: the farthest from the
        output.

    Raises:
        ValueError: If an argument is out of its range, the model has no such
            layer, or no weights.
        TypeError: If `explainer` is none.

    References:
        - [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292)

    Example:

    >>> model = keras.Sequential([keras.Input((16, 16, 3)),
    ...     keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(4, name="classes")])
    >>> images = np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    >>> found = keras_xmap.metrics.parameter_randomization(
    ...     keras_xmap.explainers.Saliency(model), images, verbose=0)
    >>> list(found)
    ['classes', 'conv']
    >>> found["conv"].spearman < 0.5, found["conv"].num_maps
    (True, 2)
    """
    # Explainers load when they are first used.
    from keras_xmap import engine
    from keras_xmap.metrics import _explained

    _explained.check_explainer("explainer", explainer)
    check_one_of("mode", mode, ("cascading", "independent"))
    check_seed("seed", seed)
    explained = _explained.Explained(explainer, data, target, batch_size)
    layers = learned_layers(explainer.model, explained.calls)
    groups = _groups(explainer.model, layers, steps)
    bar = engine.progress_bar(len(groups), verbose)
    found = {}
    with restored([v for layer in layers for v in layer.variables]):
        for number, group in enumerate(groups, start=1):
            with contextlib.ExitStack() as stack:
                if mode == "independent":
                    own = [v for layer in group for v in layer.variables]
                    stack.enter_context(restored(own))
                for layer in group:
                    layer.redraw(seed)
                found[group[-1].path] = explained.similarity()
            if bar:
                bar.update(number)
    return found


def _groups(model, layers, steps):
    """Returns lists of the `LearnedLayer`s that are drawn anew together."""
    if not layers:
        raise ValueError(
            "`explainer` must be of a model that has learned something. "
            f"Received: the model {model.name!r}, none of whose layers holds "
            "weights."
        )
    if steps is None:
        return [[layer] for layer in layers]
    if is_integer(steps):
        number = min(check_positive_integer("steps", steps), len(layers))
        return [list(x) for x in np.array_split(np.array(layers), number)]
    if not isinstance(steps, (list, tuple)) or not steps:
        expected = "an integer, a list of layers, or None for each layer"
        raise ValueError(message("steps", expected, steps))
    groups = [_group(model, layers, step) for step in steps]
    chosen = [layer for group in groups for layer in group]
    if len(set(chosen)) < len(chosen):
        expected = "different layers, none inside of another"
        raise ValueError(message("steps", expected, steps))
    return groups


def _group(model, layers, step):
    """Returns the learned layers that are one layer or stand inside of it."""
    if isinstance(step, keras.layers.Layer):
        named = [step]
    else:
        # A path is one layer, a name may be several.
        named = [x.layer for x in layers if x.path == step] or [
            x for x in layers_of(model) if x.name == step
        ]
    inner = [y for x in named[:1] for y in layers_of(x)]
    group = [x for x in layers if any(x.layer is y for y in inner)]
    if len(named) != 1 or not group:
        paths = ", ".join(layer.path for layer in layers)
        raise ValueError(
            "`steps` must name layers of the model that hold weights, each by "
            f"a path or name that no other has. Received: {step!r}. Such "
            f"layers are {paths[:500]}."
        )
    return group
