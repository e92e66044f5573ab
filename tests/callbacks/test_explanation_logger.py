"""What the network looks at is logged as it was when the epoch ended."""

import importlib.util
import io
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from callbacks.blobs import Kill
from callbacks.blobs import Killed
from PIL import Image

from keras_xmap import targets
from keras_xmap import visualization
from keras_xmap.callbacks import ExplanationLogger
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow

SIZE = 8
X = np.random.default_rng(0).uniform(size=(4, SIZE, SIZE, 3)).astype("float32")
Y = np.arange(4) % 2
CLASSES = np.array([[0, 1], [1, 0]])


def make_model(shape=(SIZE, SIZE, 3)):
    keras.utils.set_random_seed(0)
    axes = len(shape) - 1
    convolution = getattr(keras.layers, f"Conv{axes}D")
    pooling = getattr(keras.layers, f"GlobalAveragePooling{axes}D")
    model = keras.Sequential(
        [
            keras.Input(shape),
            convolution(4, 3, padding="same", activation="relu"),
            pooling(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def fit(model, *callbacks, epochs=3, **kwargs):
    callbacks = list(callbacks)
    model.fit(X, Y, epochs=epochs, verbose=0, callbacks=callbacks, **kwargs)


class Weights(keras.callbacks.Callback):
    """Remembers the weights at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.of_epoch = {}

    def on_epoch_end(self, epoch, logs=None):
        self.of_epoch[epoch] = self.model.get_weights()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read(path):
    return np.asarray(Image.open(path))


def test_maps_and_pictures_are_those_of_the_epochs(tmp_path):
    model, weights = make_model(), Weights()
    logger = ExplanationLogger(
        GradientInput(model), X[:2], CLASSES, 2, tmp_path, signed=True
    )
    fit(model, logger, weights, epochs=5)
    assert names(tmp_path) == [
        f"{stem}.epoch-0000{epoch}.{suffix}"
        for stem, suffix in (
            ("image-0", "png"),
            ("image-1", "png"),
            ("maps", "npy"),
        )
        for epoch in (2, 4)
    ]
    for epoch in (2, 4):
        model.set_weights(weights.of_epoch[epoch - 1])
        expected = GradientInput(model).explain(X[:2], CLASSES)
        maps = np.load(tmp_path / f"maps.epoch-0000{epoch}.npy")
        np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-7)
        rows = [
            [
                X[1],
                visualization.overlay(X[1], one, 1.0, signed=True),
                visualization.overlay(X[1], one, signed=True),
            ]
            for one in maps[1]
        ]
        picture = read(tmp_path / f"image-1.epoch-0000{epoch}.png")
        np.testing.assert_array_equal(picture, visualization.panel(rows))


def test_it_is_traced_once_and_epochs_that_are_not_logged_cost_nothing():
    model, traces, explained = make_model(), [], []

    def first_class(scores):
        traces.append(scores)
        return scores[:, 0]

    class Counted(Saliency):
        def explain(self, *args, **kwargs):
            explained.append(args)
            return super().explain(*args, **kwargs)

    logger = ExplanationLogger(
        Counted(model), X, first_class, 3, write=lambda *_: None
    )
    fit(model, logger, epochs=7)
    # As training begins, and after epochs 3 and 6.
    assert len(explained) == 3
    num_traces = len(traces)
    fit(model, logger, epochs=3)
    assert len(explained) == 5 and len(traces) == num_traces


def test_pictures_stand_in_tensorboard_beside_the_curves(tmp_path):
    written = []
    logger = ExplanationLogger(
        GradCAM,
        X[:2],
        1,
        tensorboard=tmp_path,
        write=lambda *of_one: written.append(of_one),
    )
    curves = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    fit(make_model(), logger, curves, epochs=2)
    assert names(tmp_path) == ["explanations", "train"]
    found = {}
    (path,) = (tmp_path / "explanations").iterdir()
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            content = value.tensor.string_val[2]
            found[value.tag, event.step] = read(io.BytesIO(content))
    assert [(name, epoch) for name, _, epoch in written] == sorted(
        found, key=lambda of_one: of_one[1]
    )
    for name, picture, epoch in written:
        np.testing.assert_array_equal(found[name, epoch], picture)
    (path,) = (tmp_path / "train").iterdir()
    events = tf.compat.v1.train.summary_iterator(str(path))
    steps = {e.step for e in events if e.summary.value}
    assert steps == {0, 1}


def test_without_tensorboard_it_is_told_and_png_files_work(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "keras-xmap\[tensor'):
        ExplanationLogger(GradCAM, X, tensorboard=tmp_path)
    logger = ExplanationLogger(GradCAM, X[:1], 0, directory=tmp_path)
    fit(make_model(), logger, epochs=1)
    assert names(tmp_path) == [
        "image-0.epoch-00001.png",
        "maps.epoch-00001.npy",
    ]


def test_a_killed_training_goes_on_with_its_pictures(tmp_path):
    def run(folder, *callbacks):
        model = make_model()
        logger = ExplanationLogger(GradCAM(model), X, 0, directory=folder)
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        fit(model, logger, backup, *callbacks)

    run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", Kill(1, 0))
    assert "maps.epoch-00002.npy" not in names(tmp_path / "killed")
    run(tmp_path / "killed")
    whole, killed = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("whole", "killed")
    )
    assert whole == killed and len(whole) == 3 * 5


def test_pictures_of_another_training_are_not_mixed_in(tmp_path):
    model = make_model()
    logger = ExplanationLogger(GradCAM(model), X, 0, directory=tmp_path)
    fit(model, logger)
    before = names(tmp_path)
    with pytest.raises(
        ValueError, match="'maps.epoch-00003.npy' in .* epoch 2"
    ):
        fit(model, logger, initial_epoch=1)
    assert names(tmp_path) == before
    for path in tmp_path.glob("*.epoch-00003.*"):
        path.unlink()
    fit(model, logger, initial_epoch=1)
    assert names(tmp_path) == before


@pytest.mark.slow
def test_replicas_log_what_one_logs(tmp_path, strategy):
    with strategy.scope():
        several = make_model()
    for name, model in (("one", make_model()), ("several", several)):
        logger = ExplanationLogger(
            GradCAM(model), X, 0, directory=tmp_path / name
        )
        fit(model, logger, batch_size=4)
    one, several = (
        np.load(tmp_path / name / "maps.epoch-00003.npy")
        for name in ("one", "several")
    )
    assert one.any()
    np.testing.assert_allclose(one, several, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_drawn_is_drawn_on_pictures():
    normalized = X - 0.5
    with pytest.raises(ValueError, match="`pictures` must be given where"):
        ExplanationLogger(GradCAM, normalized, write=print)
    drawn = {}
    logger = ExplanationLogger(
        GradCAM,
        {"photo": normalized},
        targets.Class(0),
        write=lambda name, picture, _: drawn.update({name: picture}),
        pictures=X,
    )
    photo = keras.Input((SIZE, SIZE, 3), name="photo")
    model = keras.Model({"photo": photo}, make_model()(photo))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit({"photo": normalized}, Y, verbose=0, callbacks=[logger])
    expected = visualization.to_uint8(X[3])
    np.testing.assert_array_equal(
        drawn["image-3"][4 : 4 + SIZE, 4 : 4 + SIZE], expected
    )


def test_what_would_fail_after_an_epoch_fails_before_the_first(tmp_path):
    model, signal = make_model(), make_model((SIZE, 3))
    other = GradCAM(make_model())
    (tmp_path / "file").write_text("")
    for logger, text in (
        (ExplanationLogger(other, X, 0, write=print), "is trained, else its"),
        (ExplanationLogger(GradCAM, X, 2, write=print), r"Received: .* \[2\]"),
        (
            ExplanationLogger(GradCAM, X, 0, write=print, pictures=X[:3]),
            "3 pictures for 4 images",
        ),
    ):
        with pytest.raises(ValueError, match=text):
            fit(model, logger, Kill(0, 0))
    logger = ExplanationLogger(lambda model: 3, X, 0, write=print)
    with pytest.raises(TypeError, match="an explainer. Received: e"):
        fit(model, logger, Kill(0, 0))
    logger = ExplanationLogger(
        GradCAM, X, 0, directory=os.path.join(tmp_path, "file", "below")
    )
    with pytest.raises(OSError, match="file"):
        fit(model, logger, Kill(0, 0))
    logger = ExplanationLogger(
        GradCAM, X[:, 0], 0, write=print, pictures=list(X)
    )
    with pytest.raises(ValueError, match=r"maps of shapes \[\(4, 8\)\] from G"):
        signal.fit(X[:, 0], Y, verbose=0, callbacks=[logger, Kill(0, 0)])


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({}, ValueError),
        ({"explainer": lambda: None, "write": print}, TypeError),
        ({"explainer": 3, "write": print}, TypeError),
        ({"every": 0, "write": print}, ValueError),
        ({"every": True, "write": print}, ValueError),
        ({"directory": 3}, TypeError),
        ({"tensorboard": ""}, ValueError),
        ({"write": lambda name: None}, TypeError),
        ({"signed": 1, "write": print}, ValueError),
        ({"batch_size": 0, "write": print}, ValueError),
        ({"images": "photo.png", "write": print}, ValueError),
    ],
)
def test_arguments_are_checked(arguments, error):
    given = {"explainer": GradCAM, "images": X, **arguments}
    with pytest.raises(error, match="Received"):
        ExplanationLogger(**given)


def test_it_prints_as_the_call_that_makes_it():
    logger = ExplanationLogger(GradCAM, X, every=5, directory="looks")
    assert repr(logger) == (
        "ExplanationLogger(GradCAM, images=<array of shape (4, 8, 8, 3)>, "
        "every=5, directory='looks')"
    )
