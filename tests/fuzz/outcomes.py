"""How a call ends: in a result, in an error that says why, or obscurely."""

import pathlib
import traceback
import warnings

import keras

import keras_xmap

OURS = str(pathlib.Path(keras_xmap.__file__).parent)
KERAS = str(pathlib.Path(keras.__file__).parent)


def outcome(function):
    """Returns how a call ended, and what it returned or raised.

    - `"result"`.
    - `"ours"`: an error of this package that says what was received.
    - `"file"`: one of the file system, which names the path.
    - `"keras"`: one that a `raise` of Keras made, or that came before any
      code of this package: of a layer that is called on text, for example.
    - `"obscure"`: one of a library that was handed what it does not expect.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "result", function()
    except Exception as error:
        return _kind(error), error


def _kind(error):
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    ours = any(_raised_in(e, OURS) or _is_retold(e) for e in chain)
    if "Received" in str(error) and ours:
        return "ours"
    if isinstance(error, OSError) and error.filename is not None:
        return "file"
    if any(_raised_in(e, KERAS) for e in chain) or not _passed(error, OURS):
        return "keras"
    return "obscure"


def _raised_in(error, folder):
    """Whether a `raise` in files of this folder has made an error."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    source = (frames[-1].line or "").strip()
    return frames[-1].filename.startswith(folder) and source.startswith("raise")


def _is_retold(error):
    """Whether AutoGraph has raised anew what this package had raised."""
    return str(error).startswith("in user code:") and OURS in str(error)


def _passed(error, folder):
    """Whether an error came by files of this folder."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.startswith(folder) for frame in frames)
