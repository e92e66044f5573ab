"""`PixelAttention`: the whole method in one `fit`."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_xmap.layers import MaskNoise
from keras_xmap.metrics import Collusion
from keras_xmap.models import PixelAttention
from keras_xmap.models._attention_training import SHARES
from keras_xmap.models._attention_training import NeededShare
from keras_xmap.models._attention_training import harm_by_share
from keras_xmap.ops import calibrate

SHAPE = (8, 6, 1)
# The pixels whose sum is the answer, a twelfth of the image.
NEEDED = np.zeros(SHAPE[:2], bool)
NEEDED[2:4, 1:3] = True


def arrays(count=32, seed=0):
    x = np.random.default_rng(seed).uniform(size=(count, *SHAPE))
    x = x.astype("float32")
    return x, x[:, NEEDED].sum(axis=1)


def sum_predictor(*more, scale=1.0):
    """One that knows the answer already."""
    dense = layers.Dense(1, use_bias=False)
    model = keras.Sequential(
        [keras.Input(SHAPE), *more, layers.Flatten(), dense], name="predictor"
    )
    dense.kernel.assign(scale * NEEDED.reshape(-1, 1).astype("float32"))
    return model


def free_attention():
    """A map of one free number a pixel."""
    dense = layers.Dense(48, "sigmoid", kernel_initializer="zeros")
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Flatten(),
            dense,
            layers.Reshape(SHAPE),
        ],
        name="attention",
    )


def made(predictor=None, **options):
    options = {"area_ratio": 0.9, "warm_up": 0, "noise": 0.5, **options}
    attention = options.pop("attention", None) or free_attention()
    model = PixelAttention(predictor or sum_predictor(), attention, **options)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def weights(model):
    return [ops.convert_to_numpy(w).copy() for w in model.weights]


@pytest.fixture(scope="module")
def found():
    """A model that found the pixels, with the share chosen while training."""
    keras.utils.set_random_seed(0)
    model = made(area_ratio=None, noise=MaskNoise(0.5, seed=0), warm_up=1)
    model.predictor.trainable = False
    model.compile(keras.optimizers.Adam(0.1), "mse")
    x, y = arrays(512)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        history = model.fit(
            x, y, epochs=9, validation_split=0.25, batch_size=32, verbose=0
        )
    return model, history.history


def test_the_map_names_the_pixels_of_the_answer_and_no_other(found):
    model, _ = found
    maps = model.explain(arrays(20, seed=1)[0], verbose=0)
    assert maps.shape == (20, 8, 6) and maps.dtype == "float32"
    np.testing.assert_array_equal(
        maps > 0.5, np.broadcast_to(NEEDED, maps.shape)
    )


def test_the_ratio_is_chosen_on_what_is_held_out(found):
    model, history = found
    # 4 of 48 pixels, a twelfth; the next share that is tried holds as many.
    share = history["val_needed_share"][-1]
    assert round(share * 48) == 4
    assert model.current_area_ratio == pytest.approx(1 - share, abs=0.02)
    assert history["val_needed_share"][0] == 1  # in the warm-up
    ratio = 0.9  # the first one; each epoch goes halfway
    for share in history["val_needed_share"]:
        ratio = (ratio + 1 - share) / 2 if share < 1 else ratio
    assert model.current_area_ratio == pytest.approx(ratio, abs=1e-6)


def test_collusion_is_asked_of_what_is_held_out(found):
    model, _ = found
    report = model.held_out_collusion
    assert isinstance(report, Collusion)
    assert report.clean == pytest.approx(1, abs=1e-5)
    assert max(report.pattern, report.donor) < 0.1


def test_a_map_that_turned_over_is_warned_about(found):
    attention = free_attention()
    # So sure of the opposite that there is hardly a gradient to come back.
    attention.layers[1].bias.assign(8 - 16.0 * NEEDED[::-1, ::-1].ravel())
    model = made(attention=attention, noise=MaskNoise(0.5, seed=0))
    model.predictor.trainable = False
    model.compile(keras.optimizers.SGD(0.1), "mse")
    with pytest.warns(UserWarning, match="Train anew, the predictor alone"):
        model.fit(*arrays(512), validation_split=0.25, verbose=0)
    report = model.held_out_collusion
    assert report.clean > 0.9
    assert report.named < 1e-3 < report.others
    # Trained anew, the predictor alone first: as the warning says.
    anew = found[0].held_out_collusion
    assert anew.named > 4 * anew.others


def test_evaluate_and_predict_are_those_of_the_predictor(found):
    model, _ = found
    x, y = arrays(10, seed=2)
    predictions = model.predict(x, verbose=0)
    np.testing.assert_array_equal(
        predictions, model.predictor.predict(x, verbose=0)
    )
    expected = ((predictions - y) ** 2).mean()
    loss = model.evaluate(x, y, verbose=0, return_dict=True)
    assert loss["loss"] == pytest.approx(expected, abs=1e-6)


def test_a_file_holds_all_of_it(found, tmp_path):
    model, _ = found
    model.save(tmp_path / "model.keras")
    read = keras.models.load_model(tmp_path / "model.keras")
    x, _ = arrays(5, seed=3)
    np.testing.assert_array_equal(
        read.explain(x, verbose=0), model.explain(x, verbose=0)
    )
    assert read.current_area_ratio == model.current_area_ratio
    assert read.area_ratio is None and read.warm_up == 1
    # The warm-up is over: the attention model learns from the first epoch.
    read.predictor.trainable = True
    read.compile(keras.optimizers.SGD(0.1), "mse")
    before = [np.zeros_like(w) for w in read.attention.get_weights()]
    read.attention.set_weights(before)
    read.fit(*arrays(8), epochs=1, verbose=0, validation_data=arrays(8))
    after = read.attention.get_weights()
    assert any((a != b).any() for a, b in zip(after, before, strict=True))


def test_the_loss_is_the_mean_of_both_and_the_area():
    x, y = arrays(6)
    wrong = sum_predictor(scale=0.5)
    model = made(wrong, noise=1e-6, area_ratio=0.8, area_weight=7.0)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    loss = model.fit(x, y, verbose=0).history["loss"][0]
    # Without noise to speak of both answers are half of the target.
    expected = ((0.5 * y) ** 2).mean() + 7.0 * (0.5 - 0.8) ** 2
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_warm_up_trains_the_predictor_alone():
    model = made(warm_up=2, predictor=sum_predictor(scale=0.9))
    x, y = arrays(8)
    attention = model.attention.get_weights()
    predictor = model.predictor.get_weights()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(x, y, epochs=2, verbose=0)
    for old, new in zip(attention, model.attention.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (predictor[0] != model.predictor.get_weights()[0]).any()
    model.fit(x, y, epochs=1, verbose=0)
    assert (attention[1] != model.attention.get_weights()[1]).any()


def test_mirrors_are_averaged_and_brought_back():
    attention = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ],
        name="attention",
    )
    rng = np.random.default_rng(0)
    predictor = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(1)]
    )
    model = PixelAttention(predictor, attention, area_ratio=0.75)
    x = rng.uniform(size=(3, 6, 6, 1)).astype("float32")

    def one(images):
        return 1 - attention.predict(images, verbose=0)[..., 0]

    # Each view by hand, and the way back of each.
    views = [
        (lambda a: a, lambda a: a),
        (lambda a: a[:, :, ::-1], lambda a: a[:, :, ::-1]),
        (lambda a: a[:, ::-1], lambda a: a[:, ::-1]),
        (lambda a: a[:, ::-1, ::-1], lambda a: a[:, ::-1, ::-1]),
    ]
    turned = [
        (
            lambda a, go=go: go(a).swapaxes(1, 2),
            lambda a, back=back: back(a.swapaxes(1, 2)),
        )
        for go, back in views
    ]
    mirrors = ["transpose", "up_down", "left_right"]
    for names, some in ((mirrors[1:], views), (mirrors, views + turned)):
        expected = np.mean([back(one(go(x))) for go, back in some], axis=0)
        found = model.explain(x, verbose=0, mirrors=names, calibrate=False)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        found = model.explain(x, verbose=0, mirrors=names)
        expected = ops.convert_to_numpy(calibrate(expected, 0.25))
        np.testing.assert_allclose(found, expected, atol=1e-3)


def two_heads():
    inputs = keras.Input(SHAPE)
    x = layers.Flatten()(inputs)
    return keras.Model(
        inputs,
        {
            "sum": layers.Dense(1, name="sum")(x),
            "corners": layers.Dense(2, name="corners")(x),
        },
        name="predictor",
    )


def test_several_outputs_train_as_the_predictor_alone_would():
    x, y = arrays(24)
    targets = {"sum": y, "corners": x[:, 0, [0, -1], 0]}
    model = made(two_heads(), area_ratio=None)
    model.compile(
        "adam",
        {"sum": "mse", "corners": "mae"},
        loss_weights={"sum": 1.0, "corners": 2.0},
        metrics={"corners": "mae"},
    )
    history = model.fit(
        x, targets, epochs=2, verbose=0, validation_split=0.25
    ).history
    assert {"sum_loss", "corners_mae", "val_needed_share"} <= set(history)
    assert set(model.predict(x, verbose=0)) == {"sum", "corners"}
    assert set(model.held_out_collusion) == {"sum", "corners"}
    assert isinstance(model.held_out_collusion["corners"], Collusion)
    assert model.explain(x, verbose=0).shape == (24, 8, 6)


def test_images_without_their_channel_and_integers_are_taken():
    x, y = arrays(16)
    images = (255 * x[..., 0]).astype("uint8")
    model = made(area_ratio=0.9)
    model.compile(keras.optimizers.SGD(1e-9), "mse")
    model.fit(images, y, epochs=1, verbose=0, validation_split=0.25)
    assert np.isfinite(model.held_out_collusion.noisy)
    np.testing.assert_allclose(
        model.explain(images, verbose=0),
        model.explain(images[..., None].astype("float32"), verbose=0),
    )


def test_batch_normalization_keeps_the_statistics_of_clean_images():
    normalization = layers.BatchNormalization(momentum=0.0)
    model = made(sum_predictor(normalization), noise=5.0)
    x, y = arrays(32)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(x, y, batch_size=32, verbose=0)
    variance = ops.convert_to_numpy(normalization.moving_variance)
    np.testing.assert_allclose(variance, x.var(), rtol=1e-3)


def datasets_of(x, y):
    import tensorflow as tf

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            part = slice(8 * index, 8 * index + 8)
            return x[part], y[part]

    whole = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    return {"tf.data": whole, "PyDataset": Batches()}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "kind", ["tf.data", pytest.param("PyDataset", marks=pytest.mark.slow)]
)
def test_what_is_held_out_may_be_a_data_set(kind):
    data = datasets_of(*arrays(32))[kind]
    model = made(area_ratio=0.9, noise=MaskNoise(0.5, seed=0))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(data, validation_data=data, verbose=0)
    of_arrays = made(area_ratio=0.9, noise=MaskNoise(0.5, seed=0))
    of_arrays.compile(keras.optimizers.SGD(0.0), "mse")
    of_arrays.fit(*arrays(32), validation_data=arrays(32), verbose=0)
    assert model.held_out_collusion == of_arrays.held_out_collusion


def test_the_needed_share_by_hand():
    metric = NeededShare(2)
    assert float(metric.result()) == 1
    harm = np.zeros((2, 1 + len(SHARES)), "float32")
    harm[:, 0] = 10, 100
    harm[0, 1:] = np.where(np.arange(len(SHARES)) >= 3, 1.0, 1.1)
    harm[1, 1:] = np.where(np.arange(len(SHARES)) >= 5, 9.9, 50.0)
    metric.update_state(harm)
    metric.update_state(harm)
    assert float(metric.result()) == pytest.approx(SHARES[5])
    # Not even the largest is enough.
    metric.reset_state()
    metric.update_state(np.ones((2, 1 + len(SHARES))))
    assert float(metric.result()) == 1


def test_harm_is_the_change_of_the_answers_under_noise_outside_of_a_share():
    weights = np.arange(1.0, 41.0).reshape(1, 4, 10, 1).astype("float32")

    def answer(images):
        weighed = ops.multiply(images, weights)
        return [ops.sum(weighed, axis=(1, 2, 3))]

    images = ops.zeros((20000, 4, 10, 1))
    relevance = ops.broadcast_to(weights[..., 0], (20000, 4, 10))
    noise = MaskNoise(0.5, seed=0)
    harm = ops.convert_to_numpy(harm_by_share(answer, noise, images, relevance))
    order = np.sort(weights.ravel())
    for column, share in enumerate((0.0, *SHARES)):
        count = 0 if not share else max(1, round(share * 40))
        expected = 20000 * 0.25 * (order[: 40 - count] ** 2).sum()
        np.testing.assert_allclose(harm[0, column], expected, rtol=0.05)


class InterruptAfterThreeEpochs(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise InterruptedError


def momentum():
    return keras.optimizers.SGD(0.02, momentum=0.5)


def adam_on_a_schedule():
    # Of 20 steps, 4 in each epoch.
    rate = keras.optimizers.schedules.CosineDecay(0.02, 20)
    return keras.optimizers.Adam(rate)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("optimizer", [momentum, adam_on_a_schedule])
@pytest.mark.parametrize("noise", [0.5, None])
def test_training_resumes_where_it_was(noise, optimizer, tmp_path):
    x, y = arrays(16)

    def fit(*callbacks):
        keras.utils.set_random_seed(0)
        model = made(
            sum_predictor(scale=0.5),
            noise=noise and MaskNoise(noise, seed=1),
            area_ratio=None,
            warm_up=2,
        )
        model.compile(optimizer(), "mse")
        model.fit(
            *(x, y, 4),
            epochs=5,
            shuffle=False,
            verbose=0,
            validation_data=(x, y),
            callbacks=list(callbacks),
        )
        return weights(model)

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    straight = fit()
    with pytest.raises(InterruptedError):
        fit(backup(), InterruptAfterThreeEpochs())
    for a, b in zip(fit(backup()), straight, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_wrong_arguments_are_named():
    x, y = arrays(8)
    with pytest.raises(ValueError, match="Received: area_ratio=1.5"):
        made(area_ratio=1.5)
    with pytest.raises(ValueError, match="Received: warm_up=-1"):
        made(warm_up=-1)
    with pytest.raises(ValueError, match="Received: noise=0"):
        made(noise=0)
    with pytest.raises(TypeError, match="Received: predictor=<Dense"):
        PixelAttention(layers.Dense(1))
    model = made(area_ratio=None)
    with pytest.raises(ValueError, match="Received: validation_split=0.0"):
        model.fit(x, y, verbose=0)
    for mirrors in ("left_right", ["sideways"], ["up_down", "up_down"]):
        with pytest.raises(ValueError, match="`mirrors` must be .* Received"):
            model.explain(x, mirrors=mirrors)
    with pytest.raises(ValueError, match="height=8 and width=6"):
        model.explain(x, mirrors=["transpose"], verbose=0)
    # The remedies.
    model.fit(x, y, verbose=0, validation_data=(x, y))
    model.explain(x, mirrors=["left_right", "up_down"], verbose=0)


@pytest.mark.slow
def test_a_ratio_that_is_not_found_and_a_check_that_fails_are_said():
    x, y = arrays(8)
    model = made(area_ratio=None, noise=1e-9, predictor=sum_predictor(scale=0))
    with pytest.warns(UserWarning) as seen:
        model.fit(x, y, verbose=0, validation_data=(x[:1], y[:1]))
    texts = [str(one.message) for one in seen]
    assert any("`area_ratio` is still 0.9" in text for text in texts)
    assert any("cannot tell whether" in text for text in texts)
