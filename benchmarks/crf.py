"""The dense CRF: how long it takes, and how near it is to the exact sum.

Three parts:

`training`   a loss step over `layers.DenseCRF` at the size of SEC: 16 maps of
             41 x 41 of 21 classes, 10 iterations; the field as a constant,
             and with the gradient through it; also compiled by XLA;
`photo`      `segmentation.refine_with_crf` on one photo of 375 x 500 with 21
             and with 4 classes, and of 213 x 320 (the size of MSRC-21);
`agreement`  the labels of `refine_with_crf` against those of the exact sum
             over all pairs, `ops.mean_field`, at 120 x 160.

Photos ship with scikit-image. Probabilities are smooth noise that knows
nothing of the photo: the figures say how near an approximation is to the
field, never how much the field helps.

pydensecrf2 (C++) runs beside it where `--peer` names a Python that has it.

    python benchmarks/crf.py [--peer PYTHON] [--parts ...] [--quick]
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _timing
import keras
import numpy as np
import tensorflow as tf
from skimage import data
from skimage.filters import gaussian
from skimage.transform import resize

from keras_xmap import layers
from keras_xmap import ops
from keras_xmap import segmentation
from keras_xmap.ops.mean_field import crf_parameters

CASES = (
    ("coffee", "paper"),
    ("chelsea", "paper"),
    ("astronaut", "paper"),
    ("coffee", "deeplab"),
    ("coffee", "irn"),
)
PEER = """
import sys, time
import numpy as np
from pydensecrf import densecrf
folder, repeats = sys.argv[1], int(sys.argv[2])
given = np.load(folder + "/given.npz")
image, p = given["image"], given["p"]
w_a, s_a, s_c, w_s, s_s = map(float, given["parameters"])
classes, height, width = p.shape
unary = np.ascontiguousarray(-np.log(np.maximum(p, 1e-5)))
unary = unary.reshape(classes, -1).astype("float32")
seconds = []
for _ in range(repeats + 1):
    start = time.perf_counter()
    crf = densecrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(sxy=s_s, compat=w_s)
    crf.addPairwiseBilateral(sxy=s_a, srgb=s_c, rgbim=image, compat=w_a)
    q = np.array(crf.inference(10))
    seconds.append(time.perf_counter() - start)
np.savez(folder + "/q.npz", q=q.reshape(p.shape), seconds=seconds[1:])
"""


def photo(name, size):
    image = resize(getattr(data, name)(), size, anti_aliasing=True)
    return np.round(255 * image).astype("uint8")


def probabilities(classes, size, seed=0):
    """Returns blobs `(classes, height, width)`, a tenth of the photo wide."""
    noise = np.random.default_rng(seed).random((*size, classes))
    scores = gaussian(noise, min(size) / 20, channel_axis=-1, mode="reflect")
    scores = (scores - scores.mean()) / scores.std()
    scores = np.exp(8 * np.moveaxis(scores, -1, 0))
    return scores / scores.sum(axis=0)


def by_peer(python, image, p, parameters, repeats):
    """Returns the peer's q and its times."""
    with tempfile.TemporaryDirectory() as folder:
        values = list(crf_parameters(parameters).values())
        np.savez(folder + "/given.npz", image=image, p=p, parameters=values)
        command = [python, "-c", PEER, folder, str(repeats)]
        subprocess.run(command, check=True)
        answer = np.load(folder + "/q.npz")
        return answer["q"], answer["seconds"].tolist()


def summary(seconds):
    low, middle, high = statistics.quantiles(seconds, n=4)
    return {
        "ms": round(1e3 * middle, 1),
        "quartiles": [round(1e3 * low, 1), round(1e3 * high, 1)],
        "fastest": round(1e3 * min(seconds), 1),
    }


def timed(function, repeats):
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return summary(seconds[1:])


def training(repeats):
    rng = np.random.default_rng(0)
    small = photo("coffee", (41, 41))
    images = tf.constant(np.stack([small] * 16), "float32")
    logits = tf.Variable(rng.normal(size=(16, 41, 41, 21)).astype("float32"))
    crf = layers.DenseCRF("sec", data_format="channels_last")

    def step(through):
        with tf.GradientTape() as tape:
            q = crf([images, logits])
            q = q if through else tf.stop_gradient(q)
            p = keras.ops.softmax(logits)
            loss = tf.reduce_mean(
                tf.reduce_sum(q * tf.math.log((q + 1e-4) / (p + 1e-4)), -1)
            )
        return tape.gradient(loss, logits)

    report = {}
    for name, through in [("constant", False), ("gradient through it", True)]:
        for suffix, compiled in [("", False), (", XLA", True)]:
            run = tf.function(step, jit_compile=compiled)
            report[name + suffix] = timed(lambda: run(through).numpy(), repeats)  # noqa: B023
    return report


def whole_photo(repeats, peer):
    report = {}
    for size, classes in [((375, 500), 21), ((375, 500), 4), ((213, 320), 21)]:
        image, p = photo("coffee", size), probabilities(classes, size)

        def refine():
            return segmentation.refine_with_crf(image, p, min_ratio=0)  # noqa: B023

        row = {"keras-xmap": timed(refine, repeats)}
        if peer:
            _, seconds = by_peer(peer, image, p, "paper", repeats)
            row["pydensecrf2"] = summary(seconds)
        report[f"{size[0]} x {size[1]}, {classes} classes"] = row
    return report


def agreement(peer, quick):
    size = (60, 80) if quick else (120, 160)
    report = {"size": size}
    for name, parameters in CASES:
        image, p = photo(name, size), probabilities(21, size)
        logits = np.moveaxis(np.log(np.maximum(p, 1e-5)), 0, -1)
        exact = ops.mean_field(
            image[None], logits[None].astype("float32"), parameters
        )
        exact = np.moveaxis(np.asarray(exact)[0], -1, 0)
        found = {
            "unrefined": p,
            "keras-xmap": segmentation.refine_with_crf(
                image, p, parameters, min_ratio=0
            ),
            "keras-xmap, min_ratio=0.01": segmentation.refine_with_crf(
                image, p, parameters
            ),
        }
        if peer:
            q, _ = by_peer(peer, image, p, parameters, 1)
            found["pydensecrf2"] = q
        report[f"{name}, {parameters}"] = {
            key: {
                "other_label": round(
                    float((q.argmax(0) != exact.argmax(0)).mean()), 5
                ),
                "mean_difference": round(float(np.abs(q - exact).mean()), 6),
            }
            for key, q in found.items()
        }
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", help="a Python that has pydensecrf2")
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["training", "photo", "agreement"],
        choices=["training", "photo", "agreement"],
    )
    parser.add_argument("--quick", action="store_true", help="few repeats")
    options = parser.parse_args()
    repeats = 3 if options.quick else 20
    run = {
        "training": lambda: training(repeats),
        "photo": lambda: whole_photo(repeats, options.peer),
        "agreement": lambda: agreement(options.peer, options.quick),
    }
    for part in options.parts:
        report = run[part]()
        print(json.dumps(report, indent=1), flush=True)
        if not options.quick:
            # Parts may run one by one.
            _timing.write("crf", {**_timing.so_far("crf"), part: report})


if __name__ == "__main__":
    main()
