import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_xmap.ops import resize
from keras_xmap.regions import RegionStore
from keras_xmap.regions import decode_run_lengths


def drawn(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


CAT = drawn("##..", "##..", "....")
DOG = drawn("....", ".###", "....")
TAIL = drawn("..#.", "..#.", "..#.")


@pytest.fixture(params=["memory", "files"])
def store(request, tmp_path):
    """Image 7 with two classes in round 1 and one in round 2; 3 with one."""
    directory = tmp_path / "regions" if request.param == "files" else None
    store = RegionStore(directory)
    store.add([7, 7, 3], [0, 4, 4], 1, [CAT, DOG, np.zeros((2, 5), "bool")])
    store.add([7], [0], 2, [TAIL])
    if directory is None:
        return store
    store.flush()
    return RegionStore(directory)


def test_regions_are_found_by_image_class_and_round(store):
    assert store.image_ids == [3, 7]
    assert store.rounds == [1, 2]
    assert store.mined(1) == {3, 7} and store.mined(2) == {7}
    assert store.mined(5) == set()
    assert store.size(7) == (3, 4) and store.size(3) == (2, 5)
    assert (store.region(7) == CAT | DOG | TAIL).all()
    assert (store.region(7, class_id=0) == CAT | TAIL).all()
    assert (store.region(7, rounds=1) == CAT | DOG).all()
    assert (store.region(7, 0, rounds=[2, 3]) == TAIL).all()
    assert not store.region(7, class_id=9).any()
    assert not store.region(3).any() and store.region(3).shape == (2, 5)
    found = {(c, r): mask for c, r, mask in store.regions(7)}
    assert set(found) == {(0, 1), (4, 1), (0, 2)}
    assert (found[0, 1] == CAT).all() and (found[0, 2] == TAIL).all()


def test_a_batch_of_masks_is_the_union_over_classes_and_rounds(store):
    masks = store.mask([7, 8, 7])
    assert masks.dtype == bool and masks.shape == (3, 3, 4)
    assert (masks[0] == CAT | DOG | TAIL).all() and (masks[2] == masks[0]).all()
    assert not masks[1].any()
    assert (store.mask([7], rounds=[1])[0] == CAT | DOG).all()
    assert (store.mask([7], rounds=2)[0] == TAIL).all()
    assert not store.mask([7], rounds=())[0].any()
    assert (store.mask([7])[0] == masks[0]).all()
    assert store.mask([8, 9], size=(2, 2)).shape == (2, 2, 2)


def test_masks_of_another_size_are_those_of_resize(store):
    for size in [(6, 8), (7, 3), (3, 4), (1, 1)]:
        masks = store.mask(np.array([7, 3, 1]), size=size)
        for mask, image_id in zip(masks, [7, 3], strict=False):
            own = store.region(image_id)[None, ..., None]
            expected = np.asarray(resize(own, size, "nearest"))[0, ..., 0]
            assert (mask == (expected > 0)).all()
        assert not masks[2].any()


@pytest.mark.parametrize("rounds", [None, (1, 2)])
def test_what_is_added_later_shows_in_the_next_mask(store, rounds):
    rest = ~(CAT | DOG | TAIL)
    before = store.mask([7, 8], (3, 4), rounds)
    store.add([7, 8], [0, 0], 3, [rest, CAT])
    after = store.mask([7, 8], (3, 4), rounds)
    if rounds is None:
        assert after[0].all() and (after[1] == CAT).all()
    else:
        assert (after == before).all()
    store.add([7, 8], [0, 5], 2, [rest, DOG])
    after = store.mask([7, 8], (3, 4), rounds)
    assert after[0].all()
    assert (after[1] == (CAT | DOG if rounds is None else DOG)).all()
    store.discard(2)
    assert store.mask([8], (3, 4), 2).sum() == 0


def test_equal_keys_are_joined_and_order_does_not_matter():
    rng = np.random.default_rng(0)
    rows = [
        (int(i), int(c), int(r), rng.uniform(size=(5, 7)) < 0.2)
        for i, c, r in rng.integers(0, 3, size=(40, 3))
    ]
    one, other = RegionStore(), RegionStore()
    for image_id, class_id, round_id, mask in rows:
        one.add([image_id], [class_id], round_id, [mask])
    for image_id, class_id, round_id, mask in rows[::-1] + rows[:9]:
        other.add([image_id], [class_id], round_id, [mask])
    for i in range(3):
        for c in range(3):
            for r in range(3):
                masks = [m for *key, m in rows if key == [i, c, r]]
                expected = np.any(masks, axis=0) if masks else False
                assert (one.region(i, c, r) == expected).all()
                assert (other.region(i, c, r) == expected).all()
    assert (one.mask([0, 1, 2]) == other.mask([0, 1, 2])).all()


def test_stores_are_merged_by_union(store):
    other = RegionStore()
    other.add([7, 5], [0, 1], 2, [DOG, CAT])
    other.merge(store)
    assert other.image_ids == [3, 5, 7]
    assert (other.region(7, 0, 2) == DOG | TAIL).all()
    assert (other.region(7, 0, 1) == CAT).all()
    assert (other.region(5) == CAT).all()
    assert other.mined(1) == {3, 7}


def test_a_round_can_be_taken_back(store):
    store.discard(1)
    assert store.image_ids == [7] and store.rounds == [2]
    assert (store.mask([7])[0] == TAIL).all()
    if store.directory:
        again = RegionStore(store.directory)
        assert again.rounds == [2] and (again.region(7) == TAIL).all()


@pytest.mark.parametrize("ids", [["b/1.jpg", "ä"], [b"b/1.jpg", "ä".encode()]])
def test_ids_may_be_text(ids, tmp_path):
    store = RegionStore(tmp_path)
    store.add(ids, [0, 0], 1, [CAT, DOG])
    store.flush()
    store = RegionStore(tmp_path)
    assert store.image_ids == ["b/1.jpg", "ä"]
    assert (store.mask(np.array(ids, object)) == [CAT, DOG]).all()
    assert (store.region(ids[1]) == DOG).all()
    with pytest.raises(TypeError, match="Received: 3 beside 'b/1.jpg'"):
        store.add([3], [0], 1, [CAT])


def test_large_integers_are_ids_and_numpy_integers_the_same(tmp_path):
    store = RegionStore(tmp_path)
    ids = np.array([2**62, -5], "int64")
    store.add(ids, np.array([0, 1], "uint8"), np.int32(1), np.stack([CAT, DOG]))
    store.flush()
    store = RegionStore(tmp_path)
    assert store.image_ids == [-5, 2**62]
    assert (store.mask(ids) == [CAT, DOG]).all()
    assert (store.mask(ids.astype("int32")[1:]) == DOG).all()


@pytest.mark.parametrize("memory_bytes", [1, 4, 2**30])
def test_little_memory_changes_nothing_but_time(memory_bytes):
    store = RegionStore(memory_bytes=memory_bytes)
    store.add([0, 1, 2], [0, 1, 1], 0, [CAT, DOG, TAIL])
    for _ in range(2):
        assert (store.mask([2, 0, 1]) == [TAIL, CAT, DOG]).all()
    store.add([0], [0], 1, [DOG])
    assert (store.mask([2, 0, 1]) == [TAIL, CAT | DOG, DOG]).all()


def test_statistics_tell_what_a_round_adds(store):
    # Image 3 has 10 pixels, none mined; image 7 has 12: in round 1 cat 4 and
    # dog 3, of which 1 is both; in round 2 tail 3, of which 1 was dog's.
    first, second = store.statistics()
    assert first["round"] == 1 and second["round"] == 2
    assert first["num_images"] == 2 and first["num_regions"] == 3
    assert second["num_images"] == 1 and second["num_regions"] == 1
    assert first["new_share"] == pytest.approx(6 / 12 / 2)
    assert first["area_share"] == first["new_share"]
    assert second["new_share"] == pytest.approx(2 / 12 / 2)
    assert second["area_share"] == pytest.approx(8 / 12 / 2)
    assert RegionStore().statistics() == []


def test_labels_give_shared_pixels_to_the_smaller_region_or_to_none(store):
    dog_over_cat = [[1, 1, 0, 0], [1, 5, 5, 5], [0, 0, 0, 0]]
    assert store.labels(7, rounds=1).tolist() == dog_over_cat
    shared = [[1, 1, 0, 0], [1, 255, 5, 5], [0, 0, 0, 0]]
    labels = store.labels(7, rounds=1, overlap="ignore")
    assert labels.tolist() == shared and labels.dtype == np.uint8
    assert not store.labels(3).any()


def test_png_files_hold_labels_and_the_colours_of_voc(store, tmp_path):
    store.save_png(tmp_path / "png", rounds=1)
    image = Image.open(tmp_path / "png" / "7.png")
    assert image.mode == "P"
    assert (np.asarray(image) == store.labels(7, rounds=1)).all()
    assert (np.asarray(Image.open(tmp_path / "png" / "3.png")) == 0).all()
    # The table that VOC publishes: background, aeroplane, ..., bottle, void.
    palette = np.reshape(image.getpalette(), (-1, 3))
    published = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        5: (128, 0, 128),
        8: (64, 0, 0),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    assert {k: tuple(palette[k].tolist()) for k in published} == published


def test_text_ids_name_files_in_folders_but_not_outside(tmp_path):
    store = RegionStore()
    store.add(["a/b.jpg"], [0], 1, [CAT])
    store.save_png(tmp_path)
    assert (np.asarray(Image.open(tmp_path / "a" / "b.jpg.png")) == CAT).all()


@pytest.mark.parametrize(
    "ids, said",
    [
        (["a", "../out"], "lead out .* Received: image_id='../out'"),
        (["a", "..\\out"], r"lead out .* Received: image_id='..\\\\out'"),
        (["a", "/out"], "lead out .* Received: image_id='/out'"),
        (["a", "b//c", "b/./c"], "'b/./c' and 'b//c', both of b/c.png"),
    ],
)
def test_ids_that_name_no_file_of_their_own_are_refused(ids, said, tmp_path):
    store = RegionStore()
    store.add(ids, [0] * len(ids), 1, [CAT] * len(ids))
    with pytest.raises(ValueError, match=said):
        store.save_png(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("compressed", [True, False])
def test_coco_files_hold_an_annotation_an_image_and_class(
    store, tmp_path, compressed
):
    names = ["cat", "", "", "", "dog"]
    store.save_coco(tmp_path / "coco.json", None, names, compressed)
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["categories"] == [
        {"id": 1, "name": "cat"},
        {"id": 5, "name": "dog"},
    ]
    assert [image["id"] for image in content["images"]] == [3, 7]
    assert content["images"][0]["height"] == 2
    assert content["images"][0]["width"] == 5
    cat, dog = content["annotations"]
    assert (cat["image_id"], cat["category_id"]) == (7, 1)
    assert (dog["image_id"], dog["category_id"]) == (7, 5)
    assert cat["area"] == 7 and dog["area"] == 3
    assert cat["bbox"] == [0, 0, 3, 3] and dog["bbox"] == [1, 1, 3, 1]
    assert isinstance(cat["segmentation"]["counts"], str) == compressed
    assert (decode_run_lengths(cat["segmentation"]) == CAT | TAIL).all()
    assert (decode_run_lengths(dog["segmentation"]) == DOG).all()


def test_text_ids_are_numbered_for_coco(tmp_path):
    store = RegionStore()
    store.add(["b", "a"], [0, 0], 1, [CAT, DOG])
    store.save_coco(tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text())
    images = {image["file_name"]: image["id"] for image in content["images"]}
    assert images == {"a": 1, "b": 2}
    assert [a["image_id"] for a in content["annotations"]] == [1, 2]
    assert content["categories"] == [{"id": 1, "name": "0"}]


def test_what_coco_needs_is_checked(store, tmp_path):
    with pytest.raises(ValueError, match="1 names, and regions of class 4"):
        store.save_coco(tmp_path / "coco.json", class_names=["cat"])
    with pytest.raises(ValueError, match="Received: compressed=1"):
        store.save_coco(tmp_path / "coco.json", compressed=1)
    store.save_coco(tmp_path / "coco.json", iter([1, 2]), {0: "cat", 4: "dog"})
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [a["area"] for a in content["annotations"]] == [7, 3]


def test_a_store_prints_as_the_call_that_makes_it(tmp_path):
    store = RegionStore("regions", worker=3)
    assert repr(store) == "RegionStore(directory='regions', worker=3)"
    assert repr(RegionStore()) == "RegionStore(directory=None, worker=0)"


@pytest.mark.slow
def test_no_other_library_is_needed(tmp_path):
    code = """
import sys
for name in ("skimage", "matplotlib", "cv2", "sklearn"):
    sys.modules[name] = None
import numpy as np
from keras_xmap.regions import RegionStore
store = RegionStore(sys.argv[1])
store.add([7], [0], 1, np.ones((1, 2, 3), "bool"))
store.flush()
store.save_png(sys.argv[1])
print(RegionStore(sys.argv[1]).mask([7]).sum())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "6", done.stderr


@pytest.mark.parametrize(
    "row, error, message",
    [
        (([7], [0], 1, [np.ones((2, 2), "bool")]), ValueError, r"\(2, 2\) for"),
        (([7], [0], 1, [np.ones((3, 4))]), TypeError, "dtype=float64"),
        (([7], [0], 1, [np.ones(3, "bool")]), ValueError, r"mask.shape=\(3,\)"),
        (([7], [0, 1], 1, [CAT]), ValueError, "1 image ids, 2 class ids, 1 m"),
        (([7], [-1], 1, [CAT]), ValueError, "Received: class_ids=-1"),
        (([7], [0], -1, [CAT]), ValueError, "Received: round_id=-1"),
        (([0.5], [0], 1, [CAT]), TypeError, "Received: 0.5"),
        ((7, [0], 1, [CAT]), ValueError, r"Received: image_ids.shape=\(\)"),
        ((["a"], [0], 1, [CAT]), TypeError, "Received: 'a' beside "),
    ],
)
def test_a_wrong_region_is_named_and_changes_nothing(
    store, row, error, message
):
    with pytest.raises(error, match=message):
        store.add(*row)
    assert store.image_ids == [3, 7]
    assert (store.region(7) == CAT | DOG | TAIL).all()


def test_wrong_questions_are_named(store):
    with pytest.raises(ValueError, match="Received: image_id=8"):
        store.region(8)
    with pytest.raises(ValueError, match=r"size=None for sizes \[\(2, 5\)"):
        store.mask([3, 7])
    with pytest.raises(ValueError, match=r"size=None for sizes \[\]"):
        store.mask([8])
    with pytest.raises(ValueError, match="Received: overlap='both'"):
        store.labels(7, overlap="both")
    with pytest.raises(ValueError, match="Received: class_id=0.5"):
        store.region(7, class_id=0.5)
    with pytest.raises(ValueError, match="Received: round_id=1.0"):
        store.mined(1.0)
    with pytest.raises(ValueError, match="Received: rounds=0.5"):
        store.mask([7], rounds=[0.5])
    with pytest.raises(TypeError, match="Received: rounds='1'"):
        store.mask([7], rounds="1")
    with pytest.raises(ValueError, match=r"Received: size=\(3, 4, 1\)"):
        store.mask([7], size=(3, 4, 1))
    with pytest.raises(TypeError, match="Received: other={} "):
        store.merge({})
    store.add([7], [254], 1, [CAT])
    with pytest.raises(ValueError, match="Received: class_id=254 of image 7"):
        store.labels(7)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"worker": -1}, "Received: worker=-1"),
        ({"worker": True}, "Received: worker=True"),
        ({"shard_size": 0}, "Received: shard_size=0"),
        ({"memory_bytes": 0.5}, "Received: memory_bytes=0.5"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        RegionStore(**kwargs)
