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
