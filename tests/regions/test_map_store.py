import numpy as np
import pytest

from keras_xmap.regions import MapStore
from keras_xmap.regions import RegionStore

MAPS = np.random.default_rng(0).random((4, 3, 20, 30)).astype("float32")


def test_maps_come_back_within_the_tolerance_from_memory_and_from_files(
    tmp_path,
):
    for directory in (None, tmp_path):
        store = MapStore(directory, tolerance=0.05, shard_size=2)
        store.add([5, 3], MAPS[:2])
        store.add([9], [MAPS[2, 0, :7]])
        assert store.image_ids == [3, 5, 9]
        for image_id, maps in ((5, MAPS[0]), (3, MAPS[1]), (9, MAPS[2, 0, :7])):
            found = store.maps(image_id)
            assert found.dtype == "float32" and found.shape == maps.shape
            assert np.abs(found - maps).max() <= 0.05
    # The third image is more than a shard holds: the others are written.
    assert MapStore(tmp_path).image_ids == [3, 5]
    store.flush()
    again = MapStore(tmp_path)
    assert again.image_ids == [3, 5, 9]
    assert np.abs(again.maps(3) - MAPS[1]).max() <= 0.05
    again.verify()


def test_workers_share_a_directory_and_regions_may_stand_beside(tmp_path):
    one, two = (MapStore(tmp_path, worker=worker) for worker in (0, 1))
    one.add(["a"], MAPS[:1])
    two.add(["b"], MAPS[1:2])
    regions = RegionStore(tmp_path)
    regions.add(["a"], [0], 1, [np.ones((2, 2), bool)])
    for store in (one, two, regions):
        store.flush()
        store.flush()
    one.refresh()
    assert one.image_ids == ["a", "b"]
    assert (one.maps("b") == MAPS[1]).all()
    assert RegionStore(tmp_path).image_ids == ["a"]


def test_damaged_maps_are_named(tmp_path):
    store = MapStore(tmp_path)
    store.add([0], MAPS[:1])
    store.flush()
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    damaged = MapStore(tmp_path)
    for read in (damaged.verify, lambda: damaged.maps(0)):
        with pytest.raises(ValueError, match="Received damaged files") as error:
            read()
        assert path.name in str(error.value) and "image 0" in str(error.value)
    path.write_bytes(content[:-300])
    with pytest.raises(ValueError, match=path.name):
        MapStore(tmp_path)
    # The remedy: without the file, the image can be added again.
    path.unlink()
    store = MapStore(tmp_path)
    store.add([0], MAPS[:1])
    assert (store.maps(0) == MAPS[0]).all()


def test_maps_may_be_added_again_once_there_is_room(tmp_path):
    store = MapStore(tmp_path / "maps", shard_size=1)
    store.add([0], MAPS[:1])
    (tmp_path / "maps").write_text("in the way")
    for _ in range(2):
        with pytest.raises(OSError):
            store.add([1], MAPS[1:2])
    (tmp_path / "maps").unlink()
    store.add([1], MAPS[1:2])
    store.flush()
    again = MapStore(tmp_path / "maps")
    for number in (0, 1):
        assert (again.maps(number) == MAPS[number]).all()


def test_all_maps_of_a_call_are_added_or_none():
    store = MapStore()
    store.add([0], MAPS[:1])
    with pytest.raises(ValueError, match="Received: image_id=0"):
        store.add([1, 0], MAPS[:2])
    with pytest.raises(ValueError, match="Received: image_id=2"):
        store.add([2, 2], MAPS[:2])
    with pytest.raises(ValueError, match="Received: 600 of 1800 values"):
        store.add([1, 2], [MAPS[0], MAPS[1] * [[[np.nan]], [[1]], [[1]]]])
    with pytest.raises(ValueError, match="2 image ids and 1 maps"):
        store.add([1, 2], MAPS[:1])
    with pytest.raises(ValueError, match="Received: maps=0.5"):
        store.add([1], 0.5)
    with pytest.raises(TypeError, match="integers, or all text"):
        store.add(["1"], MAPS[:1])
    assert store.image_ids == [0]
    with pytest.raises(ValueError, match="Received: image_id=1"):
        store.maps(1)


def test_it_prints_as_the_call_that_makes_it(tmp_path):
    store = MapStore(str(tmp_path), 0.1, relative=True)
    expected = f"MapStore(directory={str(tmp_path)!r}, tolerance=0.1"
    assert repr(store).startswith(expected)
