import os
import posixpath
from collections.abc import Sequence
from typing import Literal

import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_string
from keras_xmap._files import check_path
from keras_xmap._files import list_files
from keras_xmap._files import read_file
from keras_xmap._typing import Path
from keras_xmap.datasets._folder_files import by_stem
from keras_xmap.datasets._folder_files import only_one
from keras_xmap.datasets._labelled_images import LabelledImages
from keras_xmap.datasets._labelled_images import check_class_names
from keras_xmap.datasets.read_label_map import read_label_map

_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
_SPLITS = ("train", "val", "trainval", "test")


class VOCFolder(LabelledImages):
    """Images of a folder laid out as PASCAL VOC's, and the classes in them.

    The folder holds `JPEGImages`, `ImageSets/Segmentation/SPLIT.txt` with the
    names of the images, and of these two what is asked for:
    `ImageSets/Main/CLASS_SPLIT.txt`, which says for every image whether the
    class is in it (1, or 0 where it is hard to see) or not (-1); and the
    label maps in `SegmentationClass`, with 0 for the background, 1 and up for
    the classes in their order, and 255 where nothing is known. Only the list
    is held in memory.

    What is wrong with a line or a file is told by name in `problems`, with
    one warning, and the images concerned are left out. Images and label maps
    themselves are read when they are asked for; `without_corrupt` reads all.

    Args:
        directory: Path of the folder, such as `VOCdevkit/VOC2012`.
        split: Name of a list in `ImageSets/Segmentation`, such as `"train"`;
            lines may be names or, as in the list of 10,582 images, paths.
            Defaults to `"train"`.
        labels: Where the classes of an image are told: `"main"`, the files of
            any split in `ImageSets/Main`; or `"masks"`, the label maps, all
            of which are read once. Defaults to `"main"`.
        class_names: List of names in the order of the label maps, or `None`
            for the 20 of VOC. Defaults to `None`.
        masks: Name of the folder of the label maps. Defaults to
            `"SegmentationClass"`.

    Attributes:
        class_names: Tuple of the names of the classes.
        names: Tuple of text, the names of the images.
        labels: Array `(n, classes)` uint8, 1 for each class in an image.
        problems: Dictionary from files, and lines of files, to what is wrong.
        checksums: Array `(n,)` uint32, the CRC-32 of each file, once
            `without_corrupt` has read them; `None` before.

    Raises:
        ValueError: If the list or the files of a class are missing, or if
            nothing is left.

    References:
        - [Everingham et al., 2010](
          http://host.robots.ox.ac.uk/pascal/VOC/voc2012/)

    Example:

    >>> import pathlib
    >>> from PIL import Image
    >>> root = pathlib.Path("VOC")
    >>> for folder in ("JPEGImages", "ImageSets/Segmentation",
    ...     "ImageSets/Main", "SegmentationClass"):
    ...     (root / folder).mkdir(parents=True)
    ...
    >>> Image.new("RGB", (3, 1)).save(root / "JPEGImages/a.jpg")
    >>> size = (root / "ImageSets/Segmentation/train.txt").write_text("a\\n")
    >>> size = (root / "ImageSets/Main/cat_train.txt").write_text("a -1\\n")
    >>> size = (root / "ImageSets/Main/dog_train.txt").write_text("a 1\\n")
    >>> keras_xmap.datasets.write_label_map(
    ...     root / "SegmentationClass/a.png", np.array([[0, 2, 255]]))
    >>> images = keras_xmap.datasets.VOCFolder(
    ...     root, class_names=["cat", "dog"])
    >>> images.labels, images.mask(0)
    (array([[0, 1]], dtype=uint8), array([[  0,   2, 255]], dtype=uint8))
    """

    def __init__(
        self,
        directory: Path,
        split: str = "train",
        labels: Literal["main", "masks"] = "main",
        class_names: Sequence[str] | None = None,
        masks: str = "SegmentationClass",
    ):
        self._directory = check_path("directory", directory)
        self._split = check_string("split", split)
        self._labels = check_one_of("labels", labels, ("main", "masks"))
        self._masks = check_string("masks", masks)
        names = _CLASSES if class_names is None else class_names
        self._class_names = check_class_names(names)
        problems: dict[str, str] = {}
        entries = self._entries_of_split(problems)
        tell = self._told_by_masks if labels == "masks" else self._told_by_main
        entries, rows = tell(entries, problems)
        super().__init__(self._class_names, entries, rows, problems)

    def _arguments(self):
        return {
            "directory": self._directory,
            "split": self._split,
            "labels": self._labels,
        }

    def _file(self, entry):
        return os.path.join(self._directory, "JPEGImages", entry[0])

    def _mask_file(self, entry):
        name = entry[1]
        return name and os.path.join(self._directory, self._masks, name)

    def _entries_of_split(self, problems):
        """Returns pairs: the names of image and label map, or `None`."""
        folder = os.path.join(self._directory, "ImageSets", "Segmentation")
        file = os.path.join(folder, f"{self._split}.txt")
        lines = _lines(file)
        if lines is None:
            known = [name[:-4] for name in list_files(folder, suffix=".txt")]
            raise ValueError(
                "`split` must be the name of a list in "
                "ImageSets/Segmentation. Received: "
                f"split={self._split!r}, without {file!r}; there are "
                f"{', '.join(known) or 'none'}."
            )
        images = by_stem(os.path.join(self._directory, "JPEGImages"))
        masks = by_stem(os.path.join(self._directory, self._masks))
        entries, seen = [], set()
        for number, words in lines:
            stem = posixpath.splitext(posixpath.basename(words[0]))[0]
            found = images.get(stem)
            if found is None:
                path = os.path.join(self._directory, "JPEGImages", stem)
                problems[f"{path}.jpg"] = "there is no such file"
            elif stem in seen:
                problems[f"{file}:{number}"] = f"{stem} stands there again"
            else:
                try:
                    entries.append(self._pair(found, masks.get(stem)))
                except ValueError as error:
                    problems[f"{file}:{number}"] = str(error)
            seen.add(stem)
        return entries

    def _pair(self, images, masks):
        image = only_one(images, "JPEGImages")
        return image, masks and only_one(masks, self._masks)

    def _told_by_masks(self, entries, problems):
        kept, rows = [], []
        for entry in entries:
            file = self._mask_file(entry)
            if file is None:
                problems[self._file(entry)] = (
                    f"there is no label map of it in {self._masks}"
                )
                continue
            try:
                mask = read_label_map(file, len(self._class_names))
            except ValueError as error:
                problems[file] = str(error)
                continue
            present = np.bincount(mask.ravel(), minlength=256) > 0
            rows.append(present[1 : 1 + len(self._class_names)])
            kept.append(entry)
        return kept, rows

    def _told_by_main(self, entries, problems):
        number_of = {
            os.path.splitext(entry[0])[0]: row
            for row, entry in enumerate(entries)
        }
        shape = len(entries), len(self._class_names)
        told, there = np.zeros(shape, bool), np.zeros(shape, bool)
        for column, name in enumerate(self._class_names):
            for file in self._main_files(name):
                lines = _lines(file)
                if lines is None:
                    problems[file] = "there is no such file"
                for number, words in lines or ():
                    row = number_of.get(words[0])
                    if len(words) != 2 or words[1] not in ("1", "0", "-1"):
                        problems[f"{file}:{number}"] = (
                            f"a name and 1, 0 or -1 must stand there, not "
                            f"{' '.join(words)[:40]!r}"
                        )
                    elif row is not None:
                        told[row, column] = True
                        there[row, column] |= words[1] != "-1"
        kept = told.all(axis=1)
        for row in np.flatnonzero(~kept):
            missing = np.array(self._class_names)[~told[row]]
            problems[self._file(entries[row])] = (
                "nothing in ImageSets/Main tells whether it holds "
                f"{', '.join(missing[:3])}{' ...' * (len(missing) > 3)}; "
                "labels='masks' takes the classes of its label map"
            )
        kept = np.flatnonzero(kept)
        return [entries[row] for row in kept], there[kept]

    def _main_files(self, class_name):
        folder = os.path.join(self._directory, "ImageSets", "Main")
        wanted = [f"{class_name}_{s}.txt" for s in {*_SPLITS, self._split}]
        there = sorted({*wanted} & {*list_files(folder)})
        if not there:
            raise ValueError(
                "Each class must have a file in ImageSets/Main, or its labels "
                f"come from the label maps. Received: no {class_name}_"
                f"{self._split}.txt in {folder!r}. Give the `class_names` of "
                "this folder, or labels='masks'."
            )
        return [os.path.join(folder, name) for name in there]


def _lines(file):
    """Returns the numbers and words of the lines of a file, or `None`."""
    try:
        text = read_file(file).decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A list must be text in UTF-8. Received: {file!r}: {error}."
        ) from error
    return [
        (number, line.split())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
