"""The public names, held to the checked-in list `tests/api.txt`.

A name that appears or goes is a change for users, so it shows in the diff of
that file. After a change that is meant: `python tests/test_api.py --write`.
"""

import pathlib
import sys

import pytest

LIST = pathlib.Path(__file__).with_name("api.txt")
SUBPACKAGES = (
    "callbacks",
    "datasets",
    "distribution",
    "erasing",
    "explainers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "regions",
    "segmentation",
    "targets",
    "visualization",
)


def public_names():
    """Returns every public name in full, sorted."""
    import keras_xmap

    return sorted(
        f"keras_xmap.{part}.{name}"
        for part in SUBPACKAGES
        for name in getattr(keras_xmap, part).__all__
    )


@pytest.mark.tensorflow
def test_the_public_names_are_the_listed_ones():
    assert public_names() == LIST.read_text("utf-8").splitlines()


@pytest.mark.tensorflow
@pytest.mark.parametrize("part", SUBPACKAGES)
def test_all_lists_each_name_once_and_each_exists(part):
    import keras_xmap

    module = getattr(keras_xmap, part)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_api.py --write")
    sys.path.insert(0, str(LIST.parents[1]))
    LIST.write_text("".join(f"{name}\n" for name in public_names()), "utf-8")
