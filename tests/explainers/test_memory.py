"""Memory does not grow with samples, steps, masks, channels or windows.

The peak of the process is read from the kernel, reset before each
explanation. Kept side by side, the perturbed copies would take `COPIES`
times the bytes of the batch, or more: far beyond what is allowed here.
"""

import gc
import pathlib
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_xmap import explainers

SIZE, BATCH, FEW, COPIES = 192, 8, 2, 48
BYTES = BATCH * SIZE * SIZE * 3 * 4
PROCESS = pathlib.Path("/proc/self")

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="reads the peak from Linux' /proc"
    ),
]


def network(channels):
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(channels, 16, 16, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def smooth_grad(copies, reduction="mean"):
    return explainers.SmoothGrad(
        network(4), num_samples=copies, reduction=reduction
    )


def var_grad(copies):
    return smooth_grad(copies, "variance")


def integrated_gradients(copies):
    return explainers.IntegratedGradients(network(4), num_steps=copies)


def score_cam(copies):
    return explainers.ScoreCAM(network(copies))


def rise(copies):
    return explainers.RISE(network(4), num_masks=copies)


def occlusion(copies):
    patch = {FEW: (SIZE, SIZE // 2), COPIES: (SIZE // 4, SIZE // 12)}
    return explainers.Occlusion(network(4), patch_size=patch[copies])


def quadtree_occlusion(copies):
    patch = {FEW: (SIZE, SIZE // 2), COPIES: (SIZE // 4, SIZE // 12)}
    return explainers.QuadtreeOcclusion(
        network(4), patch[copies], patch[copies], tolerance=0
    )


def class_model(copies):
    return explainers.ClassModel(network(4), num_steps=copies)


def peak_of(explainer, images):
    """Returns the bytes that an explanation adds to the process at its peak."""
    gc.collect()
    (PROCESS / "clear_refs").write_text("5")
    before = status("VmHWM")
    explain(explainer, images)
    return status("VmHWM") - before


def explain(explainer, images):
    if isinstance(explainer, explainers.ClassModel):
        explainer(np.ones(BATCH, "int32"))
    else:
        explainer.explain(images, 1, batch_size=BATCH, verbose=0)


def status(name):
    for line in (PROCESS / "status").read_text("ascii").splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise AssertionError(f"the kernel tells no {name}")


def everything_at_once(copies):
    """What the tests would see of an explainer that keeps all its copies."""
    model = network(4)

    class Kept:
        def explain(self, images, target, batch_size, verbose):
            model(np.repeat(images, copies, axis=0), training=False)

    return Kept()


def growth(make):
    images = np.random.default_rng(0).normal(size=(BATCH, SIZE, SIZE, 3))
    images = images.astype("float32")
    peaks = []
    for copies in (FEW, COPIES):
        explainer = make(copies)
        explain(explainer, images)
        peaks.append(min(peak_of(explainer, images) for _ in range(2)))
    return peaks[1] - peaks[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        smooth_grad,
        var_grad,
        integrated_gradients,
        score_cam,
        rise,
        occlusion,
        quadtree_occlusion,
        class_model,
    ],
)
def test_the_peak_does_not_grow_with_the_copies(make):
    assert growth(make) < 0.1 * COPIES * BYTES


@pytest.mark.slow
def test_copies_kept_side_by_side_would_be_seen():
    assert growth(everything_at_once) > 0.5 * COPIES * BYTES
