"""Tables as text, and texts as files."""

import numpy as np

from keras_xmap import _files


def written(path, text):
    """Returns a text, and writes it to a path unless that is `None`."""
    if path is not None:
        path = _files.check_path("path", path)
        _files.write_atomically(path, text.encode("utf-8", "replace"))
    return text


def csv_cell(value):
    """Returns a value as it stands in a table that a spreadsheet may read."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None:
        return ""
    # A cell that begins so is a formula to a spreadsheet.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return repr(value) if isinstance(value, float) else str(value)
