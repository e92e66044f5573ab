"""`PixelAttention(noise=None)`: noise that takes most of the answers."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xmap.models import PixelAttention
from keras_xmap.models import attention_network
from keras_xmap.models import pixel_attention

# Nothing is trained here, so the maps are flat.
pytestmark = pytest.mark.filterwarnings("ignore:The answer needs the pixels")
SHAPE = (4, 5, 1)
QUIET = {"batch_size": 500, "verbose": 0}


def images(count=4000, seed=0):
    x = np.random.default_rng(seed).uniform(size=(count, *SHAPE))
    return x.astype("float32")


def weighing(*kernels):
    """A linear predictor, with an output for each set of weights."""
    inputs = keras.Input(SHAPE)
    flat = layers.Flatten()(inputs)
    outputs = []
    for kernel in kernels:
        dense = layers.Dense(1, use_bias=False)
        outputs.append(dense(flat))
        dense.kernel.assign(np.reshape(kernel, (20, 1)))
    outputs = outputs if len(outputs) > 1 else outputs[0]
    return keras.Model(inputs, outputs, name="predictor")


def made(predictor, **options):
    options = {"area_ratio": 0.9, "warm_up": 0, **options}
    attention = attention_network(SHAPE, filters=2, depth=1)
    model = PixelAttention(predictor, attention, **options)
    model.predictor.trainable = False
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def strength_by_hand(answers, squared_weights):
    """Of a linear predictor noise `s` moves the answers by `s^2 |w|^2`."""
    return np.sqrt(0.75 * answers.var() / squared_weights)


ONES = np.ones(20, "float32")


@pytest.mark.parametrize(
    ("scale", "of_answers"), [(1e-3, 1.0), (1.0, 1e-30), (255.0, 1.0)]
)
def test_noise_moves_the_answers_by_three_quarters_of_their_variance(
    scale, of_answers
):
    x = scale * images()
    y = x.sum((1, 2))
    model = made(weighing(of_answers * ONES))
    assert model.current_noise is None
    model.fit(x[:64], y[:64], validation_data=(x, y), **QUIET)
    expected = strength_by_hand(y, 20)
    assert model.current_noise == pytest.approx(expected, rel=0.04)


def test_of_several_outputs_the_one_that_is_moved_most_counts():
    x = images()
    # All of the second one comes from a pixel that hardly differs.
    x[:, 0, 0] = 0.5 + 0.1 * (x[:, 0, 0] - 0.5)
    first = np.eye(20)[0].astype("float32")
    y = [x.sum((1, 2)), x[:, 0, 0]]
    model = made(weighing(ONES, first))
    model.fit(
        *(x[:64], [part[:64] for part in y]),
        validation_data=(x, y),
        **QUIET,
    )
    assert model.current_noise == pytest.approx(
        strength_by_hand(y[1], 1), rel=0.04
    )


def test_it_is_chosen_once_when_the_predictor_has_been_alone():
    x = images(400)
    y = x.sum((1, 2))
    model = made(weighing(ONES), warm_up=2)
    model.fit(x, y, epochs=2, validation_split=0.5, **QUIET)
    assert model.current_noise is None
    model.fit(x, y, epochs=1, validation_split=0.5, **QUIET)
    chosen = model.current_noise
    expected = strength_by_hand(y[200:], 20)
    assert chosen == pytest.approx(expected, rel=0.1)
    # Where the answers differ twice as much.
    model.fit(2 * x, 2 * y, epochs=1, validation_split=0.5, **QUIET)
    assert model.current_noise == chosen


def test_the_noise_that_is_laid_on_images_has_this_strength():
    x = images(2000)
    y = x.sum((1, 2))
    model = made(weighing(ONES))
    model.fit(x, y, validation_data=(x, y), **QUIET)
    noisy = model.noise([x, np.ones(x.shape[:3])], training=True)
    found = (keras.ops.convert_to_numpy(noisy) - x).std()
    assert found == pytest.approx(model.current_noise, rel=0.02)


def test_images_may_be_integers_without_their_channel():
    x = (255 * images()[..., 0]).astype("uint8")
    y = x.sum((1, 2)).astype("float32")
    model = made(weighing(ONES))
    model.fit(x[:64], y[:64], validation_data=(x, y), **QUIET)
    assert model.current_noise == pytest.approx(
        strength_by_hand(y, 20), rel=0.04
    )


def test_a_file_holds_it(tmp_path):
    x = images(200)
    y = x.sum((1, 2))
    model = made(weighing(ONES))
    model.fit(x, y, validation_data=(x, y), **QUIET)
    model.save(tmp_path / "model.keras")
    read = keras.models.load_model(tmp_path / "model.keras")
    assert read.current_noise == model.current_noise
    assert read.get_config()["noise"] is None
    # It is not chosen anew, so nothing needs to be held out.
    read.fit(x, y, **QUIET)
    assert read.current_noise == model.current_noise


@pytest.mark.tensorflow
def test_what_is_held_out_may_be_a_data_set():
    import tensorflow as tf

    x = images()
    y = x.sum((1, 2))
    model = made(weighing(ONES))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(300)
    model.fit(x[:64], y[:64], validation_data=data, **QUIET)
    assert model.current_noise == pytest.approx(
        strength_by_hand(y, 20), rel=0.04
    )


def test_a_predictor_that_answers_a_constant_is_refused():
    x = images(100)
    y = x.sum((1, 2))
    model = made(weighing(0 * ONES))
    with pytest.raises(ValueError, match=r"answers of standard deviation \[0"):
        model.fit(x, y, validation_data=(x, y), **QUIET)
    assert model.current_noise is None
    # The remedies: noise, or a predictor that has learned.
    made(weighing(0 * ONES), noise=0.1).fit(x, y, **QUIET)
    model.predictor.set_weights([ONES[:, None]])
    model.fit(x, y, validation_data=(x, y), **QUIET)
    assert model.current_noise > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_images", "of_answers", "text"),
    [
        (1e-12, 1e12, r"2\*\*-32 .* moves too far"),
        (1e12, 1e-12, "moves hardly"),
    ],
)
def test_no_noise_of_a_sensible_strength_is_refused(
    of_images, of_answers, text
):
    x = images(100)
    y = x.sum((1, 2))
    data = (of_images * x, y)
    model = made(weighing(of_answers * ONES))
    with pytest.raises(ValueError, match=text):
        model.fit(*data, validation_data=data, **QUIET)
    assert model.current_noise is None
    # The remedy.
    model = made(weighing(ONES))
    model.fit(x, y, validation_data=(x, y), **QUIET)
    assert model.current_noise > 0


def test_without_images_held_out_it_is_refused_before_anything_is_trained():
    x = images(40)
    y = x.sum((1, 2))
    model = made(weighing(ONES), warm_up=3)
    with pytest.raises(ValueError, match="`noise` is chosen on images held"):
        model.fit(x, y, **QUIET)
    once = iter([(x, y)])
    with pytest.raises(ValueError, match="read more than once. Received: val"):
        model.fit(x, y, validation_data=once, **QUIET)
    # The remedies.
    model.fit(x, y, validation_split=0.5, **QUIET)
    made(weighing(ONES), noise=0.05).fit(x, y, **QUIET)


def test_the_functional_model_wants_a_number():
    with pytest.raises(ValueError, match="Received: noise=None"):
        pixel_attention(weighing(ONES), noise=None)


@pytest.mark.tensorflow
def test_two_replicas_choose_as_one_device_does(strategy):
    x = images()
    y = x.sum((1, 2))
    with strategy.scope():
        model = made(weighing(ONES))
    model.fit(x[:64], y[:64], validation_data=(x, y), **QUIET)
    assert model.current_noise == pytest.approx(
        strength_by_hand(y, 20), rel=0.04
    )
