"""How the package was started, and what to install where something is missing.

Neither needs Keras.
"""

import sys

_REMEDIES = {
    "keras": '`pip install "keras-xmap[cpu]"` adds it with TensorFlow for a '
    'CPU, `pip install "keras-xmap[gpu]"` with TensorFlow for GPUs.',
    "tensorflow": '`pip install "keras-xmap[cpu]"` adds it for a CPU, '
    '`pip install "keras-xmap[gpu]"` for GPUs.',
    "jax": "`pip install jax` adds it.",
    "torch": "`pip install torch` adds it.",
}
_ANOTHER_BACKEND = (
    " Keras runs on another backend if the environment variable KERAS_BACKEND "
    "names it ('tensorflow', 'jax' or 'torch') before Keras is imported."
)


def is_run_as_a_command():
    """Tells whether it is `python -m keras_xmap` that imports the package."""
    # While Python looks for the module, "-m" stands in place of its file.
    if sys.argv[:1] != ["-m"]:
        return False
    name = sys.orig_argv[-len(sys.argv)]
    return name in ("keras_xmap", "-mkeras_xmap")


def explain_what_is_missing(error, part="keras_xmap"):
    """Raises an error with the remedy if a framework is missing.

    Args:
        error: The `ModuleNotFoundError` that an import ended in. Nothing is
            raised where it is about another package.
        part: What was imported.
    """
    package = (error.name or "").partition(".")[0]
    if package not in _REMEDIES:
        return
    another = part == "keras_xmap" and package != "keras"
    raise ImportError(
        f"{part} needs the package {package}. Received: a Python without it. "
        f"{_REMEDIES[package]}{_ANOTHER_BACKEND if another else ''}",
        name=error.name,
    ) from error


def require_scikit_learn(what):
    """Raises an error with the remedy if scikit-learn is missing.

    Args:
        what: String: what needs it, the first words of a sentence.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{what} with scikit-learn, which is not installed. Received: a "
            "Python without it. Run: pip install keras-xmap[segmentation]."
        ) from error
