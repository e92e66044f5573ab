import keras
import numpy as np
import pytest
from PIL import Image

from keras_xmap.datasets import PairedAugmentation
from keras_xmap.datasets import RegionFolders
from keras_xmap.datasets import region_batches
from keras_xmap.models import roi_classifier

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def regions(tmp_path):
    """Eight photos, white where the region is: six of class 0, two of 1."""
    for name in ("photos", "maps"):
        (tmp_path / name).mkdir()
    for number in range(8):
        labels = np.zeros((24, 32), "uint8")
        labels[4:10, 3 + 2 * number : 11 + 2 * number] = 1 + number % 4 // 3
        photo = np.repeat(255 * (labels > 0)[..., None], 3, axis=-1)
        Image.fromarray(photo.astype("uint8")).save(
            tmp_path / "photos" / f"{number}.png"
        )
        Image.fromarray(labels).save(tmp_path / "maps" / f"{number}.png")
    return RegionFolders(
        tmp_path / "photos", tmp_path / "maps", {1: "a", 2: "b"}
    )


def collect(batches):
    inputs, labels = zip(*batches.as_numpy_iterator(), strict=True)
    images = np.concatenate([x["image"] for x in inputs])
    return (
        images,
        np.concatenate([x["mask"] for x in inputs]),
        np.concatenate(labels),
    )


def test_without_training_every_region_comes_once_in_order(regions):
    batches = region_batches(regions, (24, 32), batch_size=3)
    assert int(batches.cardinality()) == 3
    images, masks, labels = collect(batches)
    assert labels.tolist() == regions.labels.tolist()
    for index in range(8):
        image, mask = regions[index]
        assert (images[index] == image).all() and images.dtype == "float32"
        assert (masks[index] == mask).all()


def test_masks_are_the_share_of_a_pixel_in_the_region(regions):
    _, masks, _ = collect(region_batches(regions, 4))
    for index in range(8):
        mask = regions[index][1].astype("float32")
        expected = mask.reshape((4, 6, 4, 8)).mean((1, 3))
        np.testing.assert_allclose(masks[index], expected, atol=1e-6)


def test_a_pass_of_training_balances_classes_and_is_drawn_anew(regions):
    batches = region_batches(regions, 4, 3, training=True, seed=1)
    first, second = collect(batches), collect(batches)
    for _, _, labels in (first, second):
        assert np.bincount(labels).tolist() == [4, 4]
    # Class 0 has six regions: none comes twice in a pass.
    of_zero = first[1][first[2] == 0]
    assert len(np.unique(of_zero, axis=0)) == 4
    assert (first[1] != second[1]).any()
    again = region_batches(regions, 4, 3, training=True, seed=1)
    for one, other in ((first, collect(again)), (second, collect(again))):
        for a, b in zip(one, other, strict=True):
            assert (a == b).all()


def test_a_centred_crop_is_a_square_around_the_region(regions):
    # The box is 8 wide: a crop of 1.5 is 12 pixels, centred on it.
    images, masks, _ = collect(region_batches(regions, 12, crop=1.5))
    expected = np.zeros((12, 12))
    expected[3:9, 2:10] = 1
    # The box of the first photo is 3 from the left and 4 from the top.
    expected_first = np.zeros((12, 12))
    expected_first[3:9, 2:10] = 1
    assert (masks[3] == expected).all()
    assert (masks[0] == expected_first).all()
    assert (images[..., 0] / 255 == masks).all()


def test_a_crop_ends_where_the_image_does(regions):
    _, masks, _ = collect(region_batches(regions, (24, 32), crop=100.0))
    whole = np.stack([regions[i][1] for i in range(8)])
    assert (masks == whole).all()


def test_a_drawn_crop_holds_the_whole_region(regions):
    batches = region_batches(
        regions, 24, crop=(1.0, 3.0), training=True, seed=0
    )
    places, sizes = set(), []
    for _ in range(5):
        images, masks, _ = collect(batches)
        for image, mask in zip(images, masks, strict=True):
            assert np.abs(image[..., 0] / 255 - mask).mean() < 0.1
            rows, columns = mask.sum(1) > 0, mask.sum(0) > 0
            # 8 x 6 pixels of a square of 8 s: 1 / s and 0.75 / s of it.
            assert rows.sum() / columns.sum() == pytest.approx(0.75, abs=0.25)
            sizes.append(columns.sum())
            places.add((rows.argmax(), columns.argmax()))
    assert len(places) > 10
    assert min(sizes) < 12 < 20 < max(sizes)


def test_a_file_that_cannot_be_read_is_named(regions, tmp_path):
    (tmp_path / "photos" / "5.png").write_bytes(b"no image")
    with pytest.raises(Exception, match=r"photos.5\.png"):
        collect(region_batches(regions, 4))
    with pytest.warns(UserWarning, match=r"left out: .*photos.5\.png"):
        kept = regions.without_corrupt()
    assert len(kept) == 7
    assert len(collect(region_batches(kept, 4))[0]) == 7


@pytest.mark.parametrize(
    "kwargs, received",
    [
        ({"image_size": 0}, "Received: image_size=0"),
        ({"image_size": (4, 4, 3)}, r"Received: image_size=\(4, 4, 3\)"),
        ({"image_size": 4, "batch_size": 0}, "Received: batch_size=0"),
        ({"image_size": 4, "crop": 0.5}, "Received: crop=0.5"),
        ({"image_size": 4, "crop": (3, 2)}, r"Received: crop=\(3, 2\)"),
    ],
)
def test_a_wrong_argument_is_named(regions, kwargs, received):
    with pytest.raises(ValueError, match=received):
        region_batches(regions, **kwargs)
    with pytest.raises(
        ValueError, match=r"Received: regions=RegionFolders.*<0 of 8>"
    ):
        region_batches(regions.subset([]), 4)


@pytest.mark.parametrize(
    "layers",
    [
        keras.layers.RandomFlip(seed=0),
        [keras.layers.RandomFlip(seed=0), keras.layers.RandomZoom(0.3, seed=1)],
        keras.layers.RandomRotation(0.1, fill_mode="constant", seed=0),
        keras.layers.RandomTranslation(0.2, 0.2, fill_mode="constant", seed=0),
    ],
    ids=["flip", "flip and zoom", "rotation", "translation"],
)
def test_mask_and_image_move_together(regions, layers):
    plain = region_batches(regions, (24, 32), 4)
    still = collect(plain)[1]
    images, masks, labels = collect(plain.map(PairedAugmentation(layers)))
    assert (masks != still).any() and labels.tolist() == regions.labels.tolist()
    # White is where the region is, but for how its border is interpolated.
    difference = np.abs(images[..., 0] / 255 - masks)
    assert difference.mean() < 0.02
    assert difference.mean() < 0.3 * np.abs(images[..., 0] / 255 - still).mean()


def test_colours_change_and_the_mask_stays(regions):
    plain = region_batches(regions, (24, 32), 4)
    brighter = keras.layers.RandomBrightness((0.3, 0.3), seed=0)
    images, masks, _ = collect(plain.map(PairedAugmentation([brighter])))
    assert (masks == collect(plain)[1]).all()
    assert (images > collect(plain)[0] - 1e-3).all() and images.min() > 50


def test_a_region_that_would_be_lost_stays(regions):
    plain = region_batches(regions, (24, 32), 4)
    away = keras.layers.RandomTranslation(
        (0.6, 0.6), 0.0, fill_mode="constant", seed=0
    )
    moved = collect(plain.map(PairedAugmentation(away)))
    assert (moved[1].sum((1, 2)) > 0).all()
    gone = keras.layers.RandomTranslation(
        (0.99, 0.99), 0.0, fill_mode="constant", seed=0
    )
    kept = collect(plain.map(PairedAugmentation([gone])))
    for one, other in zip(kept, collect(plain), strict=True):
        assert (one == other).all()


def test_layers_that_do_not_fit_are_named(regions):
    with pytest.raises(TypeError, match="layers with GaussianNoise"):
        PairedAugmentation(keras.layers.GaussianNoise(1.0))
    crop = PairedAugmentation(keras.layers.RandomCrop(3, 3))
    with pytest.raises(ValueError, match=r"masks of \(8, 8\) that became"):
        region_batches(regions, 8).map(crop)


def test_whole_numbers_and_booleans_are_augmented_as_floats():
    flip = PairedAugmentation(keras.layers.RandomFlip("horizontal", seed=3))
    image = np.zeros((20, 1, 2, 1), "uint8")
    image[:, 0, 0] = 9
    both = flip({"image": image, "mask": image[..., 0] > 0, "id": 4}, [5])
    assert both[0]["id"] == 4 and both[1] == [5]
    image, mask = (np.asarray(both[0][name]) for name in ("image", "mask"))
    assert (image[..., 0] == 9 * mask).all() and mask.dtype == "float32"
    assert 0 < mask[:, 0, 0].sum() < 20


@pytest.mark.parametrize(
    "inputs, error, message",
    [
        ({"image": np.ones((2, 4, 4, 3))}, TypeError, r"Received: \['image'\]"),
        (np.ones((2, 4, 4, 3)), TypeError, r"Received: array"),
        (
            {"image": "cat.png", "mask": np.ones((2, 4, 4))},
            TypeError,
            "Received: image.dtype=string",
        ),
        (
            {"image": np.ones((2, 4, 4, 3)), "mask": np.ones((2, 4, 5))},
            ValueError,
            r"Received: shapes \(2, 4, 4, 3\) and \(2, 4, 5\)",
        ),
        (
            {"image": np.ones((4, 4, 3)), "mask": np.ones((4, 4))},
            ValueError,
            r"Received: shapes \(4, 4, 3\) and \(4, 4\)",
        ),
    ],
    ids=["no mask", "no dictionary", "text", "another size", "no batch"],
)
def test_what_is_no_image_with_its_mask_is_named(inputs, error, message):
    flip = PairedAugmentation(keras.layers.RandomFlip())
    with pytest.raises(error, match=message):
        flip(inputs)


@pytest.mark.slow
def test_a_model_trains_on_the_batches_under_a_strategy(regions, strategy):
    batches = region_batches(regions, 16, 4, training=True, seed=0)
    with strategy.scope():
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(4, 3)(inputs)
        model = roi_classifier(keras.Model(inputs, x), 2)
        model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(batches, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert model.predict(region_batches(regions, 16), verbose=0).shape == (8, 2)
