"""The networks of the source's three sets, trained term by term.

What `PixelAttention` does in one `fit` is two here, as the figures of these
parts were made: the functional model, and a schedule of its own for each.
"""

import itertools

import keras
import numpy as np
from scipy import stats

import keras_xmap
from keras_xmap import datasets
from keras_xmap import metrics
from keras_xmap import models
from keras_xmap import ops

PUBLISHED = {"circles": 13.0, "points": 2.5, "objects": 3.28}
# Epochs of the predictor alone, then with the map.
WARM_UP, EPOCHS = 40, 8
# Chosen on an eighth of the training images that was left out.
NOISE = {"circles": 0.5, "points": 0.04, "objects": 0.04}


def make_data(clutter, seed=0, num_images=None, encoding="double"):
    """Training and test images with targets, and the masks of the truth."""
    return [
        datasets.ellipses(num_images, clutter, encoding, split=split, seed=seed)
        for split in ("train", "test")
    ]


VIEWS = list(itertools.product((False, True), repeat=3))


def mirror(x, left_right, up_down, swap):
    """One of the eight views that a square image has."""
    x = x[:, :, ::-1] if left_right else x
    x = x[:, ::-1] if up_down else x
    return np.ascontiguousarray(x.swapaxes(1, 2) if swap else x)


class Mirrored(keras.utils.PyDataset):
    """Batches of images in one of their eight views.

    Mirroring an image moves its answer in a known way, so that a few
    thousand images are enough. An epoch is `length` batches.
    """

    def __init__(self, data, outputs=None, length=125, seed=0):
        super().__init__()
        self.data, self.outputs = data, outputs
        self.length = length
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        rows = self.rng.integers(len(self.data.images), size=64)
        y = self.data.targets[rows]
        one_ellipse = self.data.shapes.shape[1] == 1
        view = left_right, up_down, swap = VIEWS[self.rng.integers(8)]
        if y.shape[1] == 1:
            # The plain angle as a part of half a turn.
            y = (1 - y) % 1 if left_right != up_down else y
            y = (0.5 - y) % 1 if swap else y
        elif one_ellipse:
            y = y * [1, -1] if left_right != up_down else y
            y = y * [-1, 1] if swap else y
        else:
            y = y * [-1, 1] if left_right else y
            y = y * [1, -1] if up_down else y
            y = y[:, ::-1] if swap else y
        y = np.asarray(y, "float32")
        if self.outputs:
            y = dict.fromkeys(self.outputs, y)
        return mirror(self.data.images[rows], *view), y


def make_predictor(num_outputs=2):
    """Any regressor will do; this one knows nothing of keras-xmap."""
    model = keras.Sequential([keras.Input((32, 32, 1))], name="predictor")
    for block, filters in enumerate((16, 32, 64)):
        for _ in range(1 if block == 0 else 2):
            model.add(
                keras.layers.Conv2D(
                    filters,
                    3,
                    padding="same",
                    activation="relu",
                    kernel_initializer="he_normal",
                )
            )
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Conv2D(64, 3, padding="same", activation="relu"))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(128, activation="relu"))
    model.add(keras.layers.Dense(num_outputs))
    return model


def optimizer(num_steps, learning_rate=2e-3):
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    )


def train_alone(train, epochs, seed=0, steps=125):
    """The predictor without a map."""
    predictor = make_predictor(train.targets.shape[1])
    batches = Mirrored(train, length=steps, seed=seed)
    predictor.compile(optimizer(epochs * steps), "mse")
    predictor.fit(batches, epochs=epochs, verbose=0)
    return predictor


def add_map(
    predictor, train, epochs, noise, area_weight=50.0, seed=0, steps=125
):
    """Trains a predictor on, together with its map.

    One that has learned nothing yet suffers most from noise beside the
    ellipses, and the map would turn over: train it alone first.
    """
    attention = models.attention_network((32, 32, 1), area_ratio=0.95)
    model = models.pixel_attention(
        predictor,
        attention,
        area_ratio=0.95,
        noise=keras_xmap.layers.MaskNoise(noise, seed=seed),
        area_weight=area_weight,
    )
    outputs = ["prediction", "noisy_prediction"]
    batches = Mirrored(train, outputs, steps, seed + 1)
    model.compile(optimizer(epochs * steps), loss=dict.fromkeys(outputs, "mse"))
    model.fit(batches, epochs=epochs, verbose=0)
    return attention, model


def make_maps(attention, images):
    """Maps, bright where the answer comes from: the mean of eight views."""
    total = 0
    for view in VIEWS:
        mask = attention.predict(mirror(images, *view), verbose=0)
        # The way back goes in the opposite order.
        mask = mirror(mirror(mask, False, False, view[2]), *view[:2], False)
        total = total + np.asarray(ops.relevance(mask))
    return total / len(VIEWS)


def judge(train, test, predictor, attention, model):
    """Numbers of the error, of the map, and of a code between the two."""
    errors = test.errors(predictor.predict(test.images, verbose=0))
    report = metrics.collusion(model, test.images, test.targets)
    found = {
        "error": float(errors.mean()),
        "median error": float(np.median(errors)),
        "collusion": report._asdict(),
    }
    some = slice(500)

    def one_view(images):
        return ops.relevance(attention.predict(images, verbose=0))

    def eight_views(images):
        return make_maps(attention, images)

    for name, maps_of in {"": eight_views, ", one view": one_view}.items():
        # Where to cut the maps is chosen on images of the training.
        chosen = metrics.MeanIoU()
        chosen.update_state(train.masks[some], maps_of(train.images[some]))
        iou = metrics.MeanIoU(threshold=chosen.best_threshold)
        maps = np.asarray(maps_of(test.images))
        iou.update_state(test.masks, maps)
        found["auc" + name] = area_under_curve(test.masks, maps)
        found["iou" + name] = float(iou.result())
    found["relevance on ellipses"] = float(maps[test.masks].mean())
    return found


def area_under_curve(masks, maps):
    """How often a pixel on an object is brighter than one beside it."""
    ranks = stats.rankdata(maps)
    inside = np.ravel(masks)
    count = inside.sum()
    above = ranks[inside].sum() - count * (count + 1) / 2
    return float(above / (count * (len(ranks) - count)))
