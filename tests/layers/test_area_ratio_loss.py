import keras
import numpy as np
import pytest

from keras_xmap import layers
from keras_xmap import losses

MAPS = np.array([[[1.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.2]]], "float32")


def test_the_loss_is_the_weighted_batch_mean_by_hand():
    layer = layers.AreaRatioLoss(0.5, weight=4.0)
    layer(MAPS)
    (loss,) = layer.losses
    np.testing.assert_allclose(loss, 2 * (0.25**2 + 0.45**2), rtol=1e-6)


def test_layer_and_loss_agree():
    layer = layers.AreaRatioLoss(0.3)
    layer(MAPS)
    expected = losses.AreaRatio(0.3)(np.zeros(2), MAPS)
    np.testing.assert_allclose(layer.losses[0], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 2, 2, 1), (2, 1, 2, 2)])
def test_a_channel_axis_on_either_side_changes_nothing(shape):
    layer = layers.AreaRatioLoss(0.5)
    layer(MAPS.reshape(shape))
    np.testing.assert_allclose(layer.losses[0], 0.1325, rtol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_the_very_values_pass_under_every_policy(policy, dtype):
    maps = keras.ops.cast(np.full((1, 2, 2), 1 / 3), dtype)
    y = layers.AreaRatioLoss(0.5, dtype=policy)(maps)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert (
        keras.ops.convert_to_numpy(y) == keras.ops.convert_to_numpy(maps)
    ).all()


def test_a_symbolic_map_keeps_its_dtype():
    maps = keras.Input((4, 4), dtype="float32")
    y = layers.AreaRatioLoss(0.5, dtype="mixed_float16")(maps)
    assert (y.shape, y.dtype) == ((None, 4, 4), "float32")


def test_half_precision_counts_in_float32():
    layer = layers.AreaRatioLoss(0.5, dtype="mixed_float16")
    layer(keras.ops.cast(np.full((1, 300, 300), 0.9), "float16"))
    np.testing.assert_allclose(layer.losses[0], 0.16, rtol=1e-3)


def test_an_empty_batch_costs_nothing():
    layer = layers.AreaRatioLoss(0.5)
    layer(np.zeros((0, 2, 2), "float32"))
    assert float(layer.losses[0]) == 0


@pytest.mark.slow
def test_training_moves_the_area_to_the_ratio():
    x = keras.Input((4, 4, 1))
    maps = keras.layers.Conv2D(
        1, 1, activation="sigmoid", kernel_initializer="zeros"
    )(x)
    model = keras.Model(x, layers.AreaRatioLoss(0.9)(maps))
    model.compile(keras.optimizers.SGD(4.0))
    ones = np.ones((8, 4, 4, 1), "float32")
    model.fit(ones, epochs=40, verbose=0)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(ones)).mean(), 0.9, atol=0.01
    )


def test_wrong_arguments_and_maps_are_named():
    with pytest.raises(ValueError, match=r"Received: area_ratio=1\.5"):
        layers.AreaRatioLoss(1.5)
    with pytest.raises(ValueError, match="Received: weight=-1"):
        layers.AreaRatioLoss(0.5, weight=-1)
    with pytest.raises(ValueError, match=r"Received: inputs.shape=\(2, 4\)"):
        layers.AreaRatioLoss(0.5)(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"Received: inputs.shape=\(None, 4"):
        layers.AreaRatioLoss(0.5)(keras.Input((4, 4, 3)))


def test_an_empty_replica_leaves_the_loss_finite(strategy):
    with strategy.scope():
        x = keras.Input((4, 4))
        model = keras.Model(x, layers.AreaRatioLoss(0.5)(x))
        model.compile("sgd")
    # Two batches: both replicas, then one image and none. (Keras itself
    # cannot build on a first batch that is uneven.)
    ones = np.ones((3, 4, 4), "float32")
    history = model.fit(ones, batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
