"""ROAD: pixels that go are painted over."""

import keras
import numpy as np
import pytest

from keras_xmap import engine
from keras_xmap import metrics
from keras_xmap import targets
from keras_xmap.metrics._linear_imputation import linear_imputation

NUMBER = targets.Component()
on_tensorflow = pytest.mark.tensorflow


def solved(image, gone):
    """Solves the system of the paper for one image, as a dense matrix."""
    places = {tuple(place): n for n, place in enumerate(np.argwhere(gone))}
    matrix = np.zeros((len(places), len(places)))
    known = np.zeros((len(places), image.shape[-1]))
    for place, n in places.items():
        for step in np.ndindex((3,) * gone.ndim):
            step = np.subtract(step, 1)
            other = tuple(np.add(place, step))
            inside = all(
                0 <= o < s for o, s in zip(other, gone.shape, strict=True)
            )
            if not step.any() or not inside:
                continue
            weight = 0.5 ** (np.abs(step).sum() - 1) / 6
            matrix[n, n] += weight
            if gone[other]:
                matrix[n, places[other]] -= weight
            else:
                known[n] += weight * image[other]
    painted = image.astype("float64")
    painted[gone] = np.linalg.solve(matrix, known)
    return painted


def drawn(shape, share, seed=0):
    rng = np.random.default_rng(seed)
    images = 100 + 50 * rng.normal(size=(2, *shape, 3))
    gone = rng.random((2, *shape)) < share
    gone[1] = True
    gone[1, 0] = False
    return images.astype("float32"), gone


@pytest.mark.parametrize(
    "shape, share",
    [((12,), 0.5), ((9, 7), 0.4), ((9, 8), 0.95), ((3, 4, 5), 0.6)],
)
def test_the_imputation_solves_the_system_of_the_paper(shape, share):
    images, gone = drawn(shape, share)
    axes = tuple(range(1, len(shape) + 1))
    x = keras.ops.convert_to_tensor(images)
    painted = linear_imputation(x, gone[..., None], axes)
    painted = keras.ops.convert_to_numpy(painted)
    expected = [solved(*pair) for pair in zip(images, gone, strict=True)]
    np.testing.assert_allclose(painted, expected, rtol=1e-4, atol=1e-2)
    kept = np.broadcast_to(~gone[..., None], images.shape)
    np.testing.assert_array_equal(painted[kept], images[kept])


def test_a_flat_image_and_nothing_gone_stay_as_they_are():
    images, gone = drawn((6, 5), 0.5)
    flat = np.full_like(images, -7.0)
    x = keras.ops.convert_to_tensor(flat)
    painted = linear_imputation(x, gone[..., None], (1, 2))
    painted = keras.ops.convert_to_numpy(painted)
    np.testing.assert_allclose(painted, flat, rtol=1e-6)
    x = keras.ops.convert_to_tensor(images)
    painted = linear_imputation(x, np.zeros_like(gone)[..., None], (1, 2))
    painted = keras.ops.convert_to_numpy(painted)
    np.testing.assert_array_equal(painted, images)


def weighted_sum(shape, seed=0):
    rng = np.random.default_rng(seed)
    model = keras.Sequential(
        [
            keras.Input((*shape, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    weights = rng.normal(size=(*shape, 3))
    model.set_weights([weights.reshape(-1, 1)])
    return model, weights


@on_tensorflow
@pytest.mark.parametrize("remove", ["most_important", "least_important"])
def test_scores_are_those_of_images_painted_over_with_noise(remove):
    model, weights = weighted_sum((5, 6))
    images, _ = drawn((5, 6), 0.5)
    maps = np.random.default_rng(1).random((2, 5, 6))
    shares = (0.1, 0.25, 0.9)
    metric = metrics.ROAD(model, shares, remove, noise_level=0.2, seed=3)
    curves = metric.curves(images, maps, NUMBER)
    np.testing.assert_allclose(curves.shares, shares)
    assert metric.higher_is_better is (remove == "least_important")
    for n, share in enumerate(shares):
        noise = keras.ops.convert_to_numpy(
            engine.normal_noise((1, 5, 6, 3), 3, keras.ops.convert_to_tensor(n))
        )[0]
        for image, heatmap, score in zip(
            images, maps, curves.scores[:, n], strict=True
        ):
            count = int(share * 30)
            ordered = np.argsort(heatmap.ravel())
            if remove == "most_important":
                ordered = ordered[::-1]
            gone = np.isin(np.arange(30), ordered[:count]).reshape(5, 6)
            painted = solved(image, gone)
            painted[gone] += 0.2 * np.ptp(image) * noise[gone]
            expected = (painted * weights).sum()
            assert score == pytest.approx(expected, rel=1e-3, abs=0.1)
    scores = metric.image_scores(images, maps, NUMBER)
    np.testing.assert_allclose(scores, curves.scores.mean(1), rtol=1e-5)


@on_tensorflow
def test_shares_leave_a_pixel_and_count_as_they_say():
    model, _ = weighted_sum((1, 2))
    metric = metrics.ROAD(model, (0.29, 0.999), noise_level=0)
    assert list(metric._counts(100)) == [29, 99]
    assert list(metric._counts(1)) == [0, 0]
    images = np.array([[[[1.0] * 3, [5.0] * 3]]])
    scores = metric.curves(images, np.array([[[1, 2]]]), NUMBER).scores
    ones = np.ones((1, 1, 2, 3), "float32")
    expected = [model(images)[0, 0], model(ones)[0, 0]]
    np.testing.assert_allclose(scores[0], expected, rtol=1e-4)


@on_tensorflow
@pytest.mark.parametrize(
    "arguments, received",
    [
        ({"shares": (0.5, 0.2)}, r"shares=\(0.5, 0.2\)"),
        ({"shares": ()}, r"shares=\(\)"),
        ({"shares": (0.5, 1.0)}, "shares=1.0"),
        ({"shares": 0.5}, "shares=0.5"),
        ({"remove": "most"}, "remove='most'"),
        ({"noise_level": -1}, "noise_level=-1"),
    ],
)
def test_what_is_out_of_range_is_told(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        metrics.ROAD(weighted_sum((1, 2))[0], **arguments)


@on_tensorflow
def test_rows_of_numbers_have_no_neighbours():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(
        ValueError, match=r"Received: inputs of shape \(None, 4"
    ):
        metrics.ROAD(model).image_scores(np.ones((1, 4)), np.eye(4)[:1], NUMBER)
