"""What every explainer costs beside the bare passes it cannot do without.

A method's floor are its forward and backward passes through the same model on
the same batch, as compiled steps that do nothing else, called one by one in
the same run. Explained are given classes, images in and maps on the host;
tf-keras-vis and xplique stand beside the methods they have, with the same
number of samples, called as their documentation does; one that is not
installed is left out.
"""

import contextlib
import dataclasses
import importlib
import io
import warnings

import numpy as np
import tensorflow as tf

import keras_xmap
from benchmarks.common import networks
from benchmarks.common import timing
from benchmarks.common.networks import CLASSES

BATCH, SAMPLES, CHANNELS = 8, 8, 16
PATCH = networks.SIZE // 4


@dataclasses.dataclass
class Row:
    """One method: what it is called with, and the passes that it needs.

    `passes` counts forward passes alone, and pairs of forward and backward;
    `peers` are the same method elsewhere: functions of the model, images and
    classes that return what to time.
    """

    options: dict
    passes: tuple
    peers: tuple = ()
    num_classes: int = 1
    batch: int = BATCH


def tf_keras_vis(module, name, **options):
    def peer(model, images, classes):
        from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
        from tf_keras_vis.utils.scores import CategoricalScore

        make = getattr(importlib.import_module(f"tf_keras_vis.{module}"), name)
        explainer = make(model, model_modifier=ReplaceToLinear(), clone=True)
        score = CategoricalScore(classes.tolist())
        if name == "ActivationMaximization":
            start = np.zeros_like(images)
            return lambda: explainer(score, seed_input=start, **options)
        return lambda: explainer(score, images, **options)

    return "tf-keras-vis", peer


def xplique(name, **options):
    def peer(model, images, classes):
        from xplique import attributions

        explainer = getattr(attributions, name)(model, **options)
        wanted = np.eye(CLASSES, dtype="float32")[classes]
        return lambda: np.asarray(explainer(images, wanted))

    return "xplique", peer


FORWARD, PAIR = (1, 0), (0, 1)
ROWS = {
    "CAM": Row({}, FORWARD),
    "GradCAM": Row(
        {}, FORWARD, (tf_keras_vis("gradcam", "Gradcam"), xplique("GradCAM"))
    ),
    "GradCAM, 5 classes": Row({}, FORWARD, num_classes=5),
    "GradCAMPlusPlus": Row(
        {},
        FORWARD,
        (
            tf_keras_vis("gradcam_plus_plus", "GradcamPlusPlus"),
            xplique("GradCAMPP"),
        ),
    ),
    "HiResCAM": Row({}, FORWARD),
    "LayerCAM": Row({}, FORWARD, (tf_keras_vis("layercam", "Layercam"),)),
    "EigenCAM": Row({}, FORWARD),
    "Saliency": Row(
        {}, PAIR, (tf_keras_vis("saliency", "Saliency"), xplique("Saliency"))
    ),
    "Saliency, 5 classes": Row({}, PAIR, num_classes=5),
    "GradientInput": Row({}, PAIR, (xplique("GradientInput"),)),
    "GuidedBackprop": Row({}, PAIR, (xplique("GuidedBackprop"),)),
    "DeconvNet": Row({}, PAIR, (xplique("DeconvNet"),)),
    "GuidedGradCAM": Row({}, PAIR),
    "DistinctClassSaliency": Row(
        {"scales": (1,), "candidates": "target"}, PAIR
    ),
    "SmoothGrad": Row(
        {"num_samples": SAMPLES},
        (0, SAMPLES),
        (
            tf_keras_vis("saliency", "Saliency", smooth_samples=SAMPLES),
            xplique("SmoothGrad", nb_samples=SAMPLES),
        ),
    ),
    "IntegratedGradients": Row(
        {"num_steps": SAMPLES},
        (0, SAMPLES),
        (xplique("IntegratedGradients", steps=SAMPLES),),
    ),
    "ScoreCAM": Row(
        {"max_channels": CHANNELS},
        (1 + CHANNELS, 0),
        (
            tf_keras_vis(
                "scorecam", "Scorecam", max_N=CHANNELS, batch_size=BATCH
            ),
        ),
    ),
    "Occlusion": Row(
        {"patch_size": PATCH},
        (1 + 16, 0),
        (xplique("Occlusion", patch_size=PATCH, patch_stride=PATCH),),
    ),
    "RISE": Row(
        {"num_masks": 4 * SAMPLES},
        (4 * SAMPLES, 0),
        (xplique("Rise", nb_samples=4 * SAMPLES),),
    ),
    "ClassModel": Row(
        {"num_steps": SAMPLES},
        (0, SAMPLES),
        (
            tf_keras_vis(
                "activation_maximization",
                "ActivationMaximization",
                steps=SAMPLES,
                input_modifiers=None,
                regularizers=None,
            ),
        ),
        batch=1,
    ),
}


def floor(model, row, images, target):
    """Returns a function that makes the bare passes of a row."""
    forward, pair = networks.floors(model)
    target = tf.constant(target)

    def passes():
        forwards, pairs = row.passes
        for _ in range(forwards):
            result = forward(images)
        for _ in range(pairs):
            result = pair(images, target)
        return np.asarray(result)

    return passes


def cost(model, name, row, size, repeats):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(row.batch, size, size, 3))
    images = images.astype("float32")
    classes = generator.integers(0, CLASSES, row.batch).astype("int32")
    target = classes
    if row.num_classes > 1:
        shifts = np.arange(row.num_classes, dtype="int32")
        target = (classes[:, None] + shifts) % CLASSES
    method = name.partition(",")[0]
    explainer = getattr(keras_xmap.explainers, method)(model, **row.options)
    given = tf.constant(images)
    words = (target,) if method == "ClassModel" else (given, target)
    contenders = {
        "floor": floor(model, row, given, target),
        name: lambda: np.asarray(explainer(*words)),
    }
    for title, peer in row.peers:
        try:
            contenders[title] = _quiet(peer(model, images, classes))
        except ImportError:
            continue
    return timing.ratios(contenders, "floor", repeats)


def _quiet(function):
    """Returns `function` without what it prints."""

    def run():
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return function()

    return run


def explainers(folder, arguments, save):
    del folder
    size = arguments.size
    for title in arguments.networks:
        print(f"\n{title}, batch {BATCH}, {size} px", flush=True)
        for name in arguments.only:
            row = ROWS[name]
            model = networks.BUILDERS[title](size)
            report = cost(model, name, row, size, arguments.repeats or 10)
            about = {
                "batch": row.batch,
                "forwards": row.passes[0],
                "forwards with backward": row.passes[1],
                "classes": row.num_classes,
            }
            save(title, {name: {**about, **report}})
            line = "  ".join(
                f"{key} {value['ratio']:.3f} {value['quartiles']}"
                for key, value in report.items()
                if key != "floor"
            )
            print(f"  {report['floor']['ms']:8.1f} ms  {line}", flush=True)
