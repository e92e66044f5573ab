"""Files of results: complete, and never in place of others by accident."""

import collections
import io
import os

import numpy as np

from keras_xmap import _files
from keras_xmap._image_files import as_png

# `_files.write_atomically` writes to a longer name first.
_LONGER = 40


class OutputFolder:
    """A folder that results are written to.

    Args:
        path: The folder, made when the first file is written.
        force: Boolean: whether files that exist may be overwritten. Defaults
            to `False`.
    """

    def __init__(self, path, force=False):
        self.path = _files.check_path("--directory", path)
        self.force = force

    def check_free(self, names):
        """Checks, before any work is done, that `names` can be written."""
        counts = collections.Counter(names)
        repeated = sorted(name for name in counts if counts[name] > 1)
        if repeated:
            raise ValueError(
                "Images must have different names. Received: more than one "
                f"result would be {repeated[0]}. Name the folder that they "
                "are in, with `--recursive`, so that results keep the path in "
                "it; or explain them one by one."
            )
        if "://" not in self.path:
            self._check_local(names)
        taken = [name for name in names if self._exists(name)]
        if taken and not self.force:
            raise FileExistsError(
                "`--directory` must not hold the results already. Received: "
                f"{self.path}, which already holds {', '.join(taken[:5])}"
                f"{' and more' if len(taken) > 5 else ''}. Choose another "
                "`--directory`, or overwrite by `--force`."
            )

    def write_array(self, name, array):
        """Writes `array` as `.npy` and returns the path."""
        content = io.BytesIO()
        np.save(content, array)
        return self._write(name, content.getvalue())

    def write_text(self, name, text):
        """Writes `text` and returns the path."""
        return self._write(name, text.encode("utf-8", "replace"))

    def write_image(self, name, image):
        """Writes the RGB uint8 `image` as `.png` and returns the path."""
        return self._write(name, as_png(image))

    def _check_local(self, names):
        """Checks what of a path shows without a file being written."""
        folder = os.path.abspath(self.path)
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder):
            self._refuse("a folder", f"where {folder} is a file")
        if not os.access(folder, os.W_OK | os.X_OK):
            self._refuse(
                "a folder that can be written to", f"where {folder} cannot"
            )
        self._check_lengths(folder, names)
        for name in names:
            if os.path.isdir(os.path.join(self.path, name)):
                self._refuse(
                    "free for the results", f"where {name} is a folder"
                )

    def _check_lengths(self, folder, names):
        longest = max(names, key=_num_bytes, default="")
        path = os.path.join(os.path.abspath(self.path), longest)
        parts = [*path.split(os.sep)[:-1], longest + _LONGER * "x"]
        largest = _limit(folder, "PC_NAME_MAX", 255)
        for part in parts:
            if _num_bytes(part) > largest:
                self._refuse(
                    f"of names below {largest - _LONGER} bytes",
                    f"which makes {part[:40]}...",
                )
        if _num_bytes(path) + _LONGER >= _limit(folder, "PC_PATH_MAX", 4096):
            self._refuse("a shorter path", f"of {_num_bytes(path)} bytes")

    def _refuse(self, expected, received):
        shown = self.path if len(self.path) < 80 else f"{self.path[:80]}..."
        raise ValueError(
            f"`--directory` must be {expected}. Received: {shown}, {received}."
        )

    def _exists(self, name):
        return _files.file_exists(f"{self.path}/{name}")

    def _write(self, name, content):
        path = f"{self.path}/{name}"
        _files.make_directory(path.rpartition("/")[0])
        _files.write_atomically(path, content)
        return path


def _num_bytes(text):
    return len(os.fsencode(text))


def _limit(folder, name, otherwise):
    """Returns a limit of the file system, where the system tells it."""
    try:
        return os.pathconf(folder, name)
    except (AttributeError, OSError, ValueError):
        return otherwise
