"""Which photos are meant by files, folders and patterns."""

import collections
import glob
import os
import re
import typing

from keras_xmap._image_files import photo_extensions
from keras_xmap_command import METHODS

# A picture that this command wrote: with its map beside it.
_RESULT = re.compile(rf"\.({'|'.join(METHODS)})(\.top\d+)?$")


class PhotoFile(typing.NamedTuple):
    """A file to read, and the name of its results without what they are."""

    path: str
    name: str


def photo_files(given, is_recursive, results):
    """Returns the `PhotoFile`s that are meant, in order.

    What lies in a folder, or fits a pattern with `*`, keeps the path that it
    has there in the name of its results.

    Args:
        given: List of paths of files and folders, and patterns.
        is_recursive: Boolean: whether the folders in folders count.
        results: Folder of the results, which are no photos.

    Raises:
        ValueError: If a folder holds no photo.
        FileNotFoundError: If no file fits a pattern, or none is there.
    """
    found = []
    for path in given:
        if os.path.isdir(path):
            found += _in_folder(path, is_recursive, results)
        elif not os.path.exists(path) and glob.has_magic(path):
            found += _fitting(path)
        else:
            found.append((path, os.path.basename(path)))
    if not any(os.path.exists(path) for path, _ in found):
        raise FileNotFoundError(
            f"An image must be a file. Received: {found[0][0]}, which is not "
            "there."
        )
    # Photos of one name in two formats keep their suffix.
    stems = collections.Counter(os.path.splitext(name)[0] for _, name in found)
    return [
        PhotoFile(path, name if stems[stem] > 1 else stem)
        for path, name in found
        for stem in [os.path.splitext(name)[0]]
    ]


def _in_folder(folder, is_recursive, results):
    known = photo_extensions()
    found, has_folders = [], False
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not (name.startswith(".") or _is_same(place, name, results))
        )
        has_folders = has_folders or bool(folders)
        if not is_recursive:
            folders.clear()
        for name in sorted(names):
            path = os.path.join(place, name)
            suffix = os.path.splitext(name)[1]
            if (
                suffix.lower() in known
                and not name.startswith(".")
                and not _is_result(path)
            ):
                found.append((path, os.path.relpath(path, folder)))
    if not found:
        deeper = " `--recursive` looks in its folders." if has_folders else ""
        raise ValueError(
            f"A folder of images must hold one. Received: {folder}, where no "
            f"file ends in {', '.join(sorted(known))}.{deeper}"
        )
    return found


def _is_same(place, name, folder):
    path = os.path.join(place, name)
    return os.path.exists(folder) and os.path.samefile(path, folder)


def _is_result(path):
    stem, suffix = os.path.splitext(path)
    has_map = os.path.exists(f"{stem}.npy")
    return suffix == ".png" and has_map and _RESULT.search(stem)


def _fitting(pattern):
    found = sorted(glob.glob(pattern, recursive=True))
    paths = [x for x in found if os.path.isfile(x) and not _is_result(x)]
    if not paths:
        raise FileNotFoundError(
            f"A pattern must fit a file. Received: {pattern}, which fits none."
        )
    fixed = pattern.split("*")[0].split("?")[0].split("[")[0]
    start = os.path.dirname(fixed) or "."
    return [(path, os.path.relpath(path, start)) for path in paths]
