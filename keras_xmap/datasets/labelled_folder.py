import csv
import os
from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_optional
from keras_xmap._files import check_path
from keras_xmap._files import file_exists
from keras_xmap._files import is_directory
from keras_xmap._files import leads_out
from keras_xmap._files import list_files
from keras_xmap._files import read_file
from keras_xmap._typing import Path
from keras_xmap.datasets._folder_files import has_image_extension
from keras_xmap.datasets._labelled_images import LabelledImages
from keras_xmap.datasets._labelled_images import check_class_names


class LabelledFolder(LabelledImages):
    """Images of a folder and the classes in them, from a CSV file or folders.

    Without a CSV file each folder in `directory` is a class and holds its
    images. With one, images may have several classes or none. Its first line
    names the columns; the first of them is the image, a path in `directory`.
    Then comes one column `labels` with the names of the classes, separated by
    `;`, or one column a class of 0 and 1.

    What is wrong with a line or a file is told by name in `problems`, with
    one warning, and the images concerned are left out. Images themselves are
    read when they are asked for; `without_corrupt` reads all. Files without
    the extension of an image, and hidden ones, are passed over.

    Args:
        directory: Path of the folder.
        labels: Path of the CSV file, in UTF-8, or `None` for a folder a
            class. Defaults to `None`.
        class_names: List of the names of the classes, in the order of their
            numbers: an image with a label that is not among them is left out.
            Or `None` for all that occur: columns in their order, else sorted.
            Defaults to `None`.

    Attributes:
        class_names: Tuple of the names of the classes.
        names: Tuple of text, the path of each image in `directory`, without
            the extension.
        labels: Array `(n, classes)` uint8, 1 for each class in an image.
        problems: Dictionary from files, and lines of files, to what is wrong.
        checksums: Array `(n,)` uint32, the CRC-32 of each file, once
            `without_corrupt` has read them; `None` before.

    Raises:
        ValueError: If the CSV file cannot be read or has no such columns, or
            if nothing is left.

    Example:

    >>> import pathlib
    >>> from PIL import Image
    >>> pathlib.Path("animals").mkdir()
    >>> for name in ("a.jpg", "b.jpg"):
    ...     Image.new("RGB", (3, 1)).save(f"animals/{name}")
    ...
    >>> size = pathlib.Path("labels.csv").write_text(
    ...     "image,labels\\na.jpg,cat;dog\\nb.jpg,dog\\n")
    >>> images = keras_xmap.datasets.LabelledFolder("animals", "labels.csv")
    >>> images.class_names, images.labels.tolist()
    (('cat', 'dog'), [[1, 1], [0, 1]])
    """

    def __init__(
        self,
        directory: Path,
        labels: Path | None = None,
        class_names: Sequence[str] | None = None,
    ):
        self._directory = check_path("directory", directory)
        self._csv = check_optional(check_path, "labels", labels)
        if class_names is not None:
            class_names = check_class_names(class_names)
        if self._csv is None:
            known, rows = _in_folders(self._directory)
        else:
            known, rows = _in_table(self._csv)
        if class_names is None:
            class_names = _known_classes(known, self._csv or self._directory)
        self._class_names = class_names
        problems: dict[str, str] = {}
        entries, labels = self._checked(rows, problems)
        super().__init__(self._class_names, entries, labels, problems)

    def _arguments(self):
        return {"directory": self._directory, "labels": self._csv}

    def _file(self, entry):
        return os.path.join(self._directory, entry[0])

    def _checked(self, rows, problems):
        """Returns what is right of `(where, file, classes, error)`."""
        number_of = {name: i for i, name in enumerate(self._class_names)}
        found, stems, wrong = {}, {}, set()
        for where, file, classes, error in rows:
            unknown = [name for name in classes if name not in number_of]
            if unknown and not error:
                error = (
                    f"the label {unknown[0]!r} is none of "
                    f"{', '.join(self._class_names)[:200]}"
                )
            error = error or self._wrong_file(file, stems)
            if error:
                problems[where] = error
                wrong.add(file)  # also if another line of it is right
                continue
            stems[os.path.splitext(file)[0]] = file
            row = found.setdefault(file, np.zeros(len(number_of), "uint8"))
            row[[number_of[name] for name in classes]] = 1
        found = {file: row for file, row in found.items() if file not in wrong}
        return [(file,) for file in found], list(found.values())

    def _wrong_file(self, file, stems):
        """Returns what is wrong with the path of an image, or `None`."""
        if leads_out(file):
            return f"{file!r} leads out of the folder"
        other = stems.get(os.path.splitext(file)[0], file)
        if other != file:
            return f"{file!r} has the name of {other!r}, but for the extension"
        if not file_exists(os.path.join(self._directory, file)):
            return f"there is no file {file!r} in the folder"
        return None


def _known_classes(names, path):
    if not names:
        raise ValueError(
            "There must be a class. Received: none in "
            f"{path!r}. Give a folder for each class, or a CSV file as "
            "`labels`."
        )
    return check_class_names(names)


def _in_folders(directory):
    """Returns the names of the folders, and their images as rows."""
    names, rows = [], []
    for name in list_files(directory):
        folder = os.path.join(directory, name)
        if name.startswith(".") or not is_directory(folder):
            continue
        names.append(name)
        for file in list_files(folder):
            if has_image_extension(file) and not file.startswith("."):
                path = os.path.join(folder, file)
                rows.append((path, os.path.join(name, file), [name], None))
    return names, rows


def _in_table(path):
    """Returns the names of the classes of a CSV file, and its rows."""
    lines = _csv_lines(path)
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    if len(header) < 2 or not all(header):
        raise ValueError(
            "`labels` must be a CSV file whose first line names the columns: "
            'the image, and "labels" or the classes. Received: '
            f"{path!r}, which begins with {','.join(header)[:80]!r}. For "
            "example image,labels."
        )
    is_list = header[1:] == ["labels"]
    rows = []
    for number, cells in lines[1:]:
        cells = [cell.strip() for cell in cells]
        error, classes = None, []
        if len(cells) != len(header):
            error = f"{len(header)} columns must stand there, not {len(cells)}"
        elif is_list:
            parts = [part.strip() for part in cells[1].split(";")]
            classes = [part for part in parts if part]
        elif {*cells[1:]} <= {"0", "1"}:
            pairs = zip(header[1:], cells[1:], strict=True)
            classes = [name for name, cell in pairs if cell == "1"]
        else:
            error = "0 or 1 must stand there for each class"
        rows.append((f"{path}:{number}", cells[0], classes, error))
    if is_list:
        return sorted({name for row in rows for name in row[2]}), rows
    return header[1:], rows


def _csv_lines(path):
    """Returns the numbers and cells of the lines that are not empty."""
    try:
        text = read_file(path).decode("utf-8-sig")
        reader = csv.reader(text.splitlines(), strict=True)
        return [(reader.line_num, cells) for cells in reader if any(cells)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"`labels` must be a CSV file in UTF-8. Received: {path!r}: "
            f"{error}."
        ) from error
