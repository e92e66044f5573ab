import inspect

import keras
import tensorflow as tf

from keras_xmap._checks import check_model
from keras_xmap.distribution.workers import is_multi_worker


def distribution_safe(model: keras.Model) -> keras.Model:
    """Makes `fit` and `evaluate` of one model right under a strategy.

    Keras 3 looks at the first batch before it trains, and averages it over
    the replicas to do so. That fails if the batch does not divide among them,
    if it holds text or booleans, and always with several workers. With
    several workers it also averages the scalars of a step along an axis that
    they do not have. A model handed to this function looks at the share of
    one replica instead, and its steps return scalars that can be averaged.
    What is learned does not change where Keras trains by itself.

    Only this one model is changed, and only in memory: its weights, config
    and saved files are what they were, and a copy, or a model loaded from a
    file, is to be handed over again.

    Args:
        model: `keras.Model`, built in the scope of its strategy; compiled
            or not. Without a strategy it trains as before.

    Returns:
        `model` itself.

    Raises:
        TypeError: If `model` is not a `keras.Model`.
        RuntimeError: If this version of Keras does not train the way that is
            put right here.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model = keras_xmap.distribution.distribution_safe(model)
    """
    check_model("model", model)
    _check_keras()
    if "_maybe_symbolic_build" in vars(model):
        return model
    # Past the tracker of layers, which would wrap what it is given.
    object.__setattr__(
        model, "_maybe_symbolic_build", _symbolic_build_of(model)
    )
    if is_multi_worker(model.distribute_strategy):
        for name in ("train_step", "test_step"):
            step = getattr(model, name)
            object.__setattr__(model, name, _with_an_axis(step))
    return model


def _symbolic_build_of(model):
    def build(iterator=None, data_batch=None):
        strategy = model._distribute_strategy
        if strategy is None:
            return
        if iterator is not None:
            for *_, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda x: _largest_share(strategy, x), next(iter(batches))
                )
                break
        with strategy.scope():
            model._symbolic_build(data_batch=data_batch)

    return build


def _largest_share(strategy, values):
    shares = strategy.experimental_local_results(values)
    # That of the last replica may be empty.
    return max(shares, key=lambda x: int(tf.shape(x)[0]) if x.shape.rank else 0)


def _with_an_axis(step):
    def step_with_an_axis(data):
        # Keras averages over axis 0, which a scalar lacks.
        return keras.tree.map_structure(
            lambda x: x[None] if len(x.shape) == 0 else x,
            keras.tree.map_structure(tf.convert_to_tensor, step(data)),
        )

    return step_with_an_axis


def _check_keras():
    expected = {
        "_maybe_symbolic_build": ("iterator", "data_batch"),
        "_symbolic_build": ("data_batch",),
    }
    for name, arguments in expected.items():
        method = getattr(keras.Model, name, None)
        known = inspect.signature(method).parameters if method else ()
        if not set(arguments) <= set(known):
            raise RuntimeError(
                "This version of Keras builds models in another way than "
                "`distribution_safe` puts right. Received: keras "
                f"{keras.__version__}, whose Model has no {name}"
                f"({', '.join(arguments)}). Train without it, or with "
                "another version."
            )
