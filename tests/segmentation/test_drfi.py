import functools
import io
import sys

import numpy as np
import pytest

from keras_xmap.segmentation import DRFI
from keras_xmap.segmentation import region_descriptors

pytest.importorskip("sklearn")

LEVELS = [(0.8, 100, 20), (0.8, 300, 40)]


def scene(seed):
    """A square of one colour on another, and its mask."""
    rng = np.random.default_rng(seed)
    image = np.empty((40, 50, 3))
    image[:] = rng.uniform(0, 100, 3)
    row, column = rng.integers(5, 20, 2)
    mask = np.zeros((40, 50), bool)
    mask[row : row + 14, column : column + 16] = True
    image[mask] = rng.uniform(150, 255, 3)
    image += rng.normal(0, 4, image.shape)
    return image.clip(0, 255).astype("uint8"), mask


IMAGES, MASKS = map(list, zip(*map(scene, range(20)), strict=True))


@functools.cache
def fitted():
    model = DRFI(LEVELS, num_trees=20, seed=1)
    assert model.fit(IMAGES, MASKS, verbose=0) is model
    return model


def area_under_curve(heatmap, mask):
    """The share of pairs of an object's pixel and another in right order."""
    inside, outside = heatmap[mask], np.sort(heatmap[~mask])
    right = np.searchsorted(outside, inside, side="left")
    right_or_equal = np.searchsorted(outside, inside, side="right")
    return (right + right_or_equal).mean() / 2 / len(outside)


def test_it_finds_objects_of_photos_that_it_has_not_seen():
    images, masks = zip(*map(scene, range(100, 106)), strict=True)
    maps = fitted().predict(list(images), verbose=0)
    assert isinstance(maps, list) and maps[0].dtype == np.float32
    areas = [area_under_curve(*pair) for pair in zip(maps, masks, strict=True)]
    assert np.mean(areas) > 0.95
    assert all(m.min() == 0 and m.max() == 1 for m in maps)


def test_a_map_is_the_mean_of_its_levels():
    """Each level: the forest's answers to regions, emphasised."""
    from skimage.segmentation import felzenszwalb

    def scaled(values):
        return (values - values.min()) / (values.max() - values.min())

    image, _ = scene(200)
    total = np.zeros(image.shape[:2])
    for stddev, scale, min_size in LEVELS:
        segments = felzenszwalb(
            image, scale=scale, sigma=stddev, min_size=min_size
        )
        rows = region_descriptors(image, segments)
        scores = scaled(fitted()._forest.predict(rows))
        total += scaled(np.exp(1.25 * scores))[segments]
    expected = scaled(total)
    np.testing.assert_allclose(fitted().predict(image), expected, atol=1e-6)


def test_the_forest_answers_as_the_one_it_was_made_of(monkeypatch):
    import sklearn.ensemble

    made = []

    class Kept(sklearn.ensemble.RandomForestRegressor):
        def fit(self, *args, **kwargs):
            made.append(self)
            return super().fit(*args, **kwargs)

    monkeypatch.setattr(sklearn.ensemble, "RandomForestRegressor", Kept)
    model = DRFI(LEVELS[:1], num_trees=7, seed=3).fit(IMAGES, MASKS, 0)
    rows = np.random.default_rng(0).uniform(size=(50, 93))
    np.testing.assert_allclose(
        model._forest.predict(rows), made[0].predict(rows), rtol=1e-12
    )


def test_a_seed_repeats_the_forest_and_none_does_not():
    options = {"levels": LEVELS[:1], "num_trees": 5}
    first, again, other = (
        DRFI(seed=seed, **options).fit(IMAGES[:8], MASKS[:8], 0)._forest.value
        for seed in (5, 5, None)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_a_level_that_is_given_twice_changes_nothing():
    model = DRFI(LEVELS, num_trees=1)
    model._forest = fitted()._forest
    twice = DRFI([*LEVELS, *LEVELS], num_trees=1)
    twice._forest = fitted()._forest
    image = IMAGES[3]
    np.testing.assert_allclose(
        twice.predict(image), model.predict(image), atol=1e-6
    )


def test_a_photo_without_two_regions_has_nothing_salient():
    assert (fitted().predict(np.full((30, 30, 3), 120, "uint8")) == 0).all()


def test_a_batch_is_an_array_and_gray_photos_are_read():
    batch = np.stack(IMAGES[:2])
    maps = fitted().predict(batch, verbose=0)
    assert maps.shape == (2, 40, 50)
    np.testing.assert_array_equal(maps[1], fitted().predict(IMAGES[1]))
    gray = batch[0, :, :, 0]
    three = fitted().predict(gray[..., None].repeat(3, axis=-1))
    np.testing.assert_allclose(fitted().predict(gray), three)
    assert fitted().predict([], verbose=0) == []


def test_masks_may_be_numbers():
    options = {"levels": LEVELS[:1], "num_trees": 3, "seed": 0}
    images, masks = IMAGES[:8], MASKS[:8]
    of_numbers = DRFI(**options).fit(images, [255 * m for m in masks], 0)
    of_booleans = DRFI(**options).fit(images, masks, 0)
    np.testing.assert_array_equal(
        of_numbers._forest.value, of_booleans._forest.value
    )


def test_a_bar_counts_the_photos(capsys):
    fitted().predict(IMAGES[:3])
    assert "3/3" in capsys.readouterr().out
    fitted().predict(IMAGES[:3], verbose=0)
    fitted().predict(IMAGES[0])
    assert capsys.readouterr().out == ""


def test_what_is_saved_predicts_the_same_without_scikit_learn(
    tmp_path, monkeypatch
):
    expected = fitted().predict(IMAGES[0])
    fitted().save(tmp_path / "model.npz")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    model = DRFI.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(model.predict(IMAGES[0]), expected)
    assert repr(model) == repr(fitted())
    assert model.levels == fitted().levels and model.seed == 1
    with pytest.raises(ImportError, match=r"keras-xmap\[segmentation\]"):
        model.fit(IMAGES, MASKS)


def damaged():
    content = io.BytesIO()
    np.savez(content, options="{}")
    return {
        "nothing": b"",
        "text": b"not an archive at all",
        "another archive": content.getvalue(),
    }


@pytest.mark.parametrize("kind", damaged())
def test_a_file_of_something_else_is_named(kind, tmp_path):
    (tmp_path / "model.npz").write_bytes(damaged()[kind])
    with pytest.raises(ValueError, match="Received: path=.*model.npz"):
        DRFI.load(tmp_path / "model.npz")


def test_half_a_file_is_none(tmp_path):
    fitted().save(tmp_path / "model.npz")
    content = (tmp_path / "model.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="Received: path=.*half.npz"):
        DRFI.load(tmp_path / "half.npz")


def test_a_bit_that_flips_is_found_or_changes_nothing(tmp_path):
    fitted().save(tmp_path / "model.npz")
    content = (tmp_path / "model.npz").read_bytes()
    found = 0
    for position in range(0, len(content), len(content) // 50):
        wrong = bytearray(content)
        wrong[position] ^= 8
        (tmp_path / "wrong.npz").write_bytes(wrong)
        try:
            loaded = DRFI.load(tmp_path / "wrong.npz")
        except ValueError:
            found += 1
            continue
        for name, array in fitted()._forest.arrays().items():
            np.testing.assert_array_equal(loaded._forest.arrays()[name], array)
    assert found > 25


@pytest.mark.parametrize(
    "name, value",
    [("left", 10**6), ("left", 0), ("feature", 93), ("roots", -1)],
)
def test_trees_that_lead_nowhere_are_refused(name, value, tmp_path):
    fitted().save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as file:
        arrays = {key: file[key].copy() for key in file.files}
    arrays[name][0] = value  # the first node is the root of a tree
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(ValueError, match="that `DRFI.save` wrote"):
        DRFI.load(tmp_path / "wrong.npz")


def test_a_file_that_is_missing_is_an_error_of_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        DRFI.load(tmp_path / "none.npz")


def test_it_prints_as_the_call_that_makes_it():
    assert repr(DRFI()) == "DRFI()"
    assert repr(DRFI([(1, 2, 3)], seed=4)) == (
        "DRFI(levels=((1.0, 2.0, 3),), seed=4)"
    )


def test_before_it_is_fitted_it_says_what_to_call(tmp_path):
    with pytest.raises(ValueError, match="Call `fit`, or `DRFI.load`"):
        DRFI().predict(IMAGES)
    with pytest.raises(ValueError, match=r"unfitted DRFI\(\)"):
        DRFI().save(tmp_path / "model.npz")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"levels": []}, r"Received: levels=\[\]"),
        ({"levels": [(1, 2)]}, r"Received: one of them is \(1, 2\)"),
        ({"levels": [(0, 100, 50)]}, "Received: stddev of a level=0"),
        ({"levels": [(1, 100, 0.5)]}, "Received: min_size of a level=0.5"),
        ({"num_trees": 0}, "Received: num_trees=0"),
        ({"contrast": "all"}, "Received: contrast='all'"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        DRFI(**options)


@pytest.mark.parametrize(
    "images, masks, message",
    [
        (IMAGES[:2], MASKS[:1], r"len\(images\)=2, len\(masks\)=1"),
        (IMAGES[:1], [MASKS[0][:, :9]], r"mask.shape=\(40, 9\)"),
        (IMAGES[:1], [np.zeros((40, 50), bool)], "leave .* 0 of an object"),
        (IMAGES[:1], [np.ones((40, 50), bool)], "leave 0 of the background"),
        ([], [], "Received: 0 masks"),
        (IMAGES[:1], [MASKS[0] * np.nan], "NaN"),
        ([IMAGES[0] / 255.0], MASKS[:1], "Pass 255"),
    ],
)
def test_photos_and_masks_that_teach_nothing_are_named(images, masks, message):
    with pytest.raises(ValueError, match=message):
        DRFI(LEVELS).fit(images, masks, verbose=0)


def test_what_is_no_list_of_photos_is_named():
    for images, masks in (
        (None, MASKS[:1]),
        (IMAGES[:1], None),
        ([[[1.0], [1.0, 2.0]]], MASKS[:1]),
    ):
        with pytest.raises(TypeError, match="`(images|masks)` must be"):
            DRFI(LEVELS).fit(images, masks, verbose=0)
    with pytest.raises(TypeError, match="`images` must be an array"):
        fitted().predict([[[1.0], [1.0, 2.0]]], verbose=0)


def test_an_unknown_verbosity_is_named():
    with pytest.raises(ValueError, match="Received: verbose='loud'"):
        fitted().predict(IMAGES, verbose="loud")
