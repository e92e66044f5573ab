"""Which pixels carry the number that the network reads?

A network regresses a number from an image: an angle, a point. There is no
class to explain, and no layer to look into. Let it answer under noise, and
let a second network decide where the noise may go: what that one keeps clean
is what the answer needs. One `fit` trains both.

On this page you make images whose true pixels are known, train a predictor
with its map, hold the map against the truth, and see whether the two networks
agreed on a code, the danger of this method.

Data: generated, `keras_xmap.datasets.ellipses`; no download. One ellipse
among discs and its inclination, two ellipses among points and where their
axes meet, the same on objects cut from real photographs.
Time: five to six minutes a set on one CPU core, `--smoke` half a minute.
Expect: errors of about a degree or a pixel (published, on other images: 13,
2.5 and 3.28), and maps that are brighter on a pixel of an ellipse than on one
beside it in 98 of 100 pairs or more.
"""

import argparse
import os

import keras
import numpy as np
from PIL import Image

from keras_xmap import datasets
from keras_xmap import metrics
from keras_xmap import models
from keras_xmap import visualization

MIRRORS = ["left_right", "up_down", "transpose"]
# Strong noise for the inclination, weak noise for the crossings.
NOISE = {"circles": 0.5, "points": 0.04, "objects": 0.04}


def make_data(clutter, num_images=None):
    """Images to train on, mirrored, some that are held out, and to test."""
    train, held_out, test = (
        datasets.ellipses(count, clutter, split=split, seed=seed)
        for count, split, seed in (
            (num_images, "train", 0),
            (200, "train", 1),
            (num_images, "test", 0),
        )
    )
    return train.with_mirrors(), held_out, test


def make_predictor():
    """Any regressor will do; this one knows nothing of keras-xmap."""

    def convolution(filters):
        return keras.layers.Conv2D(
            filters, 3, padding="same", activation="relu"
        )

    return keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            # Most pixels are black, the others up to 1.
            keras.layers.Rescaling(4.0, -0.4),
            convolution(16),
            keras.layers.MaxPooling2D(),
            convolution(32),
            convolution(32),
            keras.layers.MaxPooling2D(),
            convolution(64),
            convolution(64),
            keras.layers.MaxPooling2D(),
            convolution(64),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(2),
        ],
        name="predictor",
    )


def train(model, data, held_out, epochs):
    """The predictor alone, then both, each with its own decay."""
    steps = model.warm_up * -(-len(data.images) // 64)
    rate = keras.optimizers.schedules.CosineDecayRestarts(
        1e-3, steps, t_mul=epochs / model.warm_up - 1
    )
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(
        data.images,
        data.targets,
        batch_size=64,
        epochs=epochs,
        validation_data=(held_out.images, held_out.targets),
        verbose=0,
    )


def judge(model, test):
    """Mean error, and how the maps lie on the ellipses."""
    maps = model.explain(test.images, mirrors=MIRRORS, verbose=0)
    errors = test.errors(model.predict(test.images, verbose=0))
    auc, iou = keras.metrics.AUC(), metrics.MeanIoU(threshold=0.5)
    auc.update_state(test.masks.ravel(), maps.ravel())
    iou.update_state(test.masks, maps)
    return errors.mean(), float(auc.result()), float(iou.result())


def draw(model, test, num_images=8):
    """Images over their maps, the object dark, as the source prints them."""
    images = test.images[:num_images]
    maps = model.explain(images, mirrors=MIRRORS, verbose=0)
    greys = visualization.grayscale_attention(1 - maps)
    rows = [visualization.to_uint8(x[..., 0])[..., 0] for x in images], greys
    picture = np.concatenate([np.concatenate([*row], axis=1) for row in rows])
    return Image.fromarray(picture).resize((128 * num_images, 256), 0)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(NOISE))
    parser.add_argument("--epochs", type=int, default=6, help="in all")
    parser.add_argument("--images", type=int, help="per split")
    parser.add_argument("--folder", help="for pictures of the maps")
    parser.add_argument("--smoke", action="store_true", help="a quick look")
    arguments = parser.parse_args(argv)
    if arguments.smoke:
        arguments.sets, arguments.images = ["points"], 300

    for clutter in arguments.sets:
        keras.utils.set_random_seed(0)
        data, held_out, test = make_data(clutter, arguments.images)
        model = models.PixelAttention(
            make_predictor(),
            area_ratio=0.95,
            noise=NOISE[clutter],
            warm_up=arguments.epochs - 1,
        )
        train(model, data, held_out, arguments.epochs)
        error, auc, iou = judge(model, test)
        print(f"{clutter}: error {error:.2f}, AUC {auc:.3f}, IoU {iou:.2f}")
        print(f"    does the noise tell? {model.held_out_collusion}")
        if arguments.folder:
            os.makedirs(arguments.folder, exist_ok=True)
            file = os.path.join(arguments.folder, f"{clutter}.png")
            draw(model, test).save(file)
    return auc


if __name__ == "__main__":
    main()
