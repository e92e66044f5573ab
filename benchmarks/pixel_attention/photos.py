"""Where is the object, and how large? On photos, with a frozen network.

No shape is generated here. The predictor is SqueezeNet 1.1 up to its last
feature map, frozen, and a head that regresses the centre and the size of the
box around the one labelled object. It sees crops, random in place and size,
so that the answer is a matter of the crop as much as of the photo. The head
learns on features that are computed once; then it goes on together with the
attention model, on images, since noise changes every feature. The map of the
attention model and Grad-CAM of the very same predictor are held against the
boxes, and against what the predictor does under noise.
"""

import time

import keras
import numpy as np

from benchmarks.common import tiny_imagenet
from benchmarks.common.heads import frozen_trunk
from benchmarks.common.layer_names import FEATURES
from benchmarks.pixel_attention.crops import SIZE
from benchmarks.pixel_attention.crops import Batches
from benchmarks.pixel_attention.crops import cut
from benchmarks.pixel_attention.photo_networks import features
from benchmarks.pixel_attention.photo_networks import fit_head
from benchmarks.pixel_attention.photo_networks import fit_with_map
from benchmarks.pixel_attention.photo_networks import make_attention
from benchmarks.pixel_attention.photo_networks import make_head
from benchmarks.pixel_attention.runs import saved
from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import ops
from keras_xmap import targets

NETWORK = "squeezenet_v1_1"
# To tell which pixels the predictor cannot do without.
STRONG_NOISE = 60.0


def photos(folder, arguments, save):
    train_photos, test_photos = (
        tiny_imagenet.read(folder, split)[::2] for split in ("train", "dev")
    )
    for seed in arguments.seeds or [0]:
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        train = cut(*train_photos, arguments.crops, rng)
        test = cut(*test_photos, 2, rng)
        row = measure(folder, train, test, seed, arguments.head_epochs)
        saved(save, f"seed {seed}", row)


def measure(folder, train, test, seed, warm_up, epochs=2):
    """Trains on crops without and with a map; returns a row of results."""
    start = time.process_time()

    def prepare(images):
        return folder.prepared(NETWORK, images)

    trunk = frozen_trunk(folder, NETWORK, SIZE, name="trunk")
    head = make_head(trunk.output_shape[1:])
    predictor = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), trunk, head], name="predictor"
    )
    fit_head(head, features(trunk, train, prepare), train, warm_up)
    seen = prepare(test.images)
    alone = errors(predictor, seen, test)
    print("alone", alone, flush=True)
    attention = make_attention()
    model = fit_with_map(
        predictor, attention, Batches(train, prepare, seed), epochs
    )
    with_map = errors(predictor, seen, test)
    print("with map", with_map, flush=True)
    constant = train.answers.mean(axis=0) - test.answers
    return {
        "crops": [len(train.images), len(test.images)],
        "cpu seconds": round(time.process_time() - start),
        "constant": summary(constant, test),
        "alone": alone,
        "with map": with_map,
        **judge(model, predictor, attention, seen, test),
    }


def errors(predictor, images, crops):
    predictions = predictor.predict(images, verbose=0)
    return summary(predictions - crops.answers, crops)


def summary(off, crops):
    """Distances in percent of the crop's side, and the variance explained."""
    spread = ((crops.answers - crops.answers.mean(axis=0)) ** 2).mean(axis=0)
    explained = 1 - (off**2).mean(axis=0) / spread
    return {
        "centre": float(50 * np.hypot(off[:, 0], off[:, 1]).mean()),
        "size": float(100 * np.abs(off[:, 2:]).mean()),
        "r2 centre": float(explained[:2].mean()),
        "r2 size": float(explained[2:].mean()),
    }


def judge(model, predictor, attention, images, crops):
    """Holds maps against boxes and against the predictor itself."""
    maps = np.asarray(ops.relevance(attention.predict(images, verbose=0)))
    rng = np.random.default_rng(0)
    noise = rng.normal(0, STRONG_NOISE, images.shape).astype("float32")
    found = {"energy in the boxes": {}, "r2 with 30 % clean": {}}
    for name, of_method in compared(predictor, maps, images).items():
        metric = metrics.EnergyInMask()
        metric.update_state(crops.masks, of_method)
        found["energy in the boxes"][name] = float(metric.result())
        # Ties, of a flat map all, fall to chance.
        order = of_method + 1e-9 * rng.normal(size=maps.shape)
        limit = np.quantile(order, 0.7, axis=(1, 2), keepdims=True)
        noisy = images + (order < limit)[..., None] * noise
        row = errors(predictor, noisy, crops)
        found["r2 with 30 % clean"][name] = row["r2 centre"]
    report = metrics.collusion(model, images, crops.answers)
    found["noise"] = float(1 - maps.mean())
    found["collusion"] = report._asdict()
    return found


def compared(predictor, maps, images):
    """The map that was learned, and others of the same predictor."""
    grad_cam = explainers.GradCAM(predictor, f"trunk/{FEATURES[NETWORK]}")
    of_answers = [
        grad_cam.explain(images, targets.Component(k), verbose=0)
        for k in range(4)
    ]
    middle = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) / SIZE
    middle = np.exp(-8 * (middle[:, None] ** 2 + middle**2))
    return {
        "pixel attention": maps,
        "Grad-CAM, mean of the four answers": np.mean(of_answers, axis=0),
        "a blob in the middle": np.broadcast_to(middle, maps.shape),
        "flat": np.ones_like(maps),
    }
