"""Imports the commands without what TensorFlow prints while it starts."""

import contextlib
import faulthandler
import importlib
import os
import shutil
import sys
import tempfile

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def imported(name):
    """Returns the module `keras_xmap.cli.<name>`.

    Of what frameworks print, only errors are shown from then on. Who has set
    `TF_CPP_MIN_LOG_LEVEL` to 0 sees all of it.
    """
    if os.environ.get(_LEVEL) == "0":
        return _loaded(name)
    os.environ.setdefault(_LEVEL, "3")
    with _held_back():
        module = _loaded(name)
        with contextlib.suppress(ImportError):
            from absl import logging

            logging.set_verbosity(logging.ERROR)
    return module


def _loaded(name):
    """Imports a command, and all classes that a file of a model may hold."""
    package = importlib.import_module("keras_xmap")
    for part in ("layers", "losses", "metrics", "models", "ops"):
        getattr(package, part)
    return importlib.import_module(f"keras_xmap.cli.{name}")


@contextlib.contextmanager
def _held_back():
    """Holds back what is written to stderr, unless an error ends it.

    TensorFlow logs before it has read its own level, and from C++, so that
    only the descriptor can be turned away. A crash in there is still told.
    """
    try:
        sys.stderr.flush()
        stderr = os.dup(2)
    except (AttributeError, OSError):  # there is none
        yield
        return
    tells_of_crashes = faulthandler.is_enabled()
    with tempfile.TemporaryFile() as held, open(stderr, "wb") as original:
        os.dup2(held.fileno(), 2)
        if not tells_of_crashes:
            faulthandler.enable(original)
        try:
            yield
        except BaseException:
            _show(held, original)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            if not tells_of_crashes:
                faulthandler.disable()


def _show(held, original):
    sys.stderr.flush()
    held.seek(0)
    shutil.copyfileobj(held, original)
    original.flush()
