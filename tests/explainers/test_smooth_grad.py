import keras
import numpy as np
import pytest
from explainers.networks import NUMBER
from explainers.networks import CountsTraces
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import input_gradients
from explainers.networks import random_network
from keras import layers
from reference.gradient import reduce_channels
from reference.gradient import smooth_grad
from reference.sampled_gradients import gradients_at_copies
from reference.sampled_gradients import square_grad
from reference.sampled_gradients import var_grad

from keras_xmap import engine
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import SmoothGrad

pytestmark = pytest.mark.tensorflow

MODEL_OPTIONS = {"size": (9, 7), "head": "mlp"}


def noise(seed, index, shape=(9, 7, 3)):
    return engine.normal_noise((1, *shape), seed, index).numpy()[0]


def square():
    """The score `sum(x ** 2) / 2`, whose gradient is the image."""
    inputs = keras.Input((3, 2, 1))
    x = layers.Multiply()([inputs, inputs])
    outputs = layers.Dense(1, use_bias=False)(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.set_weights([np.full((6, 1), 0.5, "float32")])
    return model


def test_the_gradient_of_a_square_is_the_image_plus_the_mean_noise():
    x = images(3, 2, 1)
    explainer = SmoothGrad(square(), 4, 0.25, seed=3, channel_reduction=None)
    mean = np.mean([noise(3, i, (3, 2, 1)) for i in range(4)], axis=0)
    spread = np.ptp(x, axis=(1, 2, 3), keepdims=True)
    expected = x + 0.25 * spread * mean
    assert_close(explainer.explain(x, NUMBER), expected)


@pytest.mark.slow
def test_random_networks_have_the_maps_of_the_reference():
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3)
    noises = [noise(5, i) for i in range(6)]

    def gradient_at(image):
        image = image[None].astype("float32")
        return input_gradients(model, image, 2)[0]

    expected = [smooth_grad(gradient_at, image, noises, 0.2) for image in x]
    for how in ("max", "mean", "norm", "sum"):
        explainer = SmoothGrad(model, 6, 0.2, seed=5, channel_reduction=how)
        assert_close(
            explainer.explain(x, 2), reduce_channels(expected, how), 2e-6
        )


def test_without_noise_it_is_the_gradient():
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3)
    expected = Saliency(model).explain(x, 2)
    for count in (1, 5):
        maps = SmoothGrad(model, count, noise_level=0).explain(x, 2)
        assert_close(maps, expected)


def test_of_a_linear_model_it_is_the_gradient_whatever_the_noise():
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.Flatten(), layers.Dense(3)]
    )
    x = images(4, 4, 2)
    expected = Saliency(model).explain(x, 2)
    for seed in (0, 1):
        maps = SmoothGrad(model, 3, 0.5, seed).explain(x, 2)
        assert_close(maps, expected)


def test_one_sample_is_the_gradient_at_that_noisy_image():
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3)
    spread = np.ptp(x, axis=(1, 2, 3), keepdims=True)
    noisy = x + 0.3 * spread * noise(11, 0)
    maps = SmoothGrad(model, 1, 0.3, seed=11).explain(x, 2)
    assert_close(maps, Saliency(model).explain(noisy, 2))


def test_the_class_is_that_of_the_image_not_of_its_noisy_copies():
    model = keras.Sequential(
        [keras.Input((9, 7, 3)), layers.Flatten(), layers.Dense(4)]
    )
    x = images(9, 7, 3, count=8)
    top = model.predict(x, verbose=0).argmax(-1)
    noisy = x + 2 * np.ptp(x, axis=(1, 2, 3), keepdims=True) * noise(0, 0)
    assert (model.predict(noisy, verbose=0).argmax(-1) != top).any()
    explainer = SmoothGrad(model, 1, 2.0)
    assert_close(explainer.explain(x), explainer.explain(x, top))


def test_the_same_seed_gives_the_same_maps_and_another_one_others():
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3)
    first = SmoothGrad(model, 3, seed=1)
    maps = first.explain(x, 2)
    np.testing.assert_array_equal(first.explain(x, 2), maps)
    again = SmoothGrad(model, 3, seed=1).explain(x, 2)
    np.testing.assert_array_equal(again, maps)
    other = SmoothGrad(model, 3, seed=2).explain(x, 2)
    assert np.abs(other - maps).max() > 1e-2 * maps.max()


def test_the_map_of_one_image_does_not_depend_on_its_batch():
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3, count=4)
    explainer = SmoothGrad(model, 3)
    together = explainer.explain(x, 2)
    reverse = explainer.explain(x[::-1], 2)[::-1]
    assert_close(reverse, together)
    alone = explainer.explain(x, 2, batch_size=1, verbose=0)
    assert_close(alone, together)
    louder = np.concatenate([x[:1], 100 * x[1:]])
    assert_close(explainer.explain(louder, 2)[:1], together[:1])


def test_more_samples_come_closer_to_the_expectation():
    """Of `sum(x ** 2) / 2` that is the image; the error falls as 1/sqrt(n)."""
    x = images(3, 2, 1)
    errors = [
        np.abs(
            SmoothGrad(square(), n, 0.5, channel_reduction=None).explain(
                x, NUMBER
            )
            - x
        ).mean()
        for n in (10, 1000)
    ]
    assert errors[1] < errors[0] / 3


def test_several_inputs_get_noise_of_their_own():
    inputs = [keras.Input((3, 2, 1)), keras.Input((3, 2, 1))]
    x = layers.Multiply()(inputs)
    outputs = layers.Dense(1, use_bias=False)(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.set_weights([np.ones((6, 1), "float32")])
    data = [images(3, 2, 1), images(3, 2, 1, seed=1)]
    explainer = SmoothGrad(model, 2, 0.25, channel_reduction=None)
    of_first, of_second = explainer.explain(data, NUMBER)
    noise_of_first = (of_second - data[0]) / np.ptp(
        data[0], axis=(1, 2, 3), keepdims=True
    )
    noise_of_second = (of_first - data[1]) / np.ptp(
        data[1], axis=(1, 2, 3), keepdims=True
    )
    assert np.abs(noise_of_first - noise_of_second).max() > 0.01
    for fields in (noise_of_first, noise_of_second):
        np.testing.assert_allclose(fields, fields[:1].repeat(3, 0), atol=1e-6)


def test_the_model_is_traced_no_more_often_for_more_samples():
    traces = []
    for num_samples in (1, 3, 20):
        counter = CountsTraces()
        model = keras.Sequential([keras.Input((4,)), counter, layers.Dense(2)])
        counter.count = 0
        SmoothGrad(model, num_samples).explain(images(4), 0)
        traces.append(counter.count)
    assert len(set(traces)) == 1
    assert traces[0] <= 3


def test_constant_images_have_the_gradient_and_no_noise():
    model = random_network(**MODEL_OPTIONS)
    x = np.full((2, 9, 7, 3), 0.7, "float32")
    assert_close(
        SmoothGrad(model, 3).explain(x, 2), Saliency(model).explain(x, 2)
    )


def test_constant_and_large_images_have_finite_maps():
    explainer = SmoothGrad(random_network(**MODEL_OPTIONS), 3)
    for value in (0.0, 1e18):
        maps = explainer.explain(images(9, 7, 3) * np.float32(value), 2)
        assert np.isfinite(maps).all()


def samples(model, x, target, noises, noise_level):
    """Returns one list of gradients per image."""

    def gradient_at(image):
        image = image[None].astype("float32")
        return input_gradients(model, image, target)[0]

    return [
        gradients_at_copies(gradient_at, image, noises, noise_level)
        for image in x
    ]


STATISTICS = {"variance": var_grad, "square": square_grad}


@pytest.mark.parametrize("reduction", STATISTICS)
def test_random_networks_have_the_statistics_of_the_reference(reduction):
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3)
    gradients = samples(model, x, 2, [noise(5, i) for i in range(6)], 0.2)
    expected = [STATISTICS[reduction](of_image) for of_image in gradients]
    for how in ("max", "norm"):
        explainer = SmoothGrad(model, 6, 0.2, 5, reduction, how)
        assert_close(
            explainer.explain(x, 2), reduce_channels(expected, how), 1e-5
        )


def test_statistics_of_the_gradient_of_a_square_by_hand():
    """The gradients are the noisy images themselves."""
    x = images(3, 2, 1)
    fields = np.stack([noise(3, i, (3, 2, 1)) for i in range(4)])
    spread = 0.25 * np.ptp(x, axis=(1, 2, 3), keepdims=True)
    copies = x[:, None] + spread[:, None] * fields

    def explained(reduction):
        explainer = SmoothGrad(
            square(), 4, 0.25, 3, reduction, channel_reduction=None
        )
        return explainer.explain(x, NUMBER)

    assert_close(explained("mean"), copies.mean(1))
    assert_close(explained("square"), np.square(copies).mean(1), 2e-6)
    assert_close(explained("variance"), copies.var(1), 2e-6)


def test_of_a_linear_model_squares_are_weights_and_variances_zero():
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.Flatten(), layers.Dense(3)]
    )
    x = images(4, 4, 2)
    weights = model.get_weights()[0][:, 2].reshape(4, 4, 2)
    maps = SmoothGrad(
        model, 3, 0.5, reduction="square", channel_reduction=None
    ).explain(x, 2)
    assert_close(maps, [weights**2] * 3)
    maps = SmoothGrad(model, 3, 0.5, reduction="variance").explain(x, 2)
    np.testing.assert_array_equal(maps, np.zeros((3, 4, 4)))


def test_one_sample_has_no_variance_and_the_square_of_its_gradient():
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3)
    maps = SmoothGrad(model, 1, 0.3, reduction="variance").explain(x, 2)
    np.testing.assert_allclose(maps, np.zeros((3, 9, 7)), atol=1e-6)
    mean = SmoothGrad(model, 1, 0.3, channel_reduction=None).explain(x, 2)
    squared = SmoothGrad(
        model, 1, 0.3, reduction="square", channel_reduction=None
    ).explain(x, 2)
    assert_close(squared, mean**2)


def test_small_variances_of_large_gradients_do_not_cancel():
    """Of `1000 x + x ** 2 / 2`: gradients near 1000 that differ by 0.01."""
    inputs = keras.Input((6,))
    squares = layers.Multiply()([inputs, inputs])
    outputs = layers.Dense(1)(layers.Concatenate()([inputs, squares]))
    model = keras.Model(inputs, outputs)
    model.layers[-1].kernel.assign(
        np.repeat([1000.0, 0.5], 6)[:, None].astype("float32")
    )
    x = images(6)
    stddev = 1e-2 * np.ptp(x, axis=1, keepdims=True)
    fields = np.stack([noise(0, i, (6,)) for i in range(20)])
    expected = stddev**2 * fields.var(0)
    maps = SmoothGrad(model, 20, 1e-2, reduction="variance").explain(x, NUMBER)
    assert_close(maps, expected, 2e-2)


def test_mean_and_variance_make_up_the_mean_square():
    model, x = random_network(**MODEL_OPTIONS), images(9, 7, 3)
    mean, variance, squared = (
        SmoothGrad(
            model, 5, 0.3, reduction=how, channel_reduction=None
        ).explain(x, np.array([[0, 2]] * 3))
        for how in ("mean", "variance", "square")
    )
    assert_close(variance + mean**2, squared)


@pytest.mark.parametrize("reduction", STATISTICS)
def test_statistics_of_constant_and_large_images_are_finite(reduction):
    explainer = SmoothGrad(
        random_network(**MODEL_OPTIONS), 3, reduction=reduction
    )
    for value in (0.0, 1.0, 1e18):
        maps = explainer.explain(np.full((2, 9, 7, 3), value, "float32"), 2)
        assert np.isfinite(maps).all() and (maps >= 0).all()


@pytest.mark.parametrize("seed", [None, 1.5, "a", True, -1, 2**31])
def test_a_seed_that_is_no_integer_is_refused_at_once(seed):
    with pytest.raises(ValueError, match="Received: seed="):
        SmoothGrad(random_network(), seed=seed)


def test_every_seed_serves_several_inputs():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, layers.Dense(1)(layers.Multiply()(inputs)))
    data = [images(4), images(4, seed=1)]
    for maps in SmoothGrad(model, 2, seed=2**31 - 1).explain(data, NUMBER):
        assert np.isfinite(maps).all()


BAD = [
    ({"num_samples": 0}, "Received: num_samples=0"),
    ({"num_samples": 2.5}, "Received: num_samples=2.5"),
    ({"num_samples": True}, "Received: num_samples=True"),
    ({"noise_level": -0.1}, "Received: noise_level=-0.1"),
    ({"noise_level": float("nan")}, "Received: noise_level=nan"),
    ({"channel_reduction": "std"}, "Received: channel_reduction='std'"),
    ({"reduction": "median"}, "Received: reduction='median'"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        SmoothGrad(random_network(), **options)
