"""Grad-CAM and saliency against the passes that they need.

Whole calls, images in and maps on the host, against the compiled forward pass
(Grad-CAM) and the compiled forward and backward pass (Saliency) of the same
model, timed in the same run; tf-keras-vis beside them. Also the time to trace
a step, several classes at once, and memory over many calls.
"""

import gc
import resource
import time

import numpy as np
import tensorflow as tf

from benchmarks.common import networks
from benchmarks.common import timing
from benchmarks.common.networks import CLASSES
from keras_xmap import explainers

BATCH = 16


def engine(folder, arguments, save):
    del folder
    size = arguments.size
    for name in arguments.networks:
        print(f"\n{name}, batch {BATCH}, {size} px")
        model = networks.BUILDERS[name](size)
        report = costs(model, size, arguments.repeats or 20)
        for title, rows in report.items():
            print(f"  {title}")
            text = timing.table(rows) if "ratio" in title else str(rows)
            print("    " + text.replace("\n", "\n    "))
        save(name, report)
    report = memory(size, arguments.calls)
    print(f"\nmemory: {report}")
    save("memory", report)


def peers(model, images, classes):
    """tf-keras-vis as its documentation calls it, where it is installed."""
    try:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
        from tf_keras_vis.utils.scores import CategoricalScore
    except ImportError:
        return {}, {}
    score = CategoricalScore(classes.tolist())
    grad_cam = Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)
    saliency = Saliency(model, model_modifier=ReplaceToLinear(), clone=True)
    return (
        {"tf-keras-vis Gradcam": lambda: grad_cam(score, images)},
        {"tf-keras-vis Saliency": lambda: saliency(score, images)},
    )


def costs(model, size, repeats):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(BATCH, size, size, 3)).astype("float32")
    classes = generator.integers(0, CLASSES, BATCH).astype("int32")
    several = np.stack([(classes + k) % CLASSES for k in range(5)], axis=1)
    forward, forward_backward = networks.floors(model)
    grad_cam = explainers.GradCAM(model)
    saliency = explainers.Saliency(model)

    def on_host(function, *target):
        return lambda: function(tf.constant(images), *target).numpy()

    tracing = {}
    for explainer in (grad_cam, saliency):
        start = time.perf_counter()
        explainer(images, classes)
        seconds = round(time.perf_counter() - start, 2)
        tracing[type(explainer).__name__] = seconds
    of_cam, of_saliency = peers(model, images, classes)
    cams = {
        "forward": on_host(forward),
        "GradCAM": on_host(grad_cam, classes),
        "GradCAM.explain": lambda: grad_cam.explain(images, classes, verbose=0),
        "GradCAM, 5 classes": on_host(grad_cam, several),
        **of_cam,
    }
    gradients = {
        "forward + backward": on_host(forward_backward, tf.constant(classes)),
        "forward": on_host(forward),
        "Saliency": on_host(saliency, classes),
        "Saliency, 5 classes": on_host(saliency, several),
        **of_saliency,
    }
    return {
        "seconds to trace and run the first call": tracing,
        "GradCAM, ratio to forward": timing.ratios(cams, "forward", repeats),
        "Saliency, ratio to forward + backward": timing.ratios(
            gradients, "forward + backward", repeats
        ),
    }


def memory(size, calls):
    """Growth of the process, in MB, over calls after the first ten."""
    explainer = explainers.GradCAM(networks.vgg_like(size))
    images = np.zeros((2, size, size, 3), "float32")
    for _ in range(10):
        explainer.explain(images, 0, verbose=0)
    gc.collect()
    before = _resident()
    for call in range(calls):
        explainer.explain(images, call % CLASSES, verbose=0)
    gc.collect()
    return {
        "calls": calls,
        "grown_mb": round(_resident() - before, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _resident():
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * resource.getpagesize() / 2**20
