import json

import numpy as np
import pytest
from PIL import Image
from PIL import ImageOps

from keras_xmap.datasets import COCOInstances

SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]
# The same square in 4 x 5 pixels, counted down the columns.
COUNTS = [5, 2, 2, 2, 9]


def annotation(segmentation, **kwargs):
    return {
        "id": 5,
        "image_id": 7,
        "category_id": 30,
        "segmentation": segmentation,
        **kwargs,
    }


def write(folder, annotations, size=(4, 5)):
    photo = np.arange(size[0] * size[1] * 3, dtype="uint8")
    photo = photo.reshape((*size, 3))
    Image.fromarray(photo).save(folder / "a.png")
    content = {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 4, "width": 5},
        ],
        "categories": [{"id": 90, "name": "cat"}, {"id": 30, "name": "dog"}],
        "annotations": annotations,
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return COCOInstances(file, folder)


def square(rows=slice(1, 3), columns=slice(1, 3)):
    mask = np.zeros((4, 5), bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    "segmentation",
    [
        SQUARE,
        {"size": [4, 5], "counts": COUNTS},
        {"size": [4, 5], "counts": "52207"},
    ],
    ids=["polygon", "counts", "compressed counts"],
)
def test_every_kind_of_segmentation_is_the_square(segmentation, tmp_path):
    objects = write(tmp_path, [annotation(segmentation)])
    image, mask = objects[0]
    assert (mask == square()).all() and mask.dtype == bool
    assert image.shape == (4, 5, 3) and image.dtype == "uint8"
    assert image[1, 0].tolist() == [15, 16, 17]
    assert objects.class_names == ("dog", "cat")
    assert objects.labels.tolist() == [0]
    assert objects.areas.tolist() == [4.0]


def test_polygons_of_one_object_are_united(tmp_path):
    other = [3, 0, 5, 0, 5, 1, 3, 1]
    objects = write(tmp_path, [annotation([*SQUARE, other])])
    expected = square() | square(slice(0, 1), slice(3, 5))
    assert (objects[0][1] == expected).all()


def test_a_pixel_is_inside_where_its_centre_is(tmp_path):
    polygon = [[0.6, 0.4, 3.6, 0.4, 3.6, 2.6, 0.6, 2.6]]
    objects = write(tmp_path, [annotation(polygon)])
    assert (objects[0][1] == square(slice(0, 3), slice(1, 4))).all()


def test_an_object_smaller_than_a_pixel_keeps_it(tmp_path):
    polygon = [[2.1, 1.1, 2.3, 1.1, 2.3, 1.3]]
    objects = write(tmp_path, [annotation(polygon)])
    assert (objects[0][1] == square(slice(1, 2), slice(2, 3))).all()
    assert objects.areas.tolist() == [1.0]


def test_crowds_and_small_objects_are_left_out_as_asked(tmp_path):
    rows = [
        annotation({"size": [4, 5], "counts": COUNTS}, iscrowd=1),
        annotation(SQUARE, iscrowd=0, area=3.5),
        annotation(SQUARE, category_id=90),
    ]
    write(tmp_path, rows)
    file = tmp_path / "instances.json"
    for kwargs, areas in [
        ({}, [3.5, 4.0]),
        ({"crowd": True}, [4.0, 3.5, 4.0]),
        ({"min_area": 3.6}, [4.0]),
    ]:
        assert COCOInstances(file, tmp_path, **kwargs).areas.tolist() == areas


def test_a_subset_is_of_the_rows_given(tmp_path):
    rows = [annotation(SQUARE), annotation(SQUARE, category_id=90)]
    objects = write(tmp_path, rows)
    for chosen in ([1], [False, True], np.array([1])):
        assert objects.subset(chosen).labels.tolist() == [1]
    assert len(objects) == 2


@pytest.mark.parametrize(
    "row, received",
    [
        (annotation(SQUARE, image_id=8), "image_id=8 in "),
        (annotation(SQUARE, category_id=1), "annotation id=5"),
        (annotation([]), r"segmentation=\[\]"),
        (annotation([[1, 1, 3]]), r"a polygon of shape \(3,\)"),
        (annotation({"size": [4, 5], "counts": [3, 3]}), "sum 6"),
        (annotation({"size": [5, 4], "counts": COUNTS}), r"size=\[5, 4\]"),
        (annotation({"size": [4, 5], "counts": "5 2"}), "annotation id=5"),
        ({"id": 5, "image_id": 7, "category_id": 30}, "segmentation"),
    ],
)
def test_a_malformed_annotation_is_named(row, received, tmp_path):
    with pytest.raises(ValueError, match=received):
        write(tmp_path, [row])


def test_a_file_that_is_not_such_json_is_named(tmp_path):
    file = tmp_path / "broken.json"
    for text in ("{", "[]", '{"images": []}'):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"Received: '.*broken\.json'"):
            COCOInstances(file, tmp_path)


def test_a_photo_of_another_size_is_named(tmp_path):
    objects = write(tmp_path, [annotation(SQUARE)], size=(5, 4))
    with pytest.raises(ValueError, match=r"\(5, 4\) for '.*a\.png'"):
        objects[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_annotations_are_of_the_pixels_as_they_are_stored(
    orientation, tmp_path
):
    objects = write(tmp_path, [annotation(SQUARE)])
    photo = Image.open(tmp_path / "a.png")
    stored = np.array(photo)
    exif = photo.getexif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "a.png", exif=exif)
    image, mask = objects[0]
    assert (image == stored).all() and (mask == square()).all()


@pytest.mark.parametrize("orientation", (5, 6, 7, 8))
def test_a_photo_is_turned_where_its_annotations_are_of_the_upright_size(
    orientation, tmp_path
):
    objects = write(tmp_path, [annotation(SQUARE)], size=(5, 4))
    photo = Image.open(tmp_path / "a.png")
    exif = photo.getexif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "a.png", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    image, mask = objects[0]
    assert (image == np.array(upright)).all() and image.shape == (4, 5, 3)
    assert (mask == square()).all()


def test_corrupt_photos_are_named_and_left_out_only_if_asked(tmp_path):
    objects = write(tmp_path, [annotation(SQUARE), annotation(SQUARE)])
    assert len(objects.without_corrupt()) == 2
    whole = (tmp_path / "a.png").read_bytes()
    for content in (whole[: len(whole) // 2], b"no image"):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"Received: '.*a\.png'"):
            objects[0]
        with pytest.warns(UserWarning, match=r"left out: .*a\.png"):
            assert len(objects.without_corrupt()) == 0
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"Received: '.*a\.png'"):
        objects[0]


def test_it_prints_as_the_call_that_makes_it(tmp_path, monkeypatch):
    write(tmp_path, [annotation(SQUARE), annotation(SQUARE)])
    monkeypatch.chdir(tmp_path)
    objects = COCOInstances("instances.json", ".", min_area=2)
    call = (
        "COCOInstances(annotations='instances.json', directory='.', "
        "crowd=False, min_area=2.0)"
    )
    assert repr(objects) == call
    assert repr(objects.subset([1])) == f"{call}.subset(<1 of 2>)"


def test_a_boolean_is_a_boolean(tmp_path):
    with pytest.raises(ValueError, match="Received: crowd=0"):
        COCOInstances(tmp_path / "instances.json", tmp_path, crowd=0)
