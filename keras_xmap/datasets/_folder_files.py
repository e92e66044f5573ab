"""The files of a folder by their stem, what is before the last dot."""

import os

from keras_xmap._files import list_files


def by_stem(folder):
    """Returns a dictionary of lists of names, hidden files left out."""
    found = {}
    for name in list_files(folder):
        if not name.startswith("."):
            found.setdefault(os.path.splitext(name)[0], []).append(name)
    return found


def has_image_extension(name):
    """Returns whether Pillow knows images of this extension."""
    from PIL import Image

    known = Image.registered_extensions()
    return os.path.splitext(name)[1].lower() in known


def only_one(names, folder):
    """Returns the one name of an image among those of one stem."""
    if len(names) > 1:
        names = [name for name in names if has_image_extension(name)] or names
    if len(names) > 1:
        raise ValueError(
            "A folder must hold one image of each name. Received: "
            f"{', '.join(names)} in {folder!r}. Take one of them out."
        )
    return names[0]
