import functools
import importlib
import tracemalloc

import numpy as np
import pytest
from reference.dense_crf import dense_crf
from reference.dense_crf import softmax
from skimage import data
from skimage.filters import gaussian
from skimage.transform import resize

from keras_xmap.segmentation import _permutohedral_lattice
from keras_xmap.segmentation import refine_with_crf
from keras_xmap.segmentation import refine_with_crf as refine
from keras_xmap.segmentation import to_probabilities

# The function has the name of its module.
MODULE = importlib.import_module("keras_xmap.segmentation.refine_with_crf")
PARAMETERS = (10, 80, 13, 3, 3)
NO_WEIGHTS = {
    "appearance_weight": 0,
    "position_stddev": 1,
    "color_stddev": 1,
    "smoothness_weight": 0,
    "smoothness_stddev": 1,
}


@functools.cache
def photo(name="coffee", size=(24, 32)):
    image = resize(getattr(data, name)(), size, anti_aliasing=True)
    return (255 * image).astype("float32")


def soft(classes=3, size=(24, 32), seed=0, sharpness=3):
    """Blobs of classes: probabilities that no edge of the photo shapes."""
    noise = np.random.default_rng(seed).random((*size, classes))
    p = gaussian(noise, 3, channel_axis=-1)
    p = ((p - p.min()) / (p.max() - p.min())) ** sharpness + 1e-3
    return np.moveaxis(p / p.sum(-1, keepdims=True), -1, 0)


@pytest.mark.parametrize("name", ["coffee", "chelsea", "astronaut"])
def test_it_is_the_sum_over_all_pairs_but_for_few_pixels(name):
    p = soft()
    exact = dense_crf(photo(name), np.log(np.moveaxis(p, 0, -1)), PARAMETERS)
    q = refine(photo(name), p)
    assert q.shape == (3, 24, 32) and q.dtype == np.float32
    np.testing.assert_allclose(q.sum(0), 1, atol=1e-5)
    exact = np.moveaxis(exact, -1, 0)
    assert (q.argmax(0) != exact.argmax(0)).mean() < 0.01
    assert np.abs(q - exact).mean() < 0.005
    # And the field did change the labels.
    assert (p.argmax(0) != exact.argmax(0)).mean() > 0.2


def test_one_iteration_is_near_the_exact_one_everywhere():
    p = soft()
    exact = dense_crf(photo(), np.log(np.moveaxis(p, 0, -1)), PARAMETERS, 1)
    q = refine(photo(), p, num_iterations=1)
    assert np.abs(np.moveaxis(q, 0, -1) - exact).mean() < 0.01


def test_classes_end_where_the_image_has_its_edge():
    image = np.zeros((40, 60, 3), "uint8")
    image[:, 33:] = (180, 30, 30)
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.5, (40, 60, 2))
    scores[:, :28, 0] += 1
    scores[:, 28:, 1] += 1  # five columns of the wrong side
    q = refine(image, np.moveaxis(softmax(scores), -1, 0))
    labels = np.broadcast_to(np.arange(60) >= 33, (40, 60))
    assert (q.argmax(0) == labels).all()


def test_without_weights_probabilities_stay():
    p = soft()
    q = refine(photo(), p, NO_WEIGHTS)
    np.testing.assert_allclose(q, p, rtol=1e-4)


def test_equal_probabilities_stay_equal():
    q = refine(photo(), np.full((5, 24, 32), 0.2))
    np.testing.assert_allclose(q, 0.2, atol=1e-6)
    # So do pixels of which nothing is known, where all are so.
    q = refine(photo(), np.zeros((5, 24, 32)))
    np.testing.assert_allclose(q, 0.2, atol=1e-6)


def test_each_pixel_is_divided_by_its_sum():
    p = soft()
    scale = np.random.default_rng(1).uniform(0.1, 50, (24, 32))
    np.testing.assert_allclose(
        refine(photo(), p * scale), refine(photo(), p), atol=1e-4
    )


def test_classes_may_be_renumbered():
    order = [2, 0, 1]
    q, p = refine(photo(), soft()), soft()
    np.testing.assert_allclose(refine(photo(), p[order]), q[order], atol=1e-4)


def test_classes_that_are_nowhere_likely_take_no_part():
    p = soft(4)
    p[2] *= 1e-4
    p[3] = 0
    q = refine(photo(), p)
    assert (q[2:] == 0).all()
    np.testing.assert_allclose(q[:2], refine(photo(), p[:2]), atol=1e-5)
    everything = refine(photo(), p, min_ratio=0)
    assert (everything[2] > 0).any() and (everything[3] == 0).all()
    assert (everything.argmax(0) == q.argmax(0)).all()


def test_one_class_is_certain():
    q = refine(photo(), np.stack([np.ones((24, 32)), np.zeros((24, 32))]))
    assert (q[0] == 1).all() and (q[1] == 0).all()


@pytest.mark.parametrize("kind", ["float64", "uint8", "int32", "gray"])
def test_images_of_every_kind(kind):
    image = photo().round()
    if kind == "gray":
        image = np.repeat(image[..., :1], 3, -1)
        expected = refine(image[..., :1], soft())
        np.testing.assert_array_equal(refine(image[..., 0], soft()), expected)
        # Three equal channels are three times the squared distance.
        setting = dict(NO_WEIGHTS, appearance_weight=10, position_stddev=80)
        three = {**setting, "color_stddev": 13 * np.sqrt(3)}
        one = {**setting, "color_stddev": 13}
        a, b = refine(image, soft(), three), refine(image[..., 0], soft(), one)
        assert (a.argmax(0) != b.argmax(0)).mean() < 0.01
    else:
        expected = refine(image, soft())
        found = refine(image.astype(kind), soft())
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_small_maps_are_brought_to_the_photo():
    p = soft(size=(12, 16))
    large = np.stack([resize(m, (24, 32), order=1, mode="edge") for m in p])
    np.testing.assert_allclose(
        refine(photo(), p), refine(photo(), large), atol=1e-4
    )


def test_a_batch_is_its_images():
    images = np.stack([photo(), photo("chelsea")])
    maps = np.stack([soft(), soft(seed=1)])
    q = refine(images, maps)
    assert q.shape == (2, 3, 24, 32)
    for row, image, own in zip(q, images, maps, strict=True):
        np.testing.assert_array_equal(row, refine(image, own))


def test_a_list_may_hold_any_sizes_and_numbers_of_classes():
    images = [photo(), photo("chelsea", (20, 21))]
    maps = [soft(), soft(5, (20, 21))]
    found = refine(images, maps)
    assert isinstance(found, list)
    assert [q.shape for q in found] == [(3, 24, 32), (5, 20, 21)]
    np.testing.assert_array_equal(found[1], refine(images[1], maps[1]))
    assert refine([], []) == []


def test_what_is_cached_of_a_size_is_of_its_weight_too():
    setting = {**NO_WEIGHTS, "smoothness_stddev": 3.0}
    results = [
        refine(photo(), soft(), {**setting, "smoothness_weight": weight})
        for weight in (1.0, 3.0, 1.0)
    ]
    np.testing.assert_array_equal(results[0], results[2])
    assert np.abs(results[0] - results[1]).max() > 0.01


P = soft()
BAD = {
    "colours of 0 to 1": (photo() / 255, P, {}, r"Pass 255 \* image"),
    "a prepared image": (photo() - 120, P, {}, "Received: image with values"),
    "16 bits": (257 * photo(), P, {}, "Received: image with values from"),
    "channels first": (
        np.moveaxis(photo(), -1, 0),
        P,
        {},
        r"Received: image.shape=\(3, 24, 32\)",
    ),
    "NaN in the image": (photo() * np.nan, P, {}, "values from nan"),
    "one map": (photo(), P[0], {}, r"Received: maps.shape=\(24, 32\)"),
    "logits": (photo(), np.log(P), {}, "logits by `keras.ops.softmax`"),
    "NaN in the maps": (photo(), P * np.nan, {}, "maps with values from nan"),
    "infinity": (photo(), np.where(P > 0.3, np.inf, P), {}, "to inf"),
    "a ratio": (photo(), P, {"min_ratio": 2}, "Received: min_ratio=2"),
    "no ratio": (photo(), P, {"min_ratio": "x"}, "Received: min_ratio='x'"),
    "a name": (photo(), P, {"parameters": "x"}, "Received: parameters='x'"),
    "steps": (photo(), P, {"num_iterations": 0}, "Received: num_iterations=0"),
    "a number": (
        [photo()],
        [P, P],
        {},
        r"Received: len\(images\)=1, len\(maps\)=2",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(case):
    image, maps, options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        refine_with_crf(image, maps, **options)


def test_an_image_of_booleans_is_refused():
    with pytest.raises(TypeError, match="Received: image.dtype=bool"):
        refine_with_crf(photo() > 100, P)


def test_black_floats_are_an_image():
    q = refine_with_crf(np.zeros((24, 32, 3)), P)
    assert np.isfinite(q).all()


def test_from_explanation_maps_to_labels():
    """A blob of evidence grows to the object that it stands on."""
    image = np.full((48, 64, 3), 90, "uint8")
    image[10:40, 20:50] = (210, 170, 60)
    image = image + np.random.default_rng(0).integers(0, 12, image.shape)
    rows, columns = np.mgrid[:48, :64]
    evidence = np.exp(-((rows - 22) ** 2 + (columns - 33) ** 2) / 160)
    truth = np.zeros((48, 64), int)
    truth[10:40, 20:50] = 1
    p = to_probabilities(evidence[None])
    q = refine_with_crf(image, p)
    before = (p.argmax(0) == truth).mean()
    assert before < 0.95
    assert (q.argmax(0) == truth).mean() > 0.999


def test_it_takes_the_same_in_however_many_parts(monkeypatch):
    p = soft()
    whole = refine(photo(), p)
    monkeypatch.setattr(MODULE, "_PIXELS_AT_A_TIME", 100)
    monkeypatch.setattr(MODULE, "_KEPT", 0)
    monkeypatch.setattr(_permutohedral_lattice, "_BLOCK", 100)
    np.testing.assert_allclose(refine(photo(), p), whole, atol=1e-5)


def test_memory_is_bounded_by_the_pixels(monkeypatch):
    """The figure of docs/photos.md, at a size that takes a second."""
    for module, name in (
        (MODULE, "_PIXELS_AT_A_TIME"),
        (_permutohedral_lattice, "_BLOCK"),
    ):
        monkeypatch.setattr(module, name, 2**11)
    monkeypatch.setattr(MODULE, "_KEPT", 0)
    rows, columns = np.mgrid[:200, :300]
    image = np.stack([rows, columns, rows + columns], -1) // 2
    maps = np.stack([rows, columns]).astype("float32")
    refine_with_crf(image[:9, :9], maps[:, :9, :9])  # imports
    tracemalloc.start()
    refine_with_crf(image, maps, num_iterations=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / rows.size < 150
