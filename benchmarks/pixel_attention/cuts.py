"""Maps at the cut that needs no masks, and all rivals at the same cut.

`PixelAttention` in one `fit`, as in the example of the same name, on the three
sets of the source and on those whose answer nothing but texture tells. Every
map is cut to the share of the image that the ellipses take: that of the
model, of other explainers of the same predictor, and of the image without any
network. And each is asked what the method asks: how far off is the answer if
noise lies on all but the pixels that the map names? Of two strengths: one that
is strong for all, and one that this predictor can bear: where it lies on all
pixels, nine tenths of what the answers explain are left, on held-out images.
"""

import itertools
import time

import keras
import numpy as np
from scipy import stats

from benchmarks.common.intervals import of_mean
from benchmarks.pixel_attention.runs import saved
from keras_xmap import datasets
from keras_xmap import explainers
from keras_xmap import models
from keras_xmap import ops
from keras_xmap import targets

# Arguments of the generators, and which mirror images are of the same kind.
ALL = ("left_right", "up_down", "transpose")
SETS = {
    "circles": (datasets.ellipses, {"clutter": "circles"}, ALL),
    "points": (datasets.ellipses, {"clutter": "points"}, ALL),
    "objects": (datasets.ellipses, {"clutter": "objects"}, ALL),
    "grain, inclination": (
        datasets.textured_ellipses,
        {"question": "inclination"},
        ALL[:2],
    ),
    "grain, crossing": (
        datasets.textured_ellipses,
        {"question": "crossing"},
        ALL[:2],
    ),
    "bricks, inclination": (
        datasets.textured_ellipses,
        {"question": "inclination", "texture": "bricks"},
        ALL[:2],
    ),
}
PASSES, WARM_PASSES = 12, 10  # in all, and of the predictor alone
STRONG_NOISE = 0.5
BEARABLE = 0.9  # the share of what is explained that is left
NUM_RESAMPLES = 1000


def cuts(folder, arguments, save):
    """One run for each set, seed and strength of noise."""
    del folder
    for name, seed in itertools.product(
        arguments.cut_sets or SETS, arguments.seeds or (0, 1, 2)
    ):
        draw, options, mirrors = SETS[name]
        # Chosen by the predictor, if not given.
        for noise in arguments.cut_noises or [None]:
            keras.utils.set_random_seed(seed)
            data, held_out, test = (
                draw(count, split=split, seed=number, **options)
                for count, split, number in (
                    (arguments.images, "train", seed),
                    (200, "train", seed + 1000),
                    (arguments.tested, "test", seed),
                )
            )
            row = measured(
                *(data.with_mirrors(), held_out, test, noise, mirrors),
                *(arguments.passes, arguments.warm_passes),
            )
            title = f"{name}, seed {seed}, noise {noise or 'chosen'}"
            if arguments.images:
                title += f", {arguments.images} images"
            if arguments.passes != PASSES:
                title += f", {arguments.passes} passes"
            if arguments.warm_passes != WARM_PASSES:
                title += f", {arguments.warm_passes} alone"
            saved(save, title, row)


def measured(data, held_out, test, noise, mirrors, epochs, warm_up):
    """Trains once and returns a row of figures."""
    start = time.process_time()
    share = float(test.masks.mean())
    model = models.PixelAttention(
        make_predictor(
            *(data.images.std(), data.images.mean()),
            hasattr(data, "distractors"),
        ),
        area_ratio=1 - share,
        noise=noise,
        warm_up=warm_up,
    )
    train(model, data, held_out, epochs)
    seconds = round(time.process_time() - start)
    maps = {
        "pixel attention, mirrored": model.explain(
            test.images, mirrors=mirrors, verbose=0
        ),
        "pixel attention": model.explain(test.images, verbose=0),
        **of_predictor(model.predictor, test.images),
        **of_images(test.images[..., 0]),
    }
    return {
        "epochs": [warm_up, epochs],
        "n": len(test.images),
        "cpu seconds": seconds,
        "noise": model.current_noise,
        "collusion": model.held_out_collusion._asdict(),
        **errors_of(model.predictor, held_out, test, maps, share),
        "maps": {
            name: scores(test.masks, values, share)
            for name, values in maps.items()
        },
    }


def make_predictor(stddev, mean, normalize):
    """A small network, on pixels of mean 0 and standard deviation 1.

    Textures are learned with batch normalization; without it, the predictor
    still answered the mean after three passes over 12,000 images.
    """
    layers = [
        keras.Input((32, 32, 1)),
        keras.layers.Rescaling(float(1 / stddev), float(-mean / stddev)),
    ]
    for filters in (16, 16, None, 32, 32, None, 64, 64, None, 64):
        if filters is None:
            layers.append(keras.layers.MaxPooling2D())
            continue
        layers.append(keras.layers.Conv2D(filters, 3, padding="same"))
        if normalize:
            layers.append(keras.layers.BatchNormalization())
        layers.append(keras.layers.ReLU())
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(2),
    ]
    return keras.Sequential(layers, name="predictor")


def train(model, data, held_out, epochs):
    """The predictor alone, then both, each with its own decay."""
    steps = max(1, model.warm_up) * -(-len(data.images) // 64)
    rate = keras.optimizers.schedules.CosineDecayRestarts(
        1e-3, steps, t_mul=epochs / max(1, model.warm_up) - 1
    )
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(
        *(data.images, data.targets, 64, epochs, 0),
        validation_data=(held_out.images, held_out.targets),
    )


def of_predictor(predictor, images):
    """Maps of other explainers, the mean of both answers.

    An answer may be read from what raises it as from what lowers it: of
    attributions the size counts, and Grad-CAM is asked of both.
    """
    made = {
        "Saliency": explainers.Saliency(predictor),
        "integrated gradients": explainers.IntegratedGradients(predictor),
        "Grad-CAM": explainers.GradCAM(predictor, predictor.layers[-4].name),
    }
    asked = [targets.Component(k) for k in range(2)]
    asked += [lambda outputs, k=k: -outputs[:, k] for k in range(2)]
    found = {}
    for name, explainer in made.items():
        some = asked if name == "Grad-CAM" else asked[:2]
        maps = [explainer.explain(images, x, verbose=0) for x in some]
        found[name] = np.abs(maps).mean(axis=0)
    return found


def of_images(images):
    """Maps without a network."""
    down, across = np.gradient(images, axis=(1, 2))
    middle = np.abs(np.arange(32) - 15.5) / 32
    middle = np.exp(-8 * (middle[:, None] ** 2 + middle**2))
    return {
        "brightness": images,
        "edges": np.hypot(down, across),
        "a blob in the middle": np.broadcast_to(middle, images.shape),
    }


def named(values, share):
    """Where maps are cut, ties falling to chance."""
    rng = np.random.default_rng(0)
    spread = np.ptp(values) or 1.0
    values = values + 1e-5 * spread * rng.uniform(size=values.shape)
    return np.asarray(ops.calibrate(values, share)) > 0.5


def scores(masks, values, share):
    """AUC, and the mean IoU at the cut with its interval of 95 %."""
    ranks = stats.rankdata(values)[masks.ravel()]
    count, others = masks.sum(), (~masks).sum()
    auc = (ranks.sum() - count * (count + 1) / 2) / (count * others)
    cut = named(values, share)
    iou = (cut & masks).sum((1, 2)) / (cut | masks).sum((1, 2))
    mean, low, high = of_mean(iou, NUM_RESAMPLES)
    return {"auc": float(auc), "iou": mean, "low": low, "high": high}


def errors_of(predictor, held_out, test, maps, share):
    """The error, and the errors where only what a map names is clean."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=test.images.shape)
    bearable = bearable_noise(predictor, held_out)
    clean = {name: named(values, share) for name, values in maps.items()}
    clean["the true mask"] = test.masks
    clean["random pixels"] = named(rng.uniform(size=test.masks.shape), share)

    def error(strength, clean):
        seen = test.images + strength * noise * ~clean[..., None]
        return float(test.errors(predictor.predict(seen, verbose=0)).mean())

    def errors(strength):
        return {name: error(strength, where) for name, where in clean.items()}

    return {
        "error": error(0.0, np.ones_like(test.masks)),
        "error, clean where": errors(STRONG_NOISE),
        "bearable noise": bearable,
        "error, bearable noise, clean where": errors(bearable),
    }


def bearable_noise(predictor, data, steps=12):
    """Noise on all pixels that leaves most of the variance explained.

    By bisection of its logarithm, with the same draw at every strength.
    """
    noise = np.random.default_rng(0).normal(size=data.images.shape)

    def explained(strength):
        seen = data.images + strength * noise
        missed = predictor.predict(seen, verbose=0) - data.targets
        return 1 - np.square(missed).mean() / data.targets.var(axis=0).mean()

    enough = BEARABLE * explained(0.0)
    low, high = 1e-3, 1e1
    for _ in range(steps):
        middle = np.sqrt(low * high)
        low, high = (
            (middle, high) if explained(middle) > enough else (low, middle)
        )
    return float(low)
