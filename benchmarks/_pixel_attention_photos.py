"""Where is the object, and how large? On photos, with a frozen network.

No shape is generated here. The predictor is SqueezeNet 1.1 up to its last
feature map, frozen, and a small head that regresses the centre and the size
of the box around the labelled objects. Objects stand in the middle of these
photos, so the network sees crops: where the object is depends on the crop.
Photos of which the name's checksum is 0 modulo 5 are the test. The map of the
attention model and Grad-CAM of the very same predictor are held against the
boxes.
"""

import typing
import zlib

import keras
import numpy as np
from _photos import Folder
from keras import layers

import keras_xmap
from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import models
from keras_xmap import targets

PHOTO, SIZE = 192, 128
NETWORK = "squeezenet_v1_1"
LAYER = "fire9_concat"
# Of pixel values from 0 to 255; their own deviation is about 60.
NOISE = 60.0
AREA_RATIOS = (0.8,)


def measure_photos(path, seeds, warm_up=4, epochs=2, crops_a_photo=4):
    """Yields rows of results, one a seed and area."""
    folder = Folder(path)
    photos = folder.photos("imagenet_boxes", NETWORK, PHOTO)
    tests = [zlib.crc32(name.encode()) % 5 == 0 for name in photos.names]
    train, test = photos.take(~np.array(tests)), photos.take(np.array(tests))
    for seed in seeds:
        rng = np.random.default_rng(seed)
        crops, test_crops = cut(train, crops_a_photo, rng), cut(test, 3, rng)
        for area_ratio in AREA_RATIOS:
            keras.utils.set_random_seed(seed)
            predictor = make_predictor(folder)
            fit_alone(predictor, crops, warm_up)
            alone = errors(predictor, test_crops)
            attention = make_attention(area_ratio)
            fit_with_map(predictor, attention, crops, epochs, area_ratio)
            row = judge(predictor, attention, crops, test_crops)
            yield (
                f"area ratio {area_ratio}, seed {seed}",
                {"photos": [len(train), len(test)], "alone": alone, **row},
            )


def make_predictor(folder):
    network = folder.network(NETWORK, logits=True, size=SIZE)
    trunk = keras.Model(
        network.input, network.get_layer(LAYER).output, name="trunk"
    )
    trunk.trainable = False
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            trunk,
            # Its activations reach hundreds.
            layers.LayerNormalization(),
            layers.Conv2D(64, 1, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dense(4),
        ],
        name="predictor",
    )


def make_attention(area_ratio):
    """A map of blocks of 4 x 4 pixels: the box has no finer edge."""
    small = models.attention_network(
        (SIZE // 4, SIZE // 4, 3), area_ratio, name="small"
    )
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 128),
            layers.AveragePooling2D(4),
            small,
            layers.UpSampling2D(4, interpolation="bilinear", dtype="float32"),
        ],
        name="attention",
    )


class Crops(typing.NamedTuple):
    """Parts of photos, the boxes in them, and the answers."""

    images: np.ndarray
    masks: np.ndarray
    answers: np.ndarray


def cut(photos, times, rng):
    """Cuts a part of every photo, `times` over, half of them mirrored.

    The answer is the centre and the size of the box around all objects,
    clipped to the crop, where -1 and 1 are its borders and 1 its side.
    """
    images, masks, answers = [], [], []
    pairs = list(zip(photos.images, photos.masks, strict=True))
    for photo, mask in pairs * times:
        if rng.integers(2):
            photo, mask = photo[:, ::-1], mask[:, ::-1]
        # A crop that shows a part of an object, if one is found.
        for top, left in rng.integers(PHOTO - SIZE + 1, size=(20, 2)):
            window = (slice(top, top + SIZE), slice(left, left + SIZE))
            if mask[window].any():
                break
        else:
            continue
        rows = np.nonzero(mask[window].any(axis=1))[0]
        columns = np.nonzero(mask[window].any(axis=0))[0]
        low = np.array([columns[0], rows[0]]) / SIZE
        high = np.array([columns[-1] + 1, rows[-1] + 1]) / SIZE
        images.append(photo[window])
        masks.append(mask[window])
        answers.append([*(low + high - 1), *(high - low)])
    return Crops(
        np.stack(images), np.stack(masks), np.array(answers, "float32")
    )


def fit_alone(predictor, crops, epochs):
    predictor.compile(keras.optimizers.Adam(1e-3), "mse")
    predictor.fit(crops.images, crops.answers, epochs=epochs, verbose=0)


def fit_with_map(predictor, attention, crops, epochs, area_ratio):
    model = models.pixel_attention(
        predictor,
        attention,
        area_ratio,
        noise=keras_xmap.layers.MaskNoise(NOISE, seed=0),
        # Errors are a tenth of those on ellipses, and so is the term.
        area_weight=5.0,
    )
    steps = epochs * -(-len(crops.images) // 32)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    outputs = ("prediction", "noisy_prediction")
    model.compile(
        keras.optimizers.Adam(schedule), loss=dict.fromkeys(outputs, "mse")
    )
    targets = dict.fromkeys(outputs, crops.answers)
    model.fit(crops.images, targets, epochs=epochs, verbose=0)


def errors(predictor, crops):
    """Mean distance of centres and sizes, in percent of the crop's side."""
    return summary(predictor.predict(crops.images, verbose=0) - crops.answers)


def summary(off):
    return {
        "centre": float(50 * np.hypot(off[:, 0], off[:, 1]).mean()),
        "size": float(100 * np.abs(off[:, 2:]).mean()),
    }


def judge(predictor, attention, train, test):
    constant = train.answers.mean(axis=0) - test.answers
    maps = models.relevance(attention.predict(test.images, verbose=0))
    grad_cam = explainers.GradCAM(predictor, f"trunk/{LAYER}")
    of_answers = [
        grad_cam.explain(test.images, targets.Component(k), verbose=0)
        for k in range(4)
    ]
    flat = np.ones(test.masks.shape)
    middle = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) / SIZE
    centre = np.exp(-8 * (middle[:, None] ** 2 + middle**2)) + 0 * flat
    energy = {}
    for name, of_method in {
        "pixel attention": np.asarray(maps),
        "Grad-CAM, mean of the four answers": np.mean(of_answers, axis=0),
        "a blob in the middle": centre,
        "flat": flat,
    }.items():
        metric = metrics.EnergyInMask()
        metric.update_state(test.masks, of_method)
        energy[name] = float(metric.result())
    report = models.collusion(
        predictor, attention, test.images, test.answers, NOISE
    )
    return {
        "constant": summary(constant),
        "with map": errors(predictor, test),
        "energy in the boxes": energy,
        "noise": float(1 - np.mean(maps)),
        "collusion": report._asdict(),
    }
