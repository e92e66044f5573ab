import functools

import numpy as np
import pytest
from scipy import ndimage
from scipy import stats

from keras_xmap.datasets import textured_ellipses
from keras_xmap.datasets._ellipse_geometry import elliptic_radius

SETS = [
    ("inclination", "grain"),
    ("crossing", "grain"),
    ("inclination", "bricks"),
    ("crossing", "bricks"),
]
every_set = pytest.mark.parametrize("question, texture", SETS)


@functools.cache
def drawn(question="inclination", texture="grain"):
    return textured_ellipses(600, question, texture, seed=0)


def inside_of(shapes, size=32):
    """Masks `(n, k, size, size)` of shapes `(n, k, 5)`, pixel centres."""
    grid = np.arange(size) + 0.5
    x, y = (axis[None] for axis in np.meshgrid(grid, grid))
    return np.stack(
        [elliptic_radius(s, x, y)[0] < 1 for s in np.moveaxis(shapes, 1, 0)],
        axis=1,
    )


def image_only_maps(images):
    """What a line without learning makes of images `(n, height, width)`."""
    down, across = np.gradient(images, axis=(1, 2))
    mean = ndimage.uniform_filter(images, (0, 3, 3))
    square = ndimage.uniform_filter(images**2, (0, 3, 3))
    return {
        "brightness": images,
        "distance from grey": np.abs(images - images.mean()),
        "edges": np.hypot(down, across),
        "Sobel": np.hypot(ndimage.sobel(images, 1), ndimage.sobel(images, 2)),
        "local contrast": square - mean**2,
    }


def area_under_curve(masks, maps):
    ranks = stats.rankdata(maps)[masks.ravel()]
    count, others = masks.sum(), (~masks).sum()
    return (ranks.sum() - count * (count + 1) / 2) / (count * others)


@every_set
def test_no_map_of_the_image_alone_tells_asked_from_other_pixels(
    question, texture, record_property
):
    data = drawn(question, texture)
    everywhere = np.ones_like(data.masks)
    on_any = data.masks | inside_of(data.distractors).any(axis=1)
    for name, maps in image_only_maps(data.images[..., 0]).items():
        of_all, of_ellipses = (
            area_under_curve(data.masks[where], maps[where])
            for where in (everywhere, on_any)
        )
        record_property(
            f"{question}, {texture}, {name}, AUC among all, among ellipses",
            f"{of_all:.3f}, {of_ellipses:.3f}",
        )
        # The rims of pieces have edges, of distractors as of the others.
        assert abs(of_all - 0.5) < 0.08
        assert abs(of_ellipses - 0.5) < 0.02


@every_set
def test_no_feature_of_an_ellipse_tells_that_it_is_asked_for(question, texture):
    data = drawn(question, texture)
    shapes = np.concatenate([data.shapes, data.distractors], axis=1)
    masks = inside_of(shapes)
    features = {
        "size": shapes[..., 2],
        "area": masks.sum(axis=(2, 3)) + 1e-3 * shapes[..., 3],
        "x": shapes[..., 0],
        "y": shapes[..., 1],
        "distance from the centre": np.hypot(*(shapes[..., :2].T - 16)).T,
    }
    for name, maps in image_only_maps(data.images[..., 0]).items():
        total = (masks * maps[:, None]).sum(axis=(2, 3))
        features[name] = total / masks.sum(axis=(2, 3))
    asked = data.shapes.shape[1]
    chance = asked / 4
    tolerance = 3.5 * np.sqrt(chance * (1 - chance) / len(shapes))
    for values in features.values():
        for chosen in (values.argmax(axis=1), values.argmin(axis=1)):
            assert abs((chosen < asked).mean() - chance) < tolerance


@every_set
def test_the_direction_of_the_texture_does_tell(question, texture):
    data = drawn(question, texture)
    shapes = np.concatenate([data.shapes, data.distractors], axis=1)
    masks = inside_of(shapes)
    down, across = np.gradient(data.images[..., 0], axis=(1, 2))
    upright = (masks * (down**2 - across**2)[:, None]).sum(axis=(2, 3))
    asked = data.shapes.shape[1]
    found = (upright.argmax(axis=1) < asked).mean()
    assert found > {"grain": 0.95, "bricks": 0.85}[texture]


@every_set
def test_masks_are_the_ellipses_that_are_asked_for(question, texture):
    data = drawn(question, texture)
    masks, others = inside_of(data.shapes), inside_of(data.distractors)
    np.testing.assert_array_equal(data.masks, masks.any(axis=1))
    # None touches another one.
    assert np.concatenate([masks, others], axis=1).sum(axis=1).max() == 1
    share = 0.06 * data.shapes.shape[1]
    assert data.masks.mean() == pytest.approx(share, rel=0.01)
    assert data.images.dtype == data.targets.dtype == "float32"
    assert data.images.min() >= 0 and data.images.max() <= 1
    assert data.images.mean() == pytest.approx(0.5, abs=0.01)


@every_set
def test_targets_are_those_of_the_shapes(question, texture):
    data = drawn(question, texture)
    if question == "inclination":
        degrees = np.rad2deg(data.shapes[:, 0, 4])
        np.testing.assert_allclose(
            data.decode(data.targets), degrees, atol=1e-3
        )
        return
    points = data.decode(data.targets)
    assert points.min() >= 0 and points.max() <= 32
    for k in range(2):
        x, y, _, _, angle = data.shapes[:, k].T
        beside = np.cos(angle) * (points[:, 1] - y)
        beside -= np.sin(angle) * (points[:, 0] - x)
        np.testing.assert_allclose(beside, 0, atol=1e-3)


@every_set
def test_mirrored_images_have_mirrored_answers(question, texture):
    data = drawn(question, texture)
    mirrored = data.with_mirrors()
    assert len(mirrored.images) == 4 * len(data.images)
    parts = [
        mirrored._make(x[k * 600 : (k + 1) * 600] for x in mirrored)
        for k in range(4)
    ]
    for part, axes in zip(parts, [(), (2,), (1,), (1, 2)], strict=True):
        np.testing.assert_array_equal(part.images, np.flip(data.images, axes))
        np.testing.assert_array_equal(part.masks, np.flip(data.masks, axes))
        np.testing.assert_allclose(
            inside_of(part.shapes).any(axis=1).mean(axis=0),
            np.flip(data.masks, axes).mean(axis=0),
            atol=0.01,
        )
        answers, originals = (x.decode(x.targets) for x in (part, data))
        if question == "inclination":
            expected = originals if len(axes) != 1 else 180 - originals
            difference = np.abs(answers - expected) % 180
            assert np.minimum(difference, 180 - difference).max() < 1e-2
            continue
        for axis, column in ((2, 0), (1, 1)):
            expected = originals[:, column]
            expected = 32 - expected if axis in axes else expected
            np.testing.assert_allclose(answers[:, column], expected, atol=1e-2)


def test_a_seed_repeats_and_splits_share_nothing():
    first, again, other, test = (
        textured_ellipses(20, texture="bricks", seed=seed, split=split)
        for seed, split in (
            (3, "train"),
            (3, "train"),
            (4, "train"),
            (3, "test"),
        )
    )
    np.testing.assert_array_equal(first.images, again.images)
    assert (first.images != other.images).any()
    assert (first.shapes != test.shapes).any()


def test_sizes_grow_with_the_image():
    small, large = (
        textured_ellipses(4, texture="bricks", size=size, seed=0)
        for size in (32, 96)
    )
    assert large.images.shape == (4, 96, 96, 1)
    np.testing.assert_allclose(
        large.shapes[..., :4], 3 * small.shapes[..., :4], rtol=1e-5
    )
    np.testing.assert_allclose(large.targets, small.targets, atol=1e-5)


def test_wrong_arguments_are_named():
    for arguments, received in (
        ({"question": "angle"}, "question='angle'"),
        ({"texture": "wood"}, "texture='wood'"),
        ({"split": "dev"}, "split='dev'"),
        ({"size": 16}, "size=16"),
        ({"num_images": 0}, "num_images=0"),
    ):
        with pytest.raises(ValueError, match=f"Received: {received}"):
            textured_ellipses(**arguments)
