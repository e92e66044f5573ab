import os
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image

from keras_xmap import cli
from keras_xmap.cli import _demo as demo
from keras_xmap.cli._method import methods

pytestmark = pytest.mark.tensorflow


def test_the_region_is_a_box_around_the_digit():
    inputs, labels, masks = demo.pointed_scenes(6, "test", seed=0)
    assert inputs["image"].shape == (6, 48, 48, 1)
    for region, mask in zip(inputs["region"], masks, strict=True):
        assert region[mask].all()
        rows, columns = np.nonzero(region)
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert region.sum() == high * wide
        assert region.sum() < 3 * 48 * 48 / 4
    assert ((labels >= 0) & (labels < 10)).all()


def test_measures_tell_a_perfect_map_from_the_centre():
    masks = np.zeros((2, 48, 48), "bool")
    masks[:, 4:14, 4:12] = True
    rows = demo.measure({"perfect": masks.astype("float32")}, masks)
    assert rows["perfect"] == [1.0, 1.0, 1.0]
    assert rows["(image centre)"] == [0.0, 0.0, 0.0]


def test_the_photo_holds_both_digits():
    inputs, labels, masks = demo.photo_with_digits()
    assert inputs["image"].shape == (2, 96, 96, 1)
    np.testing.assert_array_equal(inputs["image"][0], inputs["image"][1])
    assert len(set(labels)) == 2
    assert not (masks[0] & masks[1]).any()
    assert all(
        region[mask].all()
        for region, mask in zip(inputs["region"], masks, strict=True)
    )


@pytest.fixture
def demonstration(tmp_path, capsys):
    """The folder of a demonstration: of the one named, or of a short one."""
    named = os.environ.get("KERAS_XMAP_DEMONSTRATION")
    if named:
        return pathlib.Path(named)
    output = tmp_path / "out"
    demo.main(str(output), num_scenes=64, num_tests=8, epochs=1)
    printed = capsys.readouterr().out
    assert "Right digit read" in printed
    assert all(name in printed for name in demo.METHODS)
    return output


@pytest.mark.slow
def test_the_demonstration_leaves_pictures_and_maps(demonstration):
    for name in demo.METHODS:
        maps = np.load(demonstration / f"maps_{name}.npy")
        assert maps.shape[1:] == (48, 48) and len(maps) >= 8
        assert np.isfinite(maps).all() and maps.any()
    for name in ("demo.png", "photo.png"):
        picture = np.asarray(Image.open(demonstration / name))
        assert picture.ndim == 3
        assert picture.std() > 10


def test_every_explainer_of_images_is_shown_at_work():
    of_images = {kind.__name__ for kind in methods().values()}
    assert set(demo.METHODS) == of_images


def test_the_command_runs_the_demonstration_as_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(demo, "main", lambda *a, **k: asked.append((a, k)))
    arguments = ["--directory", "there", "--scenes", "64", "--epochs", "2"]
    assert cli.main(["demo", *arguments]) == 0
    kwargs = {"num_scenes": 64, "epochs": 2, "force": False}
    assert asked == [(("there",), kwargs)]


def test_files_of_another_demonstration_stay_unless_forced(tmp_path, capsys):
    (tmp_path / "photo.png").write_bytes(b"mine")
    arguments = ["demo", "--directory", str(tmp_path), "--scenes", "64"]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert "already holds photo.png" in error and "--force" in error
    assert (tmp_path / "photo.png").read_bytes() == b"mine"


@pytest.mark.parametrize("option", ["--scenes", "--epochs"])
def test_a_demonstration_needs_something_to_learn(tmp_path, option, capsys):
    arguments = ["demo", "--directory", str(tmp_path / "out"), option, "0"]
    assert cli.main(arguments) == 2
    assert f"Received: {option}=0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_all_of_it_runs_where_scikit_learn_is_missing(
    tmp_path, monkeypatch, capsys
):
    for name in ["sklearn", *sys.modules]:
        if name.partition(".")[0] == "sklearn":
            monkeypatch.setitem(sys.modules, name, None)
    # Of the methods one: what they share, and not what each computes, is here.
    monkeypatch.setattr(demo, "METHODS", {"GradCAM": {}})
    monkeypatch.setattr(demo, "SHOWN", ("GradCAM",))
    out = tmp_path / "out"
    arguments = ["--directory", str(out), "--scenes", "64", "--epochs", "1"]
    assert cli.main(["demo", *arguments]) == 0
    assert "On a photo, pointed at [3 8]" in capsys.readouterr().out
    assert {x.name for x in out.iterdir()} == {
        "demo.png",
        "maps_GradCAM.npy",
        "photo.png",
    }
