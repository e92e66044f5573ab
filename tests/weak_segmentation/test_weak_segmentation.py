"""From labels of images to masks: whole runs on tiny scenes."""

import functools
import json
import pathlib
import shutil
import types

import keras
import numpy as np
import pytest
from PIL import Image
from weak_segmentation import blots

from keras_xmap import datasets
from keras_xmap import explainers
from keras_xmap._run_files import decoded
from keras_xmap._run_files import encoded
from keras_xmap.weak_segmentation import WeakSegmentation
from keras_xmap.weak_segmentation import mean_iou

pytestmark = pytest.mark.tensorflow

adam = functools.partial(keras.optimizers.Adam, 1e-2)


def make_run(directory, **options):
    options = {
        "image_size": 32,
        "classifier_epochs": 12,
        "epochs": 12,
        "batch_size": 8,
        "optimizer": adam,
        "value_range": (0, 1),
        **options,
    }
    return WeakSegmentation(blots.make_backbone(), directory, **options)


def quick_run(directory, **options):
    options = {"classifier_epochs": 1, "epochs": 1, "crf": None, **options}
    return make_run(directory, **options)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return blots.write_scenes(tmp_path_factory.mktemp("scenes"), 48)


@pytest.fixture(scope="module")
def few(scenes):
    return scenes.subset(range(9))


@pytest.fixture(scope="module")
def done(few, tmp_path_factory):
    """A quick run, and its report."""
    directory = tmp_path_factory.mktemp("done") / "run"
    return directory, quick_run(directory).fit(few, verbose=0)


@pytest.fixture
def copy(done, tmp_path):
    """A copy of the quick run to be changed."""
    return pathlib.Path(shutil.copytree(done[0], tmp_path / "run"))


@pytest.mark.slow
def test_every_image_has_its_label_maps_of_its_own_size(few, done):
    directory, report = done
    assert report.num_images == 9 and report.problems == {}
    assert set(report.logs) >= {"classifier", "network"}
    assert report.masks == str(directory / "masks")
    for folder in ("pseudo_labels", "masks"):
        assert len(list((directory / folder).iterdir())) == 9
        for name, labels in zip(few.names, few.labels, strict=True):
            file = directory / folder / f"{name}.png"
            found = datasets.read_label_map(file, 2)
            assert found.shape == (24, 32)
            # Classes that are known not to be there are nowhere.
            assert set(np.unique(found)) <= {0, *(np.flatnonzero(labels) + 1)}
    with Image.open(file) as image:
        assert image.mode == "P"
    network = keras.models.load_model(directory / "network.keras")
    assert network.output_shape == (None, 8, 8, 3)


def test_a_run_that_is_done_does_nothing_again(few, copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.png")}
    report = quick_run(copy).fit(few, verbose=0)
    assert report.num_images == 9 and report.logs["network"]["loss"] > 0
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*.png")} == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.3}, "threshold=0.3, where the run has 0.2"),
        ({"loss": "sec"}, "loss='sec', where the run has 'plain'"),
        ({"epochs": 2}, "epochs=2, where the run has 1"),
        ({"explainer": explainers.LayerCAM}, "explainer='LayerCAM'"),
        ({"optimizer": keras.optimizers.Adam}, "optimizer.learning_rate=0.001"),
        ({"image_size": (32, 24)}, r"image_size\[1\]=24"),
    ],
)
def test_another_run_is_told_field_by_field(options, said, few, copy):
    with pytest.raises(ValueError, match=f"Received: directory=.*{said}"):
        quick_run(copy, **options).fit(few, verbose=0)


def test_other_images_or_weights_are_told(scenes, few, copy):
    with pytest.raises(ValueError, match=r"images.number=8, .* has 9"):
        quick_run(copy).fit(few.subset(range(8)), verbose=0)
    with pytest.raises(ValueError, match=r"images.files="):
        quick_run(copy).fit(scenes.subset(range(1, 10)), verbose=0)
    run = quick_run(copy)
    run.backbone.layers[0].bias.assign_add([1.0] * 8)
    with pytest.raises(ValueError, match="Received: .*backbone.weights"):
        run.fit(few, verbose=0)
    labels = few.subset(range(9))
    labels.labels = 1 - labels.labels
    with pytest.raises(ValueError, match=r"images.labels="):
        quick_run(copy).fit(labels, verbose=0)


def test_what_is_damaged_in_a_stage_that_was_broken_off_is_made_again(
    few, copy
):
    path = copy / "state.json"
    state = decoded(path.read_bytes(), path, {"run", "stages"})
    del state["stages"]["masks"]
    path.write_bytes(encoded(state))
    masks = sorted((copy / "masks").iterdir())
    before = [mask.read_bytes() for mask in masks]
    masks[0].unlink()
    masks[1].write_bytes(before[1][:-40])
    datasets.write_label_map(masks[2], np.full((24, 32), 3))  # of 2 classes
    times = [mask.stat().st_mtime_ns for mask in masks[3:]]
    quick_run(copy).fit(few, verbose=0)
    assert [mask.read_bytes() for mask in masks] == before
    assert [mask.stat().st_mtime_ns for mask in masks[3:]] == times


def test_files_that_are_damaged_are_named(few, copy):
    files = copy / "masks/scene0003.png", copy / "pseudo_labels/scene0001.png"
    before = [file.read_bytes() for file in files]
    files[0].unlink()
    files[1].write_bytes(before[1][:-1])
    said = "scene0001.png .not as it was written.; .*scene0003.png .missing"
    with pytest.raises(ValueError, match=said):
        quick_run(copy).fit(few, verbose=0)
    # The remedy.
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)
    quick_run(copy).fit(few, verbose=0)


def test_a_folder_that_cannot_be_used_is_told_before_the_work(few, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="be written to. Received: directory="):
        quick_run(tmp_path / "file" / "run").fit(few, verbose=0)
    with pytest.raises(ValueError, match="without state.json and with file"):
        quick_run(tmp_path).fit(few, verbose=0)


def test_a_disk_that_is_too_small_is_told_before_the_work(
    few, tmp_path, monkeypatch
):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(ValueError, match="room for .* with 1,000 bytes left"):
        quick_run(tmp_path / "run").fit(few, verbose=0)


@pytest.mark.slow
def test_bad_files_are_named_and_no_good_image_is_lost(few, tmp_path):
    root = tmp_path / "scenes"
    blots.write_scenes(root, 8)
    file = root / "JPEGImages" / "scene0002.png"
    file.write_bytes(file.read_bytes()[:300])
    (root / "JPEGImages" / "scene0005.png").unlink()
    # The true masks are not asked for.
    (root / "SegmentationClass" / "scene0001.png").write_text("no image")
    with pytest.warns(UserWarning, match="1 cannot be used: .*scene0005"):
        images = datasets.VOCFolder(root, class_names=blots.CLASSES)
    with pytest.warns(UserWarning, match="1 cannot be used: .*scene0002.png"):
        report = quick_run(tmp_path / "run").fit(images, verbose=0)
    assert report.num_images == 6
    told = json.loads((tmp_path / "run" / "problems.json").read_text())
    assert told == report.problems and len(told) == 2
    assert len(list((tmp_path / "run" / "masks").iterdir())) == 6


def test_a_network_masks_other_photos(scenes, done, copy, tmp_path):
    others = scenes.subset(range(10, 13))
    run = quick_run(copy)
    report = run.predict(others, tmp_path / "others", verbose=0)
    assert report.num_images == 3
    mean, each = mean_iou(others, report.masks)
    assert 0 <= mean <= 1 and each.shape == (3,)
    again = quick_run(copy).predict(others, tmp_path / "others", verbose=0)
    assert again == report
    with pytest.raises(ValueError, match="Received: directory=.*images.number"):
        run.predict(scenes.subset([1]), tmp_path / "others", verbose=0)
    with pytest.raises(ValueError, match="Call `fit` first"):
        quick_run(tmp_path / "none").predict(others, tmp_path / "x", verbose=0)
    with pytest.raises(ValueError, match="threshold=0.3, where the run has"):
        quick_run(copy, threshold=0.3).predict(others, tmp_path / "x")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"image_size": 0}, ValueError, "Received: image_size=0"),
        ({"max_rounds": 0}, ValueError, "Received: max_rounds=0"),
        ({"threshold": 1.0}, ValueError, "Received: threshold=1.0"),
        ({"erasing_threshold": 0}, ValueError, "erasing_threshold=0"),
        (
            {"background": "drfi"},
            ValueError,
            "background='drfi'. Or a function",
        ),
        ({"loss": "ce"}, ValueError, "Received: loss='ce'"),
        (
            {"views": [1, "up"]},
            ValueError,
            r"Received: views=\[1, 'up'\]",
        ),
        (
            {"views": ["mirror"], "max_rounds": 2},
            ValueError,
            r"Received: views=\['mirror'\] with max_rounds=2",
        ),
        ({"crf": "fast"}, ValueError, "Received: parameters='fast'"),
        ({"value_range": (1, 1)}, ValueError, r"value_range=\(1, 1\)"),
        ({"explainer": 3}, TypeError, "Received: explainer=3"),
        ({"optimizer": "adam"}, TypeError, "Received: optimizer='adam'"),
    ],
)
def test_arguments_out_of_range_are_refused(options, error, said, tmp_path):
    with pytest.raises(error, match=said):
        quick_run(tmp_path, **options)


def test_a_backbone_that_does_not_fit_is_refused(tmp_path):
    inputs = keras.Input((16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    with pytest.raises(ValueError, match="a map of features. Received"):
        WeakSegmentation(keras.Model(inputs, pooled), tmp_path, 16)
    fixed = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ValueError, match=r"image_size=\(32, 32\) for .*16, 16"):
        WeakSegmentation(fixed, tmp_path, 32)
    four = keras.Input((16, 16, 4))
    four = keras.Model(four, keras.layers.Conv2D(2, 3)(four))
    with pytest.raises(ValueError, match="grey or of three colours. Received"):
        WeakSegmentation(four, tmp_path, 16)


@pytest.mark.slow
def test_views_are_tried_before_the_training(few, tmp_path):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, strides=4)(inputs)
    fixed = keras.layers.LayerNormalization(axis=(1, 2, 3))(x)  # of 8 x 8
    fixed = keras.Model(inputs, fixed)
    options = {"classifier_epochs": 1, "epochs": 1, "crf": None}
    run = WeakSegmentation(
        fixed, tmp_path / "run", 32, views=[1, 1.5], **options
    )
    with pytest.raises(ValueError, match="Received: the view 1.5. Leave the"):
        run.fit(few, verbose=0)
    # The remedy, in the same folder, where nothing was left.
    seen = []

    class Noted(explainers.GradCAM):
        def explain_batches(self, *args, views=None, **kwargs):
            seen.append(views)
            return super().explain_batches(*args, views=views, **kwargs)

    options = {**options, "views": [1, "mirror"], "explainer": Noted}
    run = WeakSegmentation(fixed, tmp_path / "run", 32, **options)
    assert run.fit(few, verbose=0).num_images == len(few)
    assert len(seen) > 1 and all(views == [1, "mirror"] for views in seen)


def test_images_of_no_reader_are_refused(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.png").write_text("no image")
    images = datasets.LabelledFolder(tmp_path / "photos")
    with (
        pytest.warns(UserWarning, match="1 cannot be used"),
        pytest.raises(ValueError, match="Received: .* of which none can be"),
    ):
        quick_run(tmp_path / "run").fit(images, verbose=0)
    with pytest.raises(TypeError, match="datasets.VOCFolder or .* Received"):
        quick_run(tmp_path / "run").fit(np.zeros((2, 8, 8, 3)))


# What each kind of run must reach: the masks against the truth.
KINDS = {
    "plain": ({}, 0.8),
    "sec": ({"loss": "sec", "background": "gradient"}, 0.9),
    "psl": ({"loss": "psl"}, 0.8),
    "erasing": ({"max_rounds": 2, "erasing_threshold": 0.5}, 0.5),
    "layercam": ({"explainer": explainers.LayerCAM}, 0.8),
    "views": ({"views": [1, 1.5, "mirror"]}, 0.8),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        # Another explainer, and views, have tests of their own.
        pytest.param(
            x, marks=[pytest.mark.sweep] * (x in ("layercam", "views"))
        )
        for x in KINDS
    ],
)
def test_masks_are_close_to_the_truth(kind, scenes, tmp_path, record_property):
    options, floor = KINDS[kind]
    report = make_run(tmp_path / "run", **options).fit(scenes, verbose=0)
    mean, _ = mean_iou(scenes, report.masks)
    record_property(f"mIoU of {kind}", f"{mean:.3f}")
    assert mean > floor


@pytest.mark.slow
def test_a_function_tells_the_background(scenes, tmp_path):
    def bright(photo):
        return photo.max(axis=-1) > 110

    run = quick_run(tmp_path / "run", background=bright)
    run.fit(scenes.subset(range(9)), verbose=0)
    # What a fitted object has learned is told by what it says.
    forest = types.SimpleNamespace()
    forest.predict = lambda photo: ~bright(photo)
    with pytest.raises(ValueError, match="Received: .*images.background="):
        other = quick_run(tmp_path / "run", background=forest.predict)
        other.fit(scenes.subset(range(9)), verbose=0)
    for index in range(9):
        name = f"run/pseudo_labels/{scenes.names[index]}.png"
        found = datasets.read_label_map(tmp_path / name)
        # What is background and what is claimed was told by brightness.
        salient = bright(scenes[index])
        assert not (found[salient] == 0).any()
        assert np.isin(found[~salient], (0, 255)).all()


@pytest.mark.slow
def test_one_class_and_grey_photos(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["image,square"]
    (tmp_path / "photos").mkdir()
    truth = np.zeros((8, 20, 20), bool)
    for number in range(8):
        photo = rng.integers(0, 80, (20, 20), dtype="uint8")
        if number % 2:
            truth[number, 4:12, 5:14] = True
            photo[truth[number]] += 160
        Image.fromarray(photo).save(tmp_path / f"photos/{number}.png")
        rows.append(f"{number}.png,{number % 2}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    images = datasets.LabelledFolder(tmp_path / "photos", tmp_path / "list.csv")
    backbone = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Conv2D(
                8, 3, strides=2, padding="same", activation="relu"
            ),
        ]
    )
    for rounds in (1, 2):
        run = WeakSegmentation(
            backbone,
            tmp_path / f"run{rounds}",
            20,
            max_rounds=rounds,
            classifier_epochs=20,
            epochs=20,
            batch_size=4,
            optimizer=adam,
            value_range=(0, 1),
        )
        masks = pathlib.Path(run.fit(images, verbose=0).masks)
        found = np.stack(
            [datasets.read_label_map(masks / f"{n}.png", 1) for n in range(8)]
        )
        overlap = (found == 1) & truth
        assert overlap.sum() > 0.5 * ((found == 1) | truth).sum()


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 2])
def test_a_training_that_diverges_is_refused(rounds, few, tmp_path):
    run = quick_run(
        tmp_path / "run",
        max_rounds=rounds,
        optimizer=functools.partial(keras.optimizers.SGD, float("inf")),
    )
    for _ in range(2):  # also when it is called again
        with pytest.raises(ValueError, match="finite weights .* Received: "):
            run.fit(few, verbose=0)
    assert not (tmp_path / "run" / "masks").exists()


@pytest.mark.slow
def test_photos_of_any_kind_and_of_no_class(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, mode, size in (
        ("grey.png", "L", (30, 20)),
        ("alpha.png", "RGBA", (7, 40)),
        ("in colours.jpg", "RGB", (1, 1)),
        ("palette.gif", "P", (90, 3)),
    ):
        Image.new(mode, size).save(folder / name)
    rows = "grey.png,a;b", "alpha.png,", "in colours.jpg,b", "palette.gif,a"
    (tmp_path / "list.csv").write_text("\n".join(["image,labels", *rows]))
    images = datasets.LabelledFolder(folder, tmp_path / "list.csv")
    report = quick_run(tmp_path / "run", loss="sec").fit(images, verbose=0)
    assert report.num_images == 4
    sizes = {"grey": (20, 30), "alpha": (40, 7), "in colours": (1, 1)}
    for name, size in {**sizes, "palette": (3, 90)}.items():
        file = tmp_path / "run" / "masks" / f"{name}.png"
        found = datasets.read_label_map(file, 2)
        assert found.shape == size
        assert name != "alpha" or not found.any()


@pytest.mark.slow
def test_two_replicas_train_as_one(few, tmp_path, strategy):
    with strategy.scope():
        run = quick_run(tmp_path / "run")
        report = run.fit(few, verbose=0)
    assert report.num_images == 9
    said = "batches of 1 images for 2 replicas"
    with strategy.scope(), pytest.raises(ValueError, match=said):
        quick_run(tmp_path / "one", batch_size=1).fit(few, verbose=0)
