"""Readers of images with labels: right ones are kept, wrong ones are named."""

import numpy as np
import pytest
from PIL import Image

import keras_xmap
from keras_xmap.datasets import LabelledFolder
from keras_xmap.datasets import VOCFolder
from keras_xmap.datasets import read_label_map
from keras_xmap.datasets import write_label_map

pytestmark = pytest.mark.filterwarnings("ignore:.* cannot be used")


def photo(path, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 10, 10)).save(path)


def truncated(path):
    rng = np.random.default_rng(0)
    noise = rng.integers(256, size=(40, 40, 3), dtype="uint8")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-400])


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return path


def voc(root, names="abcd"):
    """A folder of VOC: class cat in a and c, dog in b and c, nothing in d."""
    for name in names:
        photo(root / "JPEGImages" / f"{name}.jpg")
    lists = root / "ImageSets"
    text(lists / "Segmentation" / "train.txt", "a\nb\nc\nd\n")
    text(lists / "Main" / "cat_train.txt", "a  1\nb -1\nc  0\nd -1\n")
    text(lists / "Main" / "dog_train.txt", "a -1\nb  1\nc  1\nd -1\n")
    (root / "SegmentationClass").mkdir()
    for name, classes in zip("abcd", ([1], [2], [1, 2], []), strict=True):
        labels = np.zeros((4, 6), "uint8")
        labels[0, : len(classes)] = classes
        labels[3] = 255
        write_label_map(root / "SegmentationClass" / f"{name}.png", labels)
    return root


EXPECTED = [[1, 0], [0, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize("labels", ["main", "masks"])
def test_labels_of_voc_come_from_lists_or_masks(labels, tmp_path):
    images = VOCFolder(voc(tmp_path), "train", labels, ["cat", "dog"])
    assert images.names == ("a", "b", "c", "d")
    assert images.labels.tolist() == EXPECTED
    assert images[0].shape == (4, 6, 3) and images[0].dtype == "uint8"
    assert images.mask(2)[0].tolist() == [1, 2, 0, 0, 0, 0]
    assert (images.mask(2)[3] == 255).all()
    assert images.problems == {}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_label_map_is_turned_with_its_photo(orientation, tmp_path):
    """It is of the pixels as they are stored, or of the upright photo."""
    images = VOCFolder(voc(tmp_path), "train", "main", ["cat", "dog"])
    labels = np.zeros((4, 6), "uint8")
    labels[0, :2] = 1, 2
    photo = Image.fromarray(np.stack([120 * labels] * 3, axis=-1))
    exif = photo.getexif()
    exif[0x0112] = orientation
    file = tmp_path / "JPEGImages" / "a.jpg"
    photo.save(file, "PNG", exif=exif)  # nothing is read from a name's end
    write_label_map(tmp_path / "SegmentationClass" / "a.png", labels)
    found = images.mask(0)
    np.testing.assert_array_equal(images[0][..., 0], 120 * found)
    assert found.shape == ((4, 6) if orientation < 5 else (6, 4))
    # What was annotated upright fits, too, where the size tells.
    if orientation > 4:
        write_label_map(tmp_path / "SegmentationClass" / "a.png", found)
        np.testing.assert_array_equal(images.mask(0), found)
    assert len(images.without_corrupt(masks=True)) == 4


def test_the_list_of_10582_images_holds_paths(tmp_path):
    line = "/JPEGImages/b.jpg /SegmentationClassAug/b.png\n"
    root = voc(tmp_path)
    text(root / "ImageSets" / "Segmentation" / "train_aug.txt", line)
    (root / "SegmentationClass").rename(root / "SegmentationClassAug")
    images = VOCFolder(
        root, "train_aug", "masks", ["cat", "dog"], "SegmentationClassAug"
    )
    assert images.names == ("b",) and images.labels.tolist() == [[0, 1]]
    # The lists of other splits tell of its images as well.
    images = VOCFolder(root, "train_aug", "main", ["cat", "dog"])
    assert images.labels.tolist() == [[0, 1]]


def test_what_is_wrong_in_voc_is_named_and_the_rest_is_kept(tmp_path):
    root = voc(tmp_path, "abc")  # d is missing
    text(
        root / "ImageSets" / "Main" / "cat_train.txt",
        "a  1\nb yes\nc -1\nd -1\n",
    )
    with pytest.warns(UserWarning, match="3 cannot be used"):
        images = VOCFolder(root, class_names=["cat", "dog"])
    assert images.names == ("a", "c")
    assert images.labels.tolist() == [[1, 0], [0, 1]]
    told = {name.split("/")[-1]: text for name, text in images.problems.items()}
    assert set(told) == {"d.jpg", "cat_train.txt:2", "b.jpg"}
    assert "no such file" in told["d.jpg"]
    assert "not 'b yes'" in told["cat_train.txt:2"]
    assert "whether it holds cat" in told["b.jpg"]


def test_a_list_that_leads_nowhere_is_named(tmp_path):
    root = voc(tmp_path, "ab")
    path = root / "ImageSets" / "Main" / "cat_val.txt"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.warns(UserWarning, match="cat_val.txt: there is no such file"):
        VOCFolder(root, class_names=["cat", "dog"])


def test_masks_that_are_wrong_are_named_and_the_rest_is_kept(tmp_path):
    root = voc(tmp_path)
    masks = root / "SegmentationClass"
    (masks / "a.png").unlink()
    write_label_map(masks / "b.png", np.full((4, 6), 3))
    write_label_map(masks / "c.png", np.ones((6, 4)).astype(int))
    images = VOCFolder(root, labels="masks", class_names=["cat", "dog"])
    told = {name.split("/")[-1]: text for name, text in images.problems.items()}
    assert images.names == ("c", "d")  # c: its size shows beside the image
    assert "no label map" in told["a.jpg"]
    assert "Received: [3]" in told["b.png"]
    with pytest.raises(ValueError, match=r"Received: \(6, 4\) for .*c.png"):
        images.mask(0)
    # An image whose mask is wrong can still be trained on by its labels.
    by_lists = VOCFolder(root, class_names=["cat", "dog"])
    assert by_lists.without_corrupt().names == ("a", "b", "c", "d")
    whole = by_lists.without_corrupt(masks=True)
    assert whole.names == ("d",) and len(whole.problems) == 3


def test_remedies_of_voc_lead_on(tmp_path):
    root = voc(tmp_path)
    with pytest.raises(ValueError, match="Received: split='val'.* are train"):
        VOCFolder(root, "val")
    with pytest.raises(ValueError, match="no aeroplane_train.txt.*'masks'"):
        VOCFolder(root)
    assert VOCFolder(root, labels="masks").labels.shape == (4, 20)
    photo(root / "JPEGImages" / "a.png")
    images = VOCFolder(root, class_names=["cat", "dog"])
    assert images.names == ("b", "c", "d")
    assert "a.jpg, a.png" in next(iter(images.problems.values()))


def test_a_table_lists_classes_or_has_a_column_for_each(tmp_path):
    for name in ("a.jpg", "in/b.png", "c.jpg"):
        photo(tmp_path / "photos" / name)
    rows = "image,labels\na.jpg, cat;dog \nin/b.png,dog\nc.jpg,\nin/b.png,cow\n"
    images = LabelledFolder(
        tmp_path / "photos", text(tmp_path / "list.csv", rows)
    )
    assert images.class_names == ("cat", "cow", "dog")
    assert images.names == ("a", "in/b", "c")
    assert images.labels.tolist() == [[1, 0, 1], [0, 1, 1], [0, 0, 0]]
    rows = '\ufefffile,dog,"a, b"\na.jpg,1,0\n\nc.jpg,0,1\n'
    images = LabelledFolder(
        tmp_path / "photos", text(tmp_path / "columns.csv", rows)
    )
    assert images.class_names == ("dog", "a, b")
    assert images.labels.tolist() == [[1, 0], [0, 1]]


def test_folders_are_classes(tmp_path):
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.png", "dog/.hidden.png"):
        photo(tmp_path / name)
    text(tmp_path / "dog" / "notes.txt", "of no image")
    text(tmp_path / "README.txt", "of no class")
    images = LabelledFolder(tmp_path)
    assert images.class_names == ("cat", "dog")
    assert images.names == ("cat/1", "dog/1", "dog/2")
    assert images.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
    images = LabelledFolder(tmp_path, class_names=["dog"])
    assert images.names == ("dog/1", "dog/2")
    assert "'cat' is none of dog" in next(iter(images.problems.values()))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.jpg,cat;elk", "'elk' is none of cat, dog"),
        ("gone.jpg,cat", "no file 'gone.jpg'"),
        ("a.png,cat", "has the name of 'a.jpg'"),
        ("../a.jpg,cat", "leads out of the folder"),
        ("a.jpg,cat,dog", "2 columns must stand there, not 3"),
    ],
)
def test_a_wrong_row_is_named_and_the_others_are_kept(row, said, tmp_path):
    for name in ("a.jpg", "a.png", "b.jpg"):
        photo(tmp_path / name)
    rows = "image,labels\nb.jpg,dog\n"
    rows += "a.jpg,dog\n" * (not row.startswith("a.jpg")) + row + "\n"
    file = text(tmp_path / "list.csv", rows)
    with pytest.warns(UserWarning, match="1 cannot be used"):
        images = LabelledFolder(tmp_path, file, ["cat", "dog"])
    assert images.names == (("b",) if row.startswith("a.jpg") else ("b", "a"))
    ((where, told),) = images.problems.items()
    assert where == f"{file}:{rows.count(chr(10))}" and said in told


def test_an_image_with_one_wrong_row_is_left_out(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        photo(tmp_path / name)
    file = text(
        tmp_path / "list.csv", "image,labels\na.jpg,cat\na.jpg,elk\nb.jpg,cat\n"
    )
    assert LabelledFolder(tmp_path, file, ["cat"]).names == ("b",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "begins with ''"),
        ("image\na.jpg\n", "begins with 'image'"),
        ("image,labels\n", "Received: none in"),
        ('image,labels\n"a.jpg,cat\n', "CSV file in UTF-8. Received"),
    ],
)
def test_a_table_that_is_none_is_refused(content, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        LabelledFolder(tmp_path, text(tmp_path / "list.csv", content))


def test_corrupt_images_are_named_and_no_good_one_is_lost(tmp_path):
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/3.jpg"):
        photo(tmp_path / name)
    truncated(tmp_path / "dog/4.jpg")
    text(tmp_path / "dog/5.jpg", "no image")
    images = LabelledFolder(tmp_path)
    with pytest.raises(ValueError, match=r"Received: '.*4.jpg'"):
        images[3]
    with pytest.warns(UserWarning, match="2 cannot be used: .*4.jpg"):
        good = images.without_corrupt()
    assert good.names == ("cat/1", "cat/2", "dog/3")
    assert [name.split("/")[-1] for name in good.problems] == ["4.jpg", "5.jpg"]
    assert images.problems == {} and images.checksums is None
    assert good.checksums.shape == (3,)
    assert good.subset([2]).checksums == good.checksums[2]
    with pytest.raises(ValueError, match="need|must have a label map"):
        good.mask(0)


def test_label_maps_are_those_of_voc(tmp_path):
    file = tmp_path / "labels.png"
    labels = np.arange(256).reshape(16, 16)
    write_label_map(file, labels)
    with Image.open(file) as image:
        assert image.mode == "P" and image.format == "PNG"
        colors = np.array(image.convert("RGB")).reshape(-1, 3)
    # As printed in the development kit of VOC.
    assert colors[[0, 1, 2, 8, 15, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [64, 0, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]
    assert (read_label_map(file) == labels).all()
    Image.fromarray(labels.astype("uint8")).save(file)  # grey
    assert (read_label_map(file) == labels).all()
    with pytest.raises(ValueError, match="1 to 253 .* Received: .254. in"):
        read_label_map(file, 253)
    photo(tmp_path / "colors.png")
    with pytest.raises(ValueError, match=r"Received: '.*' of shape .4, 6, 3."):
        read_label_map(tmp_path / "colors.png")


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2)), np.array([[256]]), np.array([[-1]]), [1, 2]]
)
def test_labels_that_are_none_are_refused(labels, tmp_path):
    with pytest.raises(ValueError, match="Received: labels"):
        write_label_map(tmp_path / "labels.png", labels)
    assert not list(tmp_path.iterdir())


def test_images_print_and_are_chosen(tmp_path):
    images = VOCFolder(voc(tmp_path), class_names=["cat", "dog"])
    assert repr(images).startswith("VOCFolder(directory=")
    some = images.subset(images.labels[:, 0] > 0)
    assert some.names == ("a", "c") and "<2 of 4>" in repr(some)
    with pytest.raises(IndexError, match="Received: index=2"):
        some[2]
    with pytest.raises(ValueError, match="numbers of images"):
        images.subset([9])
    with pytest.raises(ValueError, match="class_names=."):
        keras_xmap.datasets.VOCFolder(tmp_path, class_names=["cat", "cat"])
