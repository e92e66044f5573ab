"""What every explainer costs beside the bare passes it cannot do without.

A method's floor are its forward and backward passes through the same model on
the same batch, as compiled steps that do nothing else, called one by one in
the same run. Explained are given classes, images in and maps on the host;
tf-keras-vis and xplique stand beside the methods they have, with the same
number of samples, called as their documentation does; one that is not
installed is left out. xplique chooses a TensorFlow of its own, so that it wants
an environment of its own: `pip install -e . tf-keras-vis xplique`.

    python benchmarks/explainers.py [--repeats 10] [--only GradCAM RISE]
"""

import argparse
import contextlib
import dataclasses
import importlib
import io
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _networks
import _timing
import numpy as np
import tensorflow as tf

from keras_xmap import explainers

BATCH, SAMPLES, CHANNELS = 8, 8, 16
PATCH = _networks.SIZE // 4


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
        wanted = np.eye(_networks.CLASSES, dtype="float32")[classes]
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
    forward, pair = _networks.floors(model)
    target = tf.constant(target)

    def passes():
        forwards, pairs = row.passes
        for _ in range(forwards):
            result = forward(images)
        for _ in range(pairs):
            result = pair(images, target)
        return np.asarray(result)

    return passes


def cost(model, name, row, repeats):
    generator = np.random.default_rng(0)
    shape = (row.batch, _networks.SIZE, _networks.SIZE, 3)
    images = generator.normal(size=shape).astype("float32")
    classes = generator.integers(0, _networks.CLASSES, row.batch)
    classes = classes.astype("int32")
    target = classes
    if row.num_classes > 1:
        shifts = np.arange(row.num_classes, dtype="int32")
        target = (classes[:, None] + shifts) % _networks.CLASSES
    method = name.partition(",")[0]
    explainer = getattr(explainers, method)(model, **row.options)
    given = tf.constant(images)
    if method == "ClassModel":

        def run():
            return np.asarray(explainer(target))

    else:

        def run():
            return np.asarray(explainer(given, target))

    contenders = {"floor": floor(model, row, given, target), name: run}
    for title, peer in row.peers:
        try:
            contenders[title] = _quiet(peer(model, images, classes))
        except ImportError:
            continue
    return _timing.ratios(contenders, "floor", repeats)


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


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--only", nargs="+", choices=ROWS, default=ROWS, help="others stay"
    )
    arguments = parser.parse_args(argv)
    results = _timing.so_far("explainers")
    for title, build in _networks.BUILDERS.items():
        of_network = results.setdefault(title, {})
        print(f"\n{title}, batch {BATCH}, {_networks.SIZE} px", flush=True)
        for name in arguments.only:
            row = ROWS[name]
            report = cost(build(), name, row, arguments.repeats)
            of_network[name] = {
                "batch": row.batch,
                "forwards": row.passes[0],
                "forwards with backward": row.passes[1],
                "classes": row.num_classes,
                **report,
            }
            line = "  ".join(
                f"{key} {value['ratio']:.3f} {value['quartiles']}"
                for key, value in report.items()
                if key != "floor"
            )
            print(f"  {report['floor']['ms']:8.1f} ms  {line}", flush=True)
    _timing.write("explainers", results)
    return results


if __name__ == "__main__":
    main()
