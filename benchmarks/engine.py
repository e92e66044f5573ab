"""What an explanation costs beside the bare passes it needs.

Whole calls, images in and maps on the host, against the compiled forward pass
(Grad-CAM) and the compiled forward and backward pass (Saliency) of the same
model, timed in the same run; tf-keras-vis beside them. Also the time to trace
a step, several classes at once, and memory over 200 calls.

    python benchmarks/engine.py [--repeats 20]
"""

import argparse
import gc
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _networks
import _timing
import numpy as np
import tensorflow as tf

from keras_xmap import explainers

BATCH, SIZE, CLASSES = 16, _networks.SIZE, _networks.CLASSES


def peers(model, images, classes):
    """tf-keras-vis as its documentation calls it."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    score = CategoricalScore(classes.tolist())
    grad_cam = Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)
    saliency = Saliency(model, model_modifier=ReplaceToLinear(), clone=True)
    return {
        "tf-keras-vis Gradcam": lambda: grad_cam(score, images),
        "tf-keras-vis Saliency": lambda: saliency(score, images),
    }


def costs(model, repeats):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    classes = generator.integers(0, CLASSES, BATCH).astype("int32")
    several = np.stack([(classes + k) % CLASSES for k in range(5)], axis=1)
    forward, forward_backward = _networks.floors(model)
    grad_cam = explainers.GradCAM(model)
    saliency = explainers.Saliency(model)
    tracing = {}
    for name, explainer in (("GradCAM", grad_cam), ("Saliency", saliency)):
        start = time.perf_counter()
        explainer(images, classes)
        tracing[name] = round(time.perf_counter() - start, 2)

    def on_host(function, target):
        return lambda: function(tf.constant(images), target).numpy()

    def forward_run():
        return forward(tf.constant(images)).numpy()

    others = peers(model, images, classes)
    cams = {
        "forward": forward_run,
        "GradCAM": on_host(grad_cam, classes),
        "GradCAM.explain": lambda: grad_cam.explain(images, classes, verbose=0),
        "GradCAM, 5 classes": on_host(grad_cam, several),
        "tf-keras-vis Gradcam": others["tf-keras-vis Gradcam"],
    }
    gradients = {
        "forward + backward": on_host(forward_backward, tf.constant(classes)),
        "forward": forward_run,
        "Saliency": on_host(saliency, classes),
        "Saliency, 5 classes": on_host(saliency, several),
        "tf-keras-vis Saliency": others["tf-keras-vis Saliency"],
    }
    return {
        "seconds to trace and run the first call": tracing,
        "GradCAM, ratio to forward": _timing.ratios(cams, "forward", repeats),
        "Saliency, ratio to forward + backward": _timing.ratios(
            gradients, "forward + backward", repeats
        ),
    }


def memory(calls=200):
    """Grows of the process, in MB, over calls after the first ten."""
    model = _networks.vgg_like()
    explainer = explainers.GradCAM(model)
    images = np.zeros((2, SIZE, SIZE, 3), "float32")
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


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args(argv)
    results = {}
    for name, build in _networks.BUILDERS.items():
        results[name] = costs(build(), arguments.repeats)
        print(f"\n{name}, batch {BATCH}, {SIZE} px")
        for title, report in results[name].items():
            print(f"  {title}")
            if "ratio" in title:
                print("    " + _timing.table(report).replace("\n", "\n    "))
            else:
                print(f"    {report}")
    results["memory"] = memory()
    print(f"\nmemory: {results['memory']}")
    _timing.write("engine", results)
    return results


if __name__ == "__main__":
    main()
