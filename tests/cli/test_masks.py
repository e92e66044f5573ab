"""`keras-xmap masks`: a folder in, masks out."""

import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from weak_segmentation import blots

from keras_xmap import cli
from keras_xmap import datasets

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Scenes as VOC has them, and a saved backbone."""
    root = tmp_path_factory.mktemp("masks")
    blots.write_scenes(root / "scenes", 6)
    blots.make_backbone().save(root / "backbone.keras")
    return root


def masks(folder, root, directory, *options):
    command = ["masks", folder, "--backbone", root / "backbone.keras"]
    command += ["--directory", directory, "--image-size", 32, "--range", 0, 1]
    command += ["--epochs", 1, "--classifier-epochs", 1, "--crf", "none"]
    return cli.main(list(map(str, [*command, *options])))


@pytest.mark.slow
def test_a_folder_of_voc_is_told_by_one_argument(made, tmp_path, capsys):
    options = "--classes", "red", "green", "--views", "1,1.5:mirror"
    assert masks(made / "scenes", made, tmp_path / "run", *options) == 0
    said = capsys.readouterr().out
    assert f"6 masks -> {tmp_path / 'run' / 'masks'}" in said
    assert "mIoU of the masks of 6 photos: 0." in said
    assert len(list((tmp_path / "run" / "masks").iterdir())) == 6
    # Another run in the same folder is refused in one line.
    options = (*options, "--threshold", 0.5)
    assert masks(made / "scenes", made, tmp_path / "run", *options) == 2
    assert "--threshold 0.5, where the run has 0.2" in capsys.readouterr().err


@pytest.mark.slow
def test_bad_photos_are_named_at_the_end(made, tmp_path, capsys):
    folder = tmp_path / "photos"
    for number in range(4):
        (folder / f"kind{number % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(
            made / f"scenes/JPEGImages/scene000{number}.png",
            folder / f"kind{number % 2}",
        )
    (folder / "kind0" / "bad.jpg").write_text("no photo")
    with pytest.warns(UserWarning, match="1 cannot be used"):
        assert masks(folder, made, tmp_path / "run") == 1
    out, err = capsys.readouterr()
    assert "4 masks -> " in out and "mIoU" not in out
    assert "bad.jpg: An image must be" in err
    assert "4 masks, 1 files left out" in err
    assert (tmp_path / "run/masks/kind0/scene0000.png").exists()


def test_a_layer_of_a_classifier_is_a_backbone(made, tmp_path, capsys):
    trunk = blots.make_backbone()
    pooled = keras.layers.GlobalAveragePooling2D()(trunk.outputs[0])
    model = keras.Model(trunk.inputs, keras.layers.Dense(2)(pooled))
    model.save(tmp_path / "classifier.keras")
    options = ["--classes", "red", "green", "--backbone"]
    options += [tmp_path / "classifier.keras", "--layer"]
    folder = made / "scenes"
    assert masks(folder, made, tmp_path / "run", *options, "nowhere") == 2
    assert "--layer nowhere; there are" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "none"], "`--method` must be one of"),
        (["--background", "dark"], "Received: --background dark."),
        (["--labels", "list.csv"], "Received: --labels list.csv for"),
        (["--threshold", "2"], "Received: --threshold 2.0"),
        (["--crf", "fast"], "Received: --crf fast"),
        (["--rounds", "0"], "`--rounds` must be an integer >= 1."),
        (
            ["--rounds", "2", "--views", "1,1.5:mirror"],
            "Received: --views 1.0,1.5:mirror with --rounds 2.",
        ),
        (["--split", "val"], "Received: --split val"),
    ],
)
def test_mistakes_end_in_one_line(options, said, made, tmp_path, capsys):
    options = ["--classes", "red", "green", *options]
    assert masks(made / "scenes", made, tmp_path / "run", *options) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_size_is_asked_for_where_the_backbone_has_none(made, capsys):
    command = ["masks", made / "scenes", "--backbone", made / "backbone.keras"]
    command += ["--directory", made / "run", "--classes", "red", "green"]
    assert cli.main(list(map(str, command))) == 2
    assert "For example --image-size 321" in capsys.readouterr().err


@pytest.mark.slow
def test_a_table_tells_the_classes(made, tmp_path, capsys):
    rows = ["image,labels", "scene0000.png,red", "scene0001.png,green"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    options = "--labels", tmp_path / "list.csv", "--loss", "psl"
    folder = made / "scenes" / "JPEGImages"
    assert masks(folder, made, tmp_path / "run", *options) == 0
    assert "2 masks" in capsys.readouterr().out
    found = datasets.read_label_map(tmp_path / "run/masks/scene0000.png", 2)
    with Image.open(folder / "scene0000.png") as photo:
        assert found.shape == photo.size[::-1]
    assert set(np.unique(found)) <= {0, 2}  # green is class 1
