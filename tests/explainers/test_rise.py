import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import NUMBER
from explainers.networks import CountsTraces
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import sizes_and
from keras import layers
from reference.perturbation import enlarged
from reference.perturbation import mask_covariance
from reference.perturbation import rise

from keras_xmap import engine
from keras_xmap.explainers import RISE
from keras_xmap.targets import Difference

pytestmark = pytest.mark.tensorflow


def masks(size, cells, keep_probability, seed, count):
    """The masks of the explainer, drawn and enlarged one pixel at a time."""
    result = []
    for index in range(count):
        noise = engine.uniform_noise(
            (cells ** len(size) + len(size),), seed, index
        ).numpy()
        grid = noise[: cells ** len(size)] < keep_probability
        shifts = [
            int(share * -(-length // cells))
            for share, length in zip(noise[-len(size) :], size, strict=True)
        ]
        grid = grid.reshape([cells] * len(size)).astype("float64")
        result.append(enlarged(grid, size, shifts))
    return result


def linear(*shape, seed=0):
    weights = np.random.default_rng(seed).normal(size=shape)
    model = keras.Sequential(
        [keras.Input(shape), layers.Flatten(), layers.Dense(1, use_bias=False)]
    )
    model.set_weights([weights.reshape(-1, 1).astype("float32")])
    return model, weights


def explain(model, x, target=NUMBER, **options):
    return RISE(model, **options).explain(x, target, verbose=0)


def test_one_mask_gives_the_score_of_what_it_shows():
    """One cell is the whole image: seen or not."""
    model, weights = linear(2, 3, 1)
    x = images(2, 3, 1)
    scores = (x * weights).sum(axis=(1, 2, 3))
    seen = 0
    for seed in range(4):
        shown = masks((2, 3), 1, 0.5, seed, 1)[0]
        assert shown.min() == shown.max()
        seen += shown.max()
        expected = shown * scores[:, None, None] / 0.5
        maps = explain(model, x, num_masks=1, grid_size=1, seed=seed)
        np.testing.assert_allclose(maps, expected, rtol=1e-5)
    assert 0 < seen < 4


@sizes_and("grid", [(3, 0.5), (7, 0.3)], sizes=[(13,), (8, 9), (5, 4, 6)])
def test_random_networks_have_the_maps_of_the_reference(size, grid):
    cells, keep = grid
    if len(size) == 3 and cells == 7:
        cells = 2
    convolution = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
    inputs = keras.Input((*size, 2))
    x = convolution[len(size)](4, 3, activation="relu")(inputs)
    outputs = layers.Dense(3, activation="softmax")(layers.Flatten()(x))
    model, data = keras.Model(inputs, outputs), images(*size, 2)

    def score_of(image):
        return model(image[None].astype("float32")).numpy()[0, 1]

    fields = masks(size, cells, keep, 5, 6)
    expected = [rise(score_of, image, fields, keep) for image in data]
    maps = explain(
        model,
        data,
        1,
        num_masks=6,
        grid_size=cells,
        keep_probability=keep,
        seed=5,
    )
    assert_close(maps, expected, 3e-6)


@pytest.mark.slow
def test_of_a_linear_model_the_expectation_is_known():
    """`E = p * S(I) + sum_j w_j * I_j * cov(m_j, m_i) / p`, exactly."""
    size, cells, keep = (5, 6), 3, 0.4
    model, weights = linear(*size, 2, seed=3)
    x = images(*size, 2, count=2)
    effects = (x * weights).sum(-1)
    covariance = mask_covariance(size, cells, keep)
    expected = keep * effects.sum(axis=(1, 2), keepdims=True) + np.einsum(
        "nab,abcd->ncd", effects, covariance / keep
    )
    runs = np.stack(
        [
            explain(
                model,
                x,
                num_masks=500,
                grid_size=cells,
                keep_probability=keep,
                seed=seed,
            )
            for seed in range(10)
        ]
    )
    error = runs.std(axis=0, ddof=1) / 10**0.5
    distance = np.abs(runs.mean(axis=0) - expected) / error
    # 60 values of Student's t with 9 degrees of freedom.
    assert distance.max() < 5
    assert (distance < 2.26).mean() > 0.8
    assert error.max() < 0.1 * np.ptp(expected)


def test_more_masks_come_closer_to_the_expectation():
    size, cells, keep = (5, 6), 3, 0.5
    model, weights = linear(*size, 1, seed=3)
    x = images(*size, 1)
    effects = (x * weights).sum(-1)
    covariance = mask_covariance(size, cells, keep)
    expected = keep * effects.sum(axis=(1, 2), keepdims=True) + np.einsum(
        "nab,abcd->ncd", effects, covariance / keep
    )
    errors = [
        np.abs(explain(model, x, num_masks=n, grid_size=cells) - expected)
        for n in (40, 4000)
    ]
    assert errors[1].mean() < errors[0].mean() / 4


def test_masks_are_seen_as_often_as_they_should_be():
    """Of a constant score the map is that constant."""
    inputs = keras.Input((6, 6, 1))
    x = layers.Flatten()(inputs)
    x = layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")(x)
    model = keras.Model(inputs, x)
    for keep in (0.2, 0.5, 0.9):
        maps = explain(
            model,
            images(6, 6, 1),
            num_masks=3000,
            grid_size=3,
            keep_probability=keep,
        )
        assert np.abs(maps - 1).max() < 4 * ((1 - keep) / keep / 3000) ** 0.5


def test_probabilities_are_explained_by_default():
    inputs = keras.Input((5, 5, 1))
    x = layers.Dense(1)(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Activation("sigmoid")(x))
    x = images(5, 5, 1)
    options = {"num_masks": 4, "grid_size": 2}
    maps = explain(model, x, **options)
    fields = masks((5, 5), 2, 0.5, 0, 4)

    def probability(image):
        return model(image[None].astype("float32")).numpy()[0, 0]

    expected = [rise(probability, image, fields, 0.5) for image in x]
    assert_close(maps, expected)
    logits = explain(model, x, score="logits", **options)
    assert np.abs(logits - maps).max() > 0.1


def test_the_class_is_that_of_the_image_not_of_its_masked_copies():
    model, x = random_network(head="mlp"), images(9, 7, 3, count=8)
    top = model.predict(x, verbose=0).argmax(-1)
    options = {"num_masks": 4, "grid_size": 3}
    assert_close(
        explain(model, x, None, **options), explain(model, x, top, **options)
    )


def test_differences_of_classes_have_differences_of_maps():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    options = {"num_masks": 4, "grid_size": 3}
    together = explain(model, x, Difference(2, 0), **options)
    maps = [explain(model, x, k, **options) for k in (2, 0)]
    assert_close(together, maps[0] - maps[1], 3e-6)


def test_the_same_seed_gives_the_same_maps_and_another_one_others():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    options = {"num_masks": 4, "grid_size": 3}
    maps = explain(model, x, seed=1, **options)
    np.testing.assert_array_equal(explain(model, x, seed=1, **options), maps)
    other = explain(model, x, seed=2, **options)
    assert np.abs(other - maps).max() > 1e-2 * np.abs(maps).max()


def test_the_map_of_one_image_does_not_depend_on_its_batch():
    model, x = random_network(head="mlp"), images(9, 7, 3, count=4)
    explainer = RISE(model, num_masks=4, grid_size=3)
    together = explainer.explain(x, 2)
    assert_close(explainer.explain(x[::-1], 2)[::-1], together)
    alone = explainer.explain(x, 2, batch_size=1, verbose=0)
    assert_close(alone, together)


def test_several_inputs_are_masked_one_at_a_time_by_masks_of_their_own():
    inputs = [keras.Input((4, 4, 1)), keras.Input((4, 4, 1))]
    flat = [layers.Flatten()(x) for x in inputs]
    dense = layers.Dense(1, use_bias=False)
    model = keras.Model(inputs, dense(layers.Concatenate()(flat)))
    data = [images(4, 4, 1), images(4, 4, 1, seed=1)]
    maps = explain(model, data, num_masks=5, grid_size=2, seed=3)
    for number in range(2):
        fields = masks((4, 4), 2, 0.5, 3 + number, 5)
        for i in range(3):

            def score_of(image, i=i, number=number):
                pair = [x[i : i + 1] for x in data]
                pair[number] = image[None].astype("float32")
                return model(pair).numpy()[0, 0]

            expected = rise(score_of, data[number][i], fields, 0.5)
            assert_close(maps[number][i], expected)


def test_the_model_is_traced_no_more_often_for_more_masks():
    traces = []
    for num_masks in (1, 3, 500):
        counter = CountsTraces()
        model = keras.Sequential([keras.Input((4,)), counter, layers.Dense(2)])
        counter.count = 0
        explain(model, images(4), num_masks=num_masks, grid_size=2)
        traces.append(counter.count)
    assert len(set(traces)) == 1
    assert traces[0] <= 3


def test_constant_and_large_images_have_finite_maps():
    explainer = RISE(random_network(), num_masks=3)
    for value in (0.0, 1e18):
        x = images(9, 7, 3) * np.float32(value)
        assert np.isfinite(explainer.explain(x, 0)).all()


BAD = [
    ({"num_masks": 0}, "Received: num_masks=0"),
    ({"grid_size": 1.5}, "Received: grid_size=1.5"),
    ({"keep_probability": 0}, "Received: keep_probability=0"),
    ({"keep_probability": 1.0}, "Received: keep_probability=1.0"),
    ({"seed": None}, "Received: seed=None"),
    ({"seed": 1.5}, "Received: seed=1.5"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RISE(random_network(), **options)


# The numbers the masks are made of


def test_uniform_noise_is_the_same_for_the_same_seed_and_index():
    first = engine.uniform_noise((3, 4), 7, 2)
    assert first.dtype == tf.float32
    compiled = tf.function(
        lambda seed, i: engine.uniform_noise((3, 4), seed, i)
    )
    for again in (
        engine.uniform_noise((3, 4), np.int64(7), tf.constant(2)),
        compiled(tf.constant(7), tf.constant(2)),
    ):
        np.testing.assert_array_equal(again, first)
    for other in ((8, 2), (7, 3), (-7, 2)):
        fields = first, engine.uniform_noise((3, 4), *other)
        assert np.abs(fields[0] - fields[1]).min() > 0


def test_uniform_noise_is_spread_evenly_from_0_to_1():
    noise = engine.uniform_noise((200_000,), 0, 0).numpy()
    assert noise.min() >= 0 and noise.max() < 1
    share = np.histogram(noise, bins=10, range=(0, 1))[0] / len(noise)
    assert np.abs(share - 0.1).max() < 0.003
