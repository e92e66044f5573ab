"""What holds for every public builder of models, one row each.

That each is the same in a new process is in `tests/test_loading.py`, which
starts one process for all rows of all tables.
"""

import dataclasses
import functools
import typing

import keras
import numpy as np
import pytest
from conformance.test_layers import WAYS

import keras_xmap


@dataclasses.dataclass
class Case:
    """A row: how to make the model, and what it takes.

    `given` makes the models that the builder is handed, for images of a side
    or of `None`; `make` is the builder on them. `data` makes the inputs of
    four images of a side, as `model.fit` takes them. Nothing in a row may
    draw numbers while it computes, or normalise by the batch: two replicas
    could not agree with one device then.
    """

    given: typing.Callable
    make: typing.Callable
    data: typing.Callable
    sizes_may_be_unknown: bool = True
    shares_weights: bool = False
    is_functional: bool = True


def backbone(side):
    """Two convolutions and a mean, with three outputs."""
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="first")(
        inputs
    )
    x = keras.layers.Conv2D(5, 3, activation="relu", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="scores")(x))


def trunk(side):
    """The map that the backbone takes the mean of."""
    model = backbone(side)
    return keras.Model(model.input, model.get_layer("second").output)


def stages(side):
    """Two maps, the second of half the size of the first."""
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(
        4, 3, padding="same", activation="relu", name="first"
    )(inputs)
    y = keras.layers.Conv2D(
        5, 3, strides=2, padding="same", activation="relu", name="second"
    )(x)
    return keras.Model(inputs, [x, y])


def attention(side):
    """A map of the size of the images.

    In full precision: on CPUs, torch trains no half convolution of one filter.
    """
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(
        1, 3, padding="same", activation="sigmoid", dtype="float32"
    )(inputs)
    return keras.Model(inputs, x, name="attention")


def images(side):
    rng = np.random.default_rng(0)
    return rng.uniform(size=(4, side, side, 3)).astype("float32")


def masks(side):
    mask = np.random.default_rng(1).uniform(size=(4, side, side)) > 0.5
    return mask.astype("float32")


CASES = {
    "complementary": Case(
        lambda side: [trunk(side)],
        lambda model: keras_xmap.models.complementary(model, 3, filters=4),
        images,
        shares_weights=True,
    ),
    "roi_classifier": Case(
        lambda side: [backbone(side)],
        lambda model: keras_xmap.models.roi_classifier(
            model, merge_layer=["first", "second"], merge="add"
        ),
        lambda side: {"image": images(side), "mask": masks(side)},
    ),
    "fully_convolutional": Case(
        lambda side: [backbone(side)],
        lambda model: keras_xmap.models.fully_convolutional(
            model, pooling="position"
        ),
        images,
    ),
    "multi_label_classifier": Case(
        lambda side: [trunk(side)],
        lambda model: keras_xmap.models.multi_label_classifier(
            model, 3, scale_range=None
        ),
        images,
    ),
    "quadtree_decoder": Case(
        lambda side: [stages(side)],
        lambda model: keras_xmap.models.quadtree_decoder(
            model, 3, filters=4, threshold=0.2
        ),
        images,
    ),
    "segmentation_network": Case(
        lambda side: [trunk(side)],
        lambda model: keras_xmap.models.segmentation_network(
            model, 3, filters=4, classify=True
        ),
        images,
    ),
    "pixel_attention": Case(
        lambda side: [backbone(side), attention(side)],
        lambda predictor, attention: keras_xmap.models.pixel_attention(
            predictor, attention, noise=keras_xmap.layers.MaskNoise(0.0)
        ),
        images,
        shares_weights=True,
    ),
    "PixelAttention": Case(
        lambda side: [backbone(side), attention(side)],
        lambda predictor, attention: keras_xmap.models.PixelAttention(
            predictor,
            attention,
            area_ratio=0.9,
            noise=keras_xmap.layers.MaskNoise(0.0),
            warm_up=0,
        ),
        images,
        shares_weights=True,
        is_functional=False,
    ),
}
# Public names that build no model, or one that starts as a constant, and are
# tested on their own.
OTHERS = {"attention_network", "complementary_maps"}
every_row = pytest.mark.parametrize("name", CASES)


def make_model(name, side=16):
    case = CASES[name]
    return case.make(*case.given(side))


def fit(model, x):
    """Fits one step towards 0.25 everywhere; returns loss and weights."""
    y = keras.tree.map_structure(
        lambda a: np.full(a.shape, 0.25, "float32"), model.predict(x, verbose=0)
    )
    loss = keras.tree.map_structure(lambda _: "mse", y)
    model.compile(keras.optimizers.SGD(0.1), loss=loss)
    history = model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return history.history["loss"][0], model.get_weights()


@pytest.fixture(scope="module")
def trained():
    """Fits a row once: its weights before, the loss, its weights after."""

    @functools.cache
    def fitted(name):
        model = make_model(name)
        before = model.get_weights()
        return before, *fit(model, CASES[name].data(16))

    return fitted


def flat(structure):
    return [
        keras.ops.convert_to_numpy(a) for a in keras.tree.flatten(structure)
    ]


def test_every_public_name_has_a_row():
    assert set(CASES) | OTHERS == set(keras_xmap.models.__all__)


@pytest.mark.traces
@every_row
def test_one_step_of_fit_moves_every_trainable_weight(name):
    model = make_model(name)
    weights = model.trainable_weights
    before = [keras.ops.convert_to_numpy(w).copy() for w in weights]
    loss, _ = fit(model, CASES[name].data(16))
    assert np.isfinite(loss)
    for old, new in zip(before, weights, strict=True):
        assert (old != keras.ops.convert_to_numpy(new)).any(), new.path


@every_row
def test_the_models_given_are_as_they_were(name):
    case = CASES[name]
    if case.shares_weights:
        return
    given = case.given(16)
    before = [(m.get_config(), m.get_weights()) for m in given]
    model = case.make(*given)
    fit(model, case.data(16))
    for one, (config, weights) in zip(given, before, strict=True):
        assert one.get_config() == config
        for old, new in zip(weights, one.get_weights(), strict=True):
            assert (old == new).all()
        assert all(layer.trainable for layer in one.layers)


@pytest.fixture(scope="module")
def called():
    """Makes the model of a row once, with what it makes of its data."""

    @functools.cache
    def made(name):
        model, x = make_model(name), CASES[name].data(16)
        return model, x, flat(model(x, training=False))

    return made


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@every_row
@pytest.mark.parametrize("way", WAYS)
def test_it_goes_through_every_way_of_copying(name, way, called, tmp_path):
    model, x, expected = called(name)
    if way == "h5" and not CASES[name].is_functional:
        with pytest.raises(ValueError):  # by Keras, which knows no packages
            WAYS[way](model, tmp_path)
        return
    made = WAYS[way](model, tmp_path)
    outputs = flat(made(x, training=False))
    for output, values in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, values, atol=1e-6)


@pytest.mark.traces
@every_row
def test_sizes_may_be_unknown(name):
    case = CASES[name]
    if not case.sizes_may_be_unknown:
        return
    model, known = make_model(name, None), make_model(name)
    model.set_weights(known.get_weights())
    x = case.data(16)
    pairs = zip(
        flat(model.predict(x, verbose=0)),
        flat(known.predict(x, verbose=0)),
        strict=True,
    )
    for output, expected in pairs:
        np.testing.assert_allclose(output, expected, atol=1e-5)
    assert np.isfinite(fit(model, case.data(21))[0])


@pytest.mark.traces
@every_row
@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        # The same code with the other half.
        pytest.param(
            "mixed_bfloat16", marks=[pytest.mark.slow, pytest.mark.sweep]
        ),
    ],
)
def test_mixed_precision_computes_in_half_and_trains(name, policy, trained):
    x = CASES[name].data(16)
    weights, loss, _ = trained(name)
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model(name)
        model.set_weights(weights)
        half, after = fit(model, x)
        assert any(
            layer.compute_dtype == policy.removeprefix("mixed_")
            for layer in model.layers
        )
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(half, loss, rtol=0.05)
    assert all(w.dtype in (np.float32, np.uint32, np.int64) for w in after)


@pytest.mark.slow
@every_row
def test_two_replicas_train_as_one_device_does(name, strategy, trained):
    before, expected, others = trained(name)
    with strategy.scope():
        model = make_model(name)
    model.set_weights(before)
    loss, weights = fit(model, CASES[name].data(16))
    assert loss == pytest.approx(expected, rel=1e-5)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
