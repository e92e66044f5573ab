import os
import pathlib
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_xmap
from keras_xmap.layers import MaskNoise
from keras_xmap.models import attention_network
from keras_xmap.models import pixel_attention

WEIGHTS = np.array([3.0, 1.0, 0.5, 0.25], "float32")
LOSSES = {"prediction": "mse", "noisy_prediction": "mse"}


def arrays(outputs):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def linear_predictor(weights=WEIGHTS):
    """`F(I) = w . I` on images of 2 x 2 pixels."""
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            layers.Flatten(),
            layers.Dense(1, use_bias=False),
        ],
        name="predictor",
    )
    model.set_weights([weights[:, None]])
    return model


def free_map(values):
    """An attention model whose map is one free number a pixel."""
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            layers.Flatten(),
            layers.Dense(4, "sigmoid", kernel_initializer="zeros"),
            layers.Reshape((2, 2, 1)),
        ],
        name="attention",
    )
    values = np.clip(values, 1e-7, 1 - 1e-7)
    model.set_weights([np.zeros((4, 4)), np.log(values / (1 - values))])
    return model


def small_predictor(*more, name="predictor"):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            *more,
            layers.Flatten(),
            layers.Dense(2),
        ],
        name=name,
    )


def small_data(count=8):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(count, 8, 8, 1)).astype("float32")
    y = rng.normal(size=(count, 2)).astype("float32")
    return x, {"prediction": y, "noisy_prediction": y}


def compile_model(model, a=1.0, b=1.0, learning_rate=0.1):
    model.compile(
        keras.optimizers.SGD(learning_rate),
        loss=LOSSES,
        loss_weights={"prediction": a, "noisy_prediction": b},
    )
    return model


def test_a_linear_predictor_suffers_as_the_closed_form_says():
    # E|F(I') - P|^2 = (w . I - P)^2 + s^2 sum (w R)^2
    attention = np.array([0.9, 0.2, 0.7, 0.5])
    image, target, stddev = np.array([0.3, 0.8, 0.1, 0.6]), 2.0, 0.5
    model = pixel_attention(
        linear_predictor(), free_map(attention), noise=MaskNoise(stddev, seed=0)
    )
    count = 200_000
    images = np.tile(image.reshape(1, 2, 2, 1), (count, 1, 1, 1))
    outputs = model(images.astype("float32"), training=True)
    errors = np.square(
        keras.ops.convert_to_numpy(outputs["noisy_prediction"]) - target
    )
    bias = (WEIGHTS @ image - target) ** 2
    expected = bias + stddev**2 * np.sum((WEIGHTS * attention) ** 2)
    np.testing.assert_allclose(errors.mean(), expected, rtol=0.02)
    clean = np.square(
        keras.ops.convert_to_numpy(outputs["prediction"]) - target
    )
    np.testing.assert_allclose(clean, bias, rtol=1e-4)


def test_training_fills_the_map_like_water():
    # The least sum (w R)^2 at a mean of 0.6 is R = min(1, 0.36 / w^2).
    predictor, attention = linear_predictor(), free_map(np.full(4, 0.6))
    predictor.trainable = False
    model = pixel_attention(
        predictor, attention, 0.6, MaskNoise(1.0, seed=0), area_weight=200.0
    )
    steps = 400
    schedule = keras.optimizers.schedules.CosineDecay(0.1, steps)
    model.compile(keras.optimizers.Adam(schedule), LOSSES)
    x = np.zeros((512 * steps, 2, 2, 1), "float32")
    y = np.zeros((len(x), 1), "float32")
    model.fit(x, dict.fromkeys(LOSSES, y), batch_size=512, verbose=0)
    found = keras.ops.convert_to_numpy(attention(x[:1])).ravel()
    np.testing.assert_allclose(found, [0.04, 0.36, 1, 1], atol=0.03)


@pytest.mark.parametrize(
    "a, b, c, predictor_moves, attention_moves",
    [
        (1.0, 0.0, 0.0, True, False),
        (0.0, 1.0, 0.0, True, True),
        (0.0, 0.0, 1.0, False, True),
    ],
)
def test_each_term_reaches_its_models(
    a, b, c, predictor_moves, attention_moves
):
    predictor = small_predictor()
    attention = attention_network((8, 8, 1), area_ratio=0.7, filters=4)
    model = pixel_attention(predictor, attention, 0.9, area_weight=c)
    compile_model(model, a, b)
    before = predictor.get_weights(), attention.get_weights()
    model.fit(*small_data(), verbose=0)
    for network, old, moves in (
        (predictor, before[0], predictor_moves),
        (attention, before[1], attention_moves),
    ):
        pairs = zip(network.get_weights(), old, strict=True)
        assert any((new != was).any() for new, was in pairs) == moves


def test_a_map_of_zeros_makes_both_predictions_equal():
    model = pixel_attention(linear_predictor(), free_map(np.zeros(4)))
    x = np.random.default_rng(0).uniform(size=(5, 2, 2, 1))
    outputs = arrays(model(x, training=True))
    np.testing.assert_allclose(
        outputs["noisy_prediction"], outputs["prediction"], atol=1e-5
    )


def test_a_map_that_starts_at_the_ratio_costs_nothing():
    model = compile_model(pixel_attention(small_predictor(), area_ratio=0.8))
    x, y = small_data()
    loss = model.evaluate(x, y, verbose=0, return_dict=True)
    terms = loss["prediction_loss"] + loss["noisy_prediction_loss"]
    assert loss["loss"] == pytest.approx(terms, rel=1e-5)


def test_the_loss_is_the_weighted_sum_of_its_terms():
    attention = free_map(np.array([0.2, 0.4, 0.6, 0.8]))
    model = pixel_attention(
        linear_predictor(), attention, 0.9, area_weight=10.0
    )
    compile_model(model, a=2.0, b=3.0)
    x = np.ones((1, 2, 2, 1), "float32")
    y = np.array([[4.0]], "float32")
    loss = model.evaluate(x, dict.fromkeys(LOSSES, y), verbose=0)
    # Without noise outside training: F = 4.75, the mean of the map is 0.5.
    expected = (2 + 3) * 0.75**2 + 10 * 0.4**2
    assert loss[0] == pytest.approx(expected, rel=1e-4)


def test_outside_training_there_is_no_noise_and_the_weights_are_shared():
    predictor = small_predictor()
    model = pixel_attention(predictor)
    x, _ = small_data()
    outputs = model.predict(x, verbose=0)
    np.testing.assert_array_equal(
        outputs["prediction"], outputs["noisy_prediction"]
    )
    np.testing.assert_allclose(
        outputs["prediction"], predictor.predict(x, verbose=0), atol=1e-6
    )
    noisy = arrays(model(x, training=True))
    assert np.abs(noisy["noisy_prediction"] - outputs["prediction"]).min() > 0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_the_map_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = compile_model(pixel_attention(small_predictor()))
        x, y = small_data()
        history = model.fit(x, y, verbose=0)
        maps = model.predict(x, verbose=0)["noise_mask"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history.history["loss"]).all()
    assert maps.dtype == "float32"
    np.testing.assert_allclose(maps.mean(), 0.95, atol=0.02)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_two_replicas_train_as_one_device_does(strategy):
    x, y = small_data()

    def fit():
        keras.utils.set_random_seed(0)
        attention = attention_network((8, 8, 1), area_ratio=0.7, filters=4)
        model = pixel_attention(
            small_predictor(), attention, 0.9, MaskNoise(0.0)
        )
        compile_model(model, 2.0, 3.0)
        history = model.fit(
            x, y, batch_size=8, epochs=2, shuffle=False, verbose=0
        )
        return history.history, model.get_weights()

    one, weights = fit()
    with strategy.scope():
        two, same_weights = fit()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-4)
    for a, b in zip(same_weights, weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


class InterruptAfterTwoEpochs(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise InterruptedError


@pytest.mark.slow
@pytest.mark.tensorflow
def test_training_resumes_from_a_backup_with_the_same_noise(tmp_path):
    x, y = small_data()

    def fit(*callbacks):
        keras.utils.set_random_seed(1)
        noise = MaskNoise(0.5, seed=1)
        model = compile_model(pixel_attention(small_predictor(), noise=noise))
        model.fit(
            *(x, y, 4),
            epochs=4,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )
        return model.get_weights()

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    straight = fit()
    with pytest.raises(InterruptedError):
        fit(backup(), InterruptAfterTwoEpochs())
    epochs = []
    count = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append(epoch)
    )
    resumed = fit(backup(), count)
    assert epochs == [2, 3]
    for a, b in zip(resumed, straight, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


READ_IN_NEW_PROCESS = """
import sys
import keras, numpy as np
import keras_xmap.models
folder = sys.argv[1]
model = keras.models.load_model(folder + "/model.keras")
x, y = (np.load(folder + f"/{name}.npy") for name in "xy")
outputs = model.predict(x, verbose=0)
y = {"prediction": y, "noisy_prediction": y}
model.fit(x, y, 4, shuffle=False, verbose=0)
np.savez(folder + "/read.npz", **outputs)
np.savez(folder + "/trained.npz", *model.get_weights())
"""


@pytest.mark.slow
def test_a_saved_model_goes_on_in_a_new_process(tmp_path):
    model = compile_model(
        pixel_attention(small_predictor(), noise=MaskNoise(0.5, seed=1))
    )
    x, y = small_data()
    model.fit(x, y, 4, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y["prediction"])
    root = str(pathlib.Path(keras_xmap.__file__).parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", READ_IN_NEW_PROCESS, str(tmp_path)],
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": path,
            "KERAS_BACKEND": keras.backend.backend(),
        },
    )
    read = np.load(tmp_path / "read.npz")
    for name, values in model.predict(x, verbose=0).items():
        np.testing.assert_allclose(read[name], values, atol=1e-6)
    model.fit(x, y, 4, shuffle=False, verbose=0)
    trained = np.load(tmp_path / "trained.npz")
    assert len(trained.files) == len(model.get_weights())
    for a, b in zip(trained.values(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_trained_batch_normalization_is_warned_about():
    normalization = layers.BatchNormalization(name="norm")
    inner = keras.Sequential([keras.Input((6, 6, 4)), normalization])
    with pytest.warns(UserWarning, match="layer 'norm'") as record:
        pixel_attention(small_predictor(inner))
    assert record[0].filename == __file__


def test_other_normalization_is_not_warned_about():
    frozen = layers.BatchNormalization(trainable=False)
    group = layers.GroupNormalization(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixel_attention(small_predictor(frozen, group))


@pytest.mark.parametrize(
    "output_shape", [(8, 8), (8, 8, 1), (4, 4, 1), (8, 8, 2), (64,)]
)
def test_maps_of_a_wrong_shape_are_named(output_shape):
    attention = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(int(np.prod(output_shape)), "sigmoid"),
            layers.Reshape(output_shape),
        ],
        name="attention",
    )
    if output_shape in ((8, 8), (8, 8, 1)):
        model = pixel_attention(small_predictor(), attention)
        compile_model(model).fit(*small_data(), verbose=0)
        return
    with pytest.raises(ValueError) as error:
        pixel_attention(small_predictor(), attention)
    received = f"Received: attention.output_shape={(None, *output_shape)}"
    assert received in str(error.value)


def test_wrong_arguments_are_named():
    predictor = small_predictor()
    for ratio in (0, 1, 1.5, -0.1):
        with pytest.raises(ValueError, match=f"Received: area_ratio={ratio}"):
            pixel_attention(predictor, area_ratio=ratio)
    with pytest.raises(ValueError, match="Received: area_weight=-1"):
        pixel_attention(predictor, area_weight=-1)
    with pytest.raises(ValueError, match="Received: noise=0"):
        pixel_attention(predictor, noise=0)
    with pytest.raises(TypeError, match="Received: noise=<GaussianNoise"):
        pixel_attention(predictor, noise=layers.GaussianNoise(1.0))
    with pytest.raises(TypeError, match="Received: predictor=<Dense"):
        pixel_attention(layers.Dense(1))
    with pytest.raises(ValueError, match="must be built. Received: predictor="):
        pixel_attention(keras.Sequential([layers.Dense(1)]))
    vectors = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"inputs of shapes \[\(None, 5\)"):
        pixel_attention(vectors)
    with pytest.raises(ValueError, match=r"attention.input_shape=\(None, 9,"):
        pixel_attention(predictor, attention_network((9, 8, 1)))
    same_name = attention_network((8, 8, 1), name="predictor")
    with pytest.raises(ValueError, match="attention.name='predictor'"):
        pixel_attention(predictor, same_name)
    anywhere = keras.Sequential(
        [keras.Input((None, None, 1)), layers.GlobalMaxPooling2D()]
    )
    with pytest.raises(ValueError, match=r"input_shape=\(None, None, 1\)"):
        pixel_attention(anywhere)


def test_images_of_any_size_take_an_attention_model_of_their_own():
    predictor = keras.Sequential(
        [keras.Input((None, None, 1)), layers.GlobalAveragePooling2D()]
    )
    attention = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ],
        name="attention",
    )
    model = compile_model(pixel_attention(predictor, attention))
    for size in (6, 9):
        x = np.ones((2, size, size, 1), "float32")
        y = np.zeros((2, 1), "float32")
        model.fit(x, dict.fromkeys(LOSSES, y), verbose=0)
        assert model.predict(x, verbose=0)["noise_mask"].shape == x.shape


def test_channels_first_gives_channels_first_maps():
    shape = (3, 10, 12)
    predictor = keras.Sequential(
        [keras.Input(shape), layers.Flatten(), layers.Dense(2)]
    )
    model = pixel_attention(
        predictor, noise=MaskNoise(0.5, data_format="channels_first")
    )
    assert model.output["noise_mask"].shape == (None, 1, 10, 12)
    convolution = layers.Conv2D(4, 3, data_format="channels_first")
    predictor = keras.Sequential([keras.Input(shape), convolution])
    model = pixel_attention(predictor)  # its layers tell the format
    assert model.output["noise_mask"].shape == (None, 1, 10, 12)
