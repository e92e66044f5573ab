"""The public names and how they are called, held to `tests/api.txt`.

A name that appears or goes, or an argument or default that changes, is a
change for users, so it shows in the diff of that file. After a change that is
meant: `python tests/test_api.py --write`.
"""

import pathlib
import sys

import pytest
from public_interface import PARTS
from public_interface import described
from public_interface import signatures

import keras_xmap

LIST = pathlib.Path(__file__).with_name("api.txt")

pytestmark = pytest.mark.tensorflow


def test_the_public_names_are_called_as_listed():
    assert described() == LIST.read_text("utf-8").splitlines()


@pytest.mark.parametrize("part", PARTS)
def test_all_lists_each_name_once_and_each_exists(part):
    module = getattr(keras_xmap, part)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize(
    "name, line",
    [
        ("ops.relevance", "keras_xmap.ops.relevance"),
        ("layers.GuidedReLU", "(max_value=None, **kwargs)"),
        ("layers.GuidedReLU.call", "(inputs)"),
        ("explainers.GradCAM", "(model, target_layer=None, "),
    ],
)
def test_a_line_says_how_a_name_is_called(name, line):
    full = f"keras_xmap.{name}"
    (found,) = [one for one in described() if one.split("(")[0] == full]
    assert line in found


def test_methods_of_keras_are_left_out_and_ours_are_not():
    names = {name.removeprefix("keras_xmap.") for name in signatures()}
    assert "layers.ROIAttention.attention" in names
    assert "layers.ROIAttention.get_config" not in names
    assert "layers.ROIAttention.__call__" not in names


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_api.py --write")
    LIST.write_text("".join(f"{line}\n" for line in described()), "utf-8")
