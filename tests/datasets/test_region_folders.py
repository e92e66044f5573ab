import numpy as np
import pytest
from PIL import Image

from keras_xmap.datasets import RegionFolders

LABELS = np.array(
    [
        [5, 5, 0, 9],
        [0, 0, 5, 9],
        [7, 7, 7, 9],
        [5, 7, 9, 7],
    ],
    "uint8",
)
CLASSES = {9: "glass", 5: "wood"}


def write(folder, labels=LABELS):
    for name in ("photos", "maps"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "lonely"):
        photo = rng.integers(256, size=(4, 4, 3), dtype="uint8")
        Image.fromarray(photo).save(folder / "photos" / f"{name}.png")
    Image.fromarray(labels).save(folder / "maps" / "a.png")
    return folder / "photos", folder / "maps"


def test_regions_are_8_connected_and_of_one_known_class(tmp_path):
    regions = RegionFolders(*write(tmp_path), CLASSES)
    assert regions.class_names == ("glass", "wood")
    found = {
        (regions.class_names[label], area): regions[i][1]
        for i, (label, area) in enumerate(
            zip(regions.labels, regions.areas, strict=True)
        )
    }
    # The third 5 and the fourth 9 touch the others by a corner.
    assert set(found) == {("wood", 3.0), ("glass", 4.0), ("wood", 1.0)}
    assert len(regions) == 3
    wood = LABELS == 5
    wood[3, 0] = False
    assert (found["wood", 3.0] == wood).all()
    assert (found["glass", 4.0] == (LABELS == 9)).all()


def test_a_class_may_be_any_number_that_pixels_hold(tmp_path):
    photos, maps = write(tmp_path)
    (maps / "a.png").unlink()
    values = np.where(LABELS == 5, -1, LABELS.astype("int32"))
    Image.fromarray(values).save(maps / "a.tif")
    regions = RegionFolders(photos, maps, {9: "glass", -1: "wood"})
    assert sorted(regions.areas) == [1.0, 3.0, 4.0]


def test_small_regions_are_left_out(tmp_path):
    regions = RegionFolders(*write(tmp_path), CLASSES, min_area=2)
    assert regions.areas.tolist() == [3.0, 4.0]


def test_a_channel_of_a_colour_map_is_the_class(tmp_path):
    colour = np.stack([np.zeros_like(LABELS), LABELS, LABELS // 9], axis=-1)
    folders = write(tmp_path, colour)
    assert len(RegionFolders(*folders, CLASSES, channel=1)) == 3
    assert len(RegionFolders(*folders, {1: "glass"}, channel=2)) == 1


def test_folders_that_do_not_fit_are_named(tmp_path):
    photos, maps = write(tmp_path)
    (maps / "a.png").rename(maps / "b.png")
    with pytest.raises(ValueError, match=r"label_maps='.*maps'"):
        RegionFolders(photos, maps, CLASSES)


def test_a_corrupt_label_map_is_named(tmp_path):
    photos, maps = write(tmp_path)
    (maps / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"Received: '.*maps.a\.png'"):
        RegionFolders(photos, maps, CLASSES)


def test_a_channel_that_a_label_map_lacks_is_named(tmp_path):
    folders = write(tmp_path, np.stack([LABELS] * 3, axis=-1))
    with pytest.raises(ValueError, match=r"Received: channel=3 for '.*a\.png"):
        RegionFolders(*folders, CLASSES, channel=3)


def test_it_prints_as_the_call_that_makes_it(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert repr(RegionFolders("photos", "maps", CLASSES)) == (
        "RegionFolders(directory='photos', label_maps='maps', "
        "classes={9: 'glass', 5: 'wood'}, channel=0, min_area=1)"
    )


def test_files_beside_the_images_are_left_out_and_two_images_refused(tmp_path):
    photos, maps = write(tmp_path)
    (photos / "a.txt").write_text("a caption")
    (photos / ".DS_Store").write_bytes(b"x")
    assert len(RegionFolders(photos, maps, CLASSES)) == 3
    (maps / "a.tif").write_bytes((maps / "a.png").read_bytes())
    with pytest.raises(ValueError, match=r"a.png, a.tif|a.tif, a.png") as error:
        RegionFolders(photos, maps, CLASSES)
    assert "Take one of them out" in str(error.value)
    (maps / "a.tif").unlink()
    assert len(RegionFolders(photos, maps, CLASSES)) == 3


def test_a_label_map_of_another_size_than_its_image_is_named(tmp_path):
    regions = RegionFolders(*write(tmp_path, LABELS[:3]), CLASSES)
    with pytest.raises(ValueError, match=r"\(3, 4\). Received: \(4, 4\) for '"):
        regions[0]


def test_what_is_no_label_map_is_named(tmp_path):
    photos, maps = write(tmp_path)
    (maps / "a.png").unlink()
    Image.fromarray(np.full((4, 4), np.nan, "float32")).save(maps / "a.tif")
    with pytest.raises(ValueError, match=r"dtype float32 in '.*maps.a\.tif'"):
        RegionFolders(photos, maps, CLASSES)
    Image.fromarray(LABELS.astype("int32")).save(maps / "a.tif")
    assert len(RegionFolders(photos, maps, CLASSES)) == 3


def test_a_label_map_of_16_bits_holds_its_values_as_they_are(tmp_path):
    photos, maps = write(tmp_path)
    Image.fromarray(LABELS.astype("uint16") * 300).save(maps / "a.png")
    regions = RegionFolders(photos, maps, {2700: "glass", 1500: "wood"})
    assert sorted(regions.areas) == [1.0, 3.0, 4.0]


def test_a_photo_is_turned_only_where_its_label_map_is(tmp_path):
    photos, maps = write(tmp_path)
    lying = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
    photo = Image.fromarray(lying)
    exif = photo.getexif()
    exif[0x0112] = 6
    (photos / "a.png").unlink()
    photo.save(photos / "a.webp", exif=exif, lossless=True)
    for labels, seen in (
        (np.eye(4, 6), lying),
        (np.eye(6, 4), np.rot90(lying, -1)),
    ):
        Image.fromarray(labels.astype("uint8")).save(maps / "a.png")
        image, mask = RegionFolders(photos, maps, {1: "line"})[0]
        assert (mask == labels).all() and (image == seen).all()


def test_a_label_map_that_would_have_to_be_turned_is_named(tmp_path):
    photos, maps = write(tmp_path)
    labels = Image.fromarray(LABELS)
    exif = labels.getexif()
    exif[0x0112] = 3
    labels.save(maps / "a.png", exif=exif)
    with pytest.raises(ValueError, match=r"Received: EXIF of Orientation 3 in"):
        RegionFolders(photos, maps, CLASSES)


@pytest.mark.parametrize(
    "kwargs, error",
    [
        ({"classes": {}}, ValueError),
        ({"classes": ["wood"]}, ValueError),
        ({"classes": {"5": "wood"}}, ValueError),
        ({"classes": {5: None}}, ValueError),
        ({"classes": {2**70: "wood"}}, ValueError),
        ({"channel": 1.0}, ValueError),
        ({"channel": -1}, ValueError),
        ({"min_area": 0}, ValueError),
        ({"directory": ""}, ValueError),
        ({"directory": None}, TypeError),
        ({"label_maps": "nowhere"}, ValueError),
    ],
)
def test_a_wrong_argument_is_named(kwargs, error, tmp_path):
    photos, maps = write(tmp_path)
    known = {"directory": photos, "label_maps": maps, "classes": CLASSES}
    with pytest.raises(error, match="Received: "):
        RegionFolders(**{**known, **kwargs})


def test_an_index_is_one_of_the_regions(tmp_path):
    regions = RegionFolders(*write(tmp_path), CLASSES)
    assert len(list(regions)) == 3
    assert (regions[-1][1] == regions[2][1]).all()
    with pytest.raises(IndexError, match="3 regions. Received: index=3"):
        regions[3]
    for wrong in (1.0, "1", None, [0], True):
        with pytest.raises(TypeError, match="Received: index="):
            regions[wrong]
    for wrong in ([7], "a", [0.5], [True], None, [[0]]):
        with pytest.raises(ValueError, match="Received: "):
            regions.subset(wrong)
