"""The files of a run, and what is said of those that are not as they were."""

import json

from keras_xmap import _files
from keras_xmap._description import differences


def what_is_wrong(expected, found):
    """Returns words for a checksum that is not the expected one, or `None`.

    `None` stands for a file that is not to be there, or is not there.
    """
    if expected is None:
        return "of another run, or of a later round than the state knows"
    if found is None:
        return "missing"
    return None if found == expected else "not as it was written"


def content_of(path):
    """Returns the bytes of a file of a run, or `None` if there is none."""
    try:
        return _files.read_file(path)
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise ValueError(lost([f"{path} (a folder)"])) from error


def lost(files):
    """Returns the message about files, each named with what is wrong."""
    return (
        "`directory` must hold the files that its state names, as they were "
        f"written, and no others. Received: {'; '.join(files)}. Put back the "
        "folder as it was, or begin anew with an empty `directory`."
    )


def check_same_run(directory, kept, received):
    """Raises unless two descriptions of a run are alike, field by field."""
    found = differences(kept, received)
    if found:
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise ValueError(
            "`directory` must be empty, or of a run of the same data, "
            f"model and arguments. Received: directory={directory!r} with "
            f"{'; '.join(found[:8])}{more}. Give what the run has, to go on "
            "with it, or an empty `directory` for a run of its own."
        )


def encoded(state):
    """Returns the bytes of a state, a dictionary, with its checksum."""
    text = json.dumps(state, indent=1, default=float)
    state = json.loads(text)
    return json.dumps(
        {"checksum": _checksum(state), "state": state}, indent=1
    ).encode()


def decoded(content, path, names):
    """Returns the state in the bytes of the file at `path`.

    It must have the checksum, and keys, of a state with these `names`.
    """
    try:
        kept = json.loads(content)
        state, expected = kept["state"], kept["checksum"]
        is_whole = _checksum(state) == expected and set(state) == names
    except (ValueError, TypeError, KeyError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ValueError(lost([f"{path} (not as this version writes it)"]))
    return state


def _checksum(state):
    return _files.checksum(json.dumps(state, sort_keys=True).encode())
