"""The classifiers that users bring: which layer is explained, and how right.

The layers stand in the table of docs/architectures.md, which these tests read.
"""

import contextlib
import math
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance.architectures import APPLICATIONS
from conformance.architectures import HUB
from conformance.architectures import MODULES
from conformance.architectures import fine_tuned
from conformance.architectures import images
from conformance.architectures import on_frozen
from conformance.architectures import photos
from keras import layers

from keras_xmap import explainers

pytestmark = pytest.mark.tensorflow

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "architectures.md"
ROW = re.compile(
    r"^\| (?P<name>[\w-]+) \| (?P<layers>`[^|]+`) \|", re.MULTILINE
)


def layers_in_docs(heading):
    """Returns the paths of the layers of each model in a table of the page."""
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2]
    section = section.partition("\n## ")[0]
    return {
        row["name"]: row["layers"].replace("`", "").split(" + ")
        for row in ROW.finditer(section)
    }


def sweep(name):
    return pytest.param(name, marks=pytest.mark.sweep)


@pytest.mark.parametrize(
    ("heading", "models"),
    [("keras.applications", APPLICATIONS), ("keras-hub", HUB)],
)
def test_every_architecture_has_a_row_in_the_docs(heading, models):
    assert layers_in_docs(heading).keys() == models.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name if name == "MobileNetV2" else sweep(name) for name in APPLICATIONS],
)
def test_members_of_applications_are_explained_as_by_a_tape(name):
    build, size = APPLICATIONS[name]
    _check(build(), images(size), layers_in_docs("keras.applications")[name])


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("name", HUB)
def test_classifiers_of_keras_hub_are_explained_as_by_a_tape(name):
    pytest.importorskip("keras_hub")
    build, size = HUB[name]
    _check(build(), images(size), layers_in_docs("keras-hub")[name])


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("name", MODULES)
def test_a_new_head_on_a_frozen_member_is_explained_as_by_a_tape(name):
    _, size = APPLICATIONS[name]
    (path,) = layers_in_docs("keras.applications")[name]
    path = WITHOUT_HEADS.get(name, path)
    before = keras.config.floatx()
    # Of millions of ReLUs, rounding to float32 turns some on or off.
    keras.config.set_floatx("float64")
    try:
        model = fine_tuned(name, size)
        base = model.layers[-4].name
        data = photos(size).astype("float64")
        _check_by_tape(model, data, [f"{base}/{path}"])
    finally:
        keras.config.set_floatx(before)


# Without its head a member may end in another layer.
WITHOUT_HEADS = {"ConvNeXtTiny": "layer_normalization"}


def test_the_model_of_the_guide_is_explained_as_by_a_tape():
    model = fine_tuned("VGG16", 32)
    # What is pooled last has one position: it is the layer before.
    _check_by_tape(model, photos(32), ["vgg16/block5_conv3"])


def test_reversed_channels_before_a_frozen_base_move_nothing():
    base = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(4, 3, strides=2, activation="relu", name="last"),
        ],
        name="base",
    )
    _check_by_tape(on_frozen(base, "resnet50"), photos(8), ["base/last"])


def _check(model, data, paths):
    target = _check_by_tape(model, data, paths)
    for explainer in (
        explainers.GradCAM(model),
        explainers.LayerCAM(model),
        explainers.IntegratedGradients(model, num_steps=2),
        explainers.Occlusion(model, patch_size=data.shape[1] // 2),
    ):
        found = explainer.explain(data, target, verbose=0)
        assert found.shape == data.shape[:-1]
        assert np.isfinite(found).all()
        assert np.abs(found).max() > 0


def _check_by_tape(model, data, paths):
    """Compares Grad-CAM and gradients, and returns the class."""
    target, expected, scale, derivatives = _by_tape(model, data, paths)
    cam = explainers.GradCAM(model, resize=False)
    maps = cam.explain(data, target, verbose=0)
    assert cam.layers_used == paths
    _assert_close(maps.reshape(len(data), -1), expected, scale)
    saliency = explainers.Saliency(model, channel_reduction=None)
    found = saliency.explain(data, target, verbose=0)
    _assert_close(found, derivatives, np.abs(derivatives).max())
    return target


def _by_tape(model, data, paths):
    """Explains the first class that has a map: eagerly, layers kept by hand.

    Returns:
        The class; Grad-CAM `(images, positions)`; the largest sum of the
        magnitudes of its terms, of which rounding is a share; and the
        derivatives by the input.
    """
    data = tf.constant(data)
    with tf.GradientTape(persistent=True) as tape, _kept(model, paths) as kept:
        tape.watch(data)
        outputs = model(data, training=False)
        scores = tf.unstack(outputs, axis=-1)
    activations = [kept[path] for path in paths]
    for target, score in enumerate(scores):
        *gradients, derivatives = tape.gradient(score, [*activations, data])
        terms = tf.concat(list(map(_terms, activations, gradients)), -1)
        maps = tf.nn.relu(tf.reduce_sum(terms, -1)).numpy()
        if maps.any():
            scale = tf.reduce_max(tf.reduce_sum(tf.abs(terms), -1)).numpy()
            return target, maps, scale, derivatives.numpy()
    raise AssertionError("Grad-CAM is zero for every class")


def _terms(activations, gradients):
    """What Grad-CAM sums over channels, at positions or at tokens of a grid."""
    channels = activations.shape[-1]
    activations = tf.reshape(activations, (len(activations), -1, channels))
    gradients = tf.reshape(gradients, activations.shape)
    # Class token and registers stand before the patches, of which there are
    # a square number.
    prefix = activations.shape[1] - math.isqrt(activations.shape[1]) ** 2
    weights = tf.reduce_mean(gradients[:, prefix:], 1, keepdims=True)
    return weights * activations[:, prefix:]


@contextlib.contextmanager
def _kept(model, paths):
    """Keeps what the layers at these paths put out, while it lasts."""
    kept, layers = {}, {path: _layer(model, path) for path in paths}

    def keeping(path, call):
        def kept_call(*args, **kwargs):
            kept[path] = call(*args, **kwargs)
            return kept[path]

        return kept_call

    for path, layer in layers.items():
        object.__setattr__(layer, "call", keeping(path, layer.call))
    try:
        yield kept
    finally:
        for layer in layers.values():
            object.__delattr__(layer, "call")


def _layer(model, path):
    """Returns the one layer, or operation, at a path of names."""
    held = [model]
    for name in path.split("/"):
        held = _named(held, name, recursive=False) or _named(held, name)
    (layer,) = held
    return layer


def _named(outer, name, recursive=True):
    found = {
        id(inner): inner
        for layer in outer
        for inner in [
            *layer._flatten_layers(include_self=False, recursive=recursive),
            *getattr(layer, "operations", []),
        ]
        if inner.name == name
    }
    return list(found.values())


def _assert_close(actual, expected, scale):
    np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-5)
