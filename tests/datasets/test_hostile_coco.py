"""A file from elsewhere is read, or refused by name; it breaks nothing."""

import json

import numpy as np
import pytest
from datasets import hostile_coco
from PIL import Image

from keras_xmap.datasets import COCOInstances


@pytest.fixture
def folder(tmp_path):
    hostile_coco.write_photos(tmp_path)
    return tmp_path


def read(folder, text):
    file = folder / "instances.json"
    file.write_text(text, "utf-8")
    objects = COCOInstances(file, folder, crowd=True)
    return objects, [objects[i] for i in range(len(objects))]


def test_every_mutation_of_a_good_file_is_read_or_refused_by_name(folder):
    obscure, refused, num_read = [], 0, 0
    for name, text in hostile_coco.mutations():
        try:
            objects, found = read(folder, text)
        except Exception as error:
            ours = isinstance(error, ValueError) and "Received: " in str(error)
            if not ours or f"{folder}/" not in str(error):
                obscure.append(f"{name}: {error!r}")
            refused += 1
            continue
        num_read += 1
        assert np.isfinite(objects.areas).all() and (objects.areas >= 0).all()
        for _, mask in found:
            assert mask.dtype == bool and mask.shape == (4, 5)
    assert not obscure, "\n".join(obscure)
    assert refused > 800 and num_read > 50


def changed(section, number, **values):
    content = hostile_coco.good()
    content[section][number].update(values)
    return json.dumps(content)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            changed("annotations", 1, image_id="8"),
            "annotation id=51 .number 1. of image_id='8' in .*instances.json': "
            "`image_id` must be that of an image",
        ),
        (
            changed("annotations", 0, category_id=True),
            "annotation id=50 .* `category_id` must be a whole number or text",
        ),
        (
            changed("annotations", 0, segmentation=[[1, 1], [3, 1], [3, 3]]),
            r"annotation id=50 .* three corners .* shape \(2,\)",
        ),
        (
            changed("annotations", 0, segmentation=[[float("nan")] * 6]),
            "annotation id=50 .* finite corners. Received: .nan",
        ),
        (
            changed("annotations", 0, segmentation=[[9, 9, 11, 9, 11, 11]]),
            r"lie in its image. Received: corners from \[9.0, 9.0\] to \[11.0",
        ),
        (
            changed("annotations", 0, segmentation=[["1"] * 6]),
            "annotation id=50 .* list of numbers, x and y",
        ),
        (
            changed("annotations", 0, iscrowd="0"),
            "annotation id=50 .* be 0 or 1. Received: iscrowd='0'",
        ),
        (
            changed("annotations", 0, area="4"),
            "annotation id=50 .* be a number >= 0. Received: area='4'",
        ),
        (
            changed("images", 1, id=7),
            r"images\[1\] of id=7 in .* stand once. Received: id=7 again",
        ),
        (
            changed("categories", 1, id="2"),
            r"ids of one kind, .* Received: ids \[1, '2'\] in ",
        ),
        (
            changed("categories", 1, name=None),
            r"categories\[1\] of id=2 in .*: `name` must be given",
        ),
        (
            changed("images", 0, height="4"),
            r"images\[0\] of id=7 in .* `height` must be a whole .*: '4'",
        ),
        (
            changed("images", 0, file_name="../a.png"),
            r"images\[0\] .* lead out of .* Received: file_name='../a.png'",
        ),
        (
            changed("images", 0, height=60000, width=60000),
            r"images\[0\] .* Received: 60000 x 60000 pixels. If you trust",
        ),
        (hostile_coco.BROKEN["deep nesting"], "must be JSON. .*recursion"),
        (hostile_coco.BROKEN["a key twice"], "Received twice: 'images'"),
    ],
)
def test_the_row_and_what_is_wrong_are_named(text, message, folder):
    with pytest.raises(ValueError, match=message):
        read(folder, text)


def test_whole_numbers_may_be_written_as_floats(folder):
    content = hostile_coco.good()
    for row in content["images"]:
        row.update(id=float(row["id"]), height=4.0, width=5.0)
    content["annotations"][1]["segmentation"] = {
        "size": [4.0, 5.0],
        "counts": [5.0, 2.0, 13.0],
    }
    objects, found = read(folder, json.dumps(content))
    _, as_usual = read(folder, json.dumps(hostile_coco.good()))
    assert objects.areas.tolist() == [4.0, 2.0]
    for (_, mask), (_, usual) in zip(found, as_usual, strict=True):
        assert (mask == usual).all()


def test_ids_may_be_text(folder):
    text = json.dumps(hostile_coco.good())
    for number in (7, 8):
        text = text.replace(f'id": {number},', f'id": "{number}",')
    objects, _ = read(folder, text)
    assert objects.labels.tolist() == [1, 0]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.json"):
        COCOInstances(tmp_path / "nowhere.json", tmp_path)
    for arguments in (("", "."), ("a.json", ""), (None, "."), ("a.json", 3)):
        with pytest.raises((ValueError, TypeError), match="Received: "):
            COCOInstances(*arguments)


def test_a_large_polygon_is_drawn_in_parts_as_in_one(tmp_path, monkeypatch):
    from keras_xmap.datasets import coco_instances

    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    content = hostile_coco.good()
    content["images"][0].update(height=40, width=50)
    star = [2, 3, 30, 1, 48, 20, 20, 17, 33.5, 39.5, 4.2, 30]
    dot = [10.1, 30.1, 10.3, 30.1, 10.3, 30.3]
    content["annotations"] = content["annotations"][:1]
    content["annotations"][0].update(segmentation=[star, dot], area=None)
    objects, found = read(tmp_path, json.dumps(content))
    monkeypatch.setattr(coco_instances, "_PIXELS_AT_A_TIME", 120)
    in_parts, parts = read(tmp_path, json.dumps(content))
    assert (found[0][1] == parts[0][1]).all()
    assert objects.areas.tolist() == in_parts.areas.tolist()
    assert found[0][1].sum() == objects.areas[0] > 500
