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

import io
import itertools
import os
import time
import typing

import keras
import numpy as np
from _photos import Folder
from keras import layers
from PIL import Image

import keras_xmap
from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import models
from keras_xmap import ops
from keras_xmap import targets

SIZE = 128
NETWORK = "squeezenet_v1_1"
LAYER = "fire9_concat"
# Of pixel values from 0 to 255, whose own deviation is about 60.
NOISE = 16.0
# To tell which pixels the predictor cannot do without.
STRONG_NOISE = 60.0
AREA_RATIO = 0.8
OUTPUTS = ("prediction", "noisy_prediction")


class Crops(typing.NamedTuple):
    """Parts of photos, the box in each, and the answers."""

    images: np.ndarray
    masks: np.ndarray
    answers: np.ndarray


class Batches(keras.utils.PyDataset):
    """Shuffled batches of crops, prepared for the network as they are read."""

    def __init__(self, crops, prepare, seed):
        super().__init__()
        self.crops, self.prepare = crops, prepare
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self.order) // 32

    def __getitem__(self, index):
        rows = self.order[32 * index : 32 * index + 32]
        answers = self.crops.answers[rows]
        return self.prepare(self.crops.images[rows]), {
            output: answers for output in OUTPUTS
        }

    def on_epoch_end(self):
        self.order = self.rng.permutation(len(self.crops.images))


def measure_photos(path, seeds, crops_a_photo=4, warm_up=15, epochs=2):
    """Yields rows of results, one a seed."""
    folder = Folder(path)

    def prepare(images):
        return folder.prepared(NETWORK, images)

    train_photos = read(folder, "train")
    test_photos = read(folder, "dev")
    for seed in seeds:
        start = time.process_time()
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        train = cut(*train_photos, crops_a_photo, rng)
        test = cut(*test_photos, 2, rng)
        trunk, head = make_trunk(folder), make_head()
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
        print("with map", errors(predictor, seen, test), flush=True)
        yield (
            f"seed {seed}",
            {
                "crops": [len(train.images), len(test.images)],
                "cpu seconds": round(time.process_time() - start),
                "constant": summary(
                    train.answers.mean(axis=0) - test.answers, test
                ),
                "alone": alone,
                "with map": errors(predictor, seen, test),
                **judge(model, predictor, attention, seen, test),
            },
        )


def read(folder, split):
    """Returns images `(n, 64, 64, 3)` and boxes `(n, 4)`, half open."""
    file = os.path.join(folder.path, "tiny_imagenet", f"{split}.npz")
    with np.load(file) as content:
        jpeg, offset = content["jpeg"].tobytes(), content["offset"]
        boxes = content["box"] + [0, 0, 1, 1]
    images = [
        np.asarray(Image.open(io.BytesIO(jpeg[a:b])).convert("RGB"))
        for a, b in itertools.pairwise(offset)
    ]
    return np.stack(images), boxes


def cut(photos, boxes, times, rng):
    """Cuts squares of 36 to 64 pixels out of every photo, `times` over.

    Those count that hold half of the box or more, and of which it takes half
    or less: two of three photos give none. The answer is the centre and the
    size of the box, clipped to the crop, where -1 and 1 are its borders and 1
    its side.
    """
    images, masks, answers = [], [], []
    side = photos.shape[1]
    for photo, box in list(zip(photos, boxes, strict=True)) * times:
        for _ in range(20):
            extent = rng.integers(36, side, endpoint=True)
            corner = rng.integers(side - extent, size=2, endpoint=True)
            low = (box[:2] - corner).clip(0, extent)
            high = (box[2:] - corner).clip(0, extent)
            shown = np.prod(high - low)
            whole = np.prod(box[2:] - box[:2])
            if shown >= whole / 2 and 0 < shown <= 0.5 * extent**2:
                break
        else:
            continue
        (left, top), (right, bottom) = corner, corner + extent
        crop = Image.fromarray(photo[top:bottom, left:right])
        image = np.asarray(crop.resize((SIZE, SIZE), Image.BICUBIC))
        low, high = low / extent, high / extent
        mask = np.zeros((SIZE, SIZE), bool)
        (left, top), (right, bottom) = (
            np.round(SIZE * corner).astype(int) for corner in (low, high)
        )
        mask[top:bottom, left:right] = True
        if rng.integers(2):
            image, mask = image[:, ::-1], mask[:, ::-1]
            low[0], high[0] = 1 - high[0], 1 - low[0]
        images.append(image)
        masks.append(mask)
        answers.append([*(low + high - 1), *(high - low)])
    return Crops(
        np.stack(images), np.stack(masks), np.array(answers, "float32")
    )


def make_trunk(folder):
    network = folder.network(NETWORK, logits=True, size=SIZE)
    trunk = keras.Model(
        network.input, network.get_layer(LAYER).output, name="trunk"
    )
    trunk.trainable = False
    return trunk


def make_head():
    return keras.Sequential(
        [
            # Features of the trunk reach hundreds.
            keras.Input((7, 7, 512)),
            layers.LayerNormalization(),
            layers.Conv2D(96, 1, activation="relu"),
            layers.Dropout(0.2),
            layers.Conv2D(96, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(128, activation="relu"),
            layers.Dense(4),
        ],
        name="head",
    )


def make_attention():
    """A map of blocks of 4 x 4 pixels: the box has no finer edge."""
    small = models.attention_network(
        (SIZE // 4, SIZE // 4, 3), AREA_RATIO, name="small"
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


def features(trunk, crops, prepare):
    """What the trunk says of every crop, in half precision to fit."""
    parts = [
        trunk.predict_on_batch(prepare(crops.images[k : k + 64]))
        for k in range(0, len(crops.images), 64)
    ]
    return np.concatenate([part.astype("float16") for part in parts])


def decaying(learning_rate, num_steps):
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    return keras.optimizers.Adam(schedule)


def fit_head(head, seen, crops, epochs):
    head.compile(decaying(1e-3, epochs * -(-len(seen) // 64)), "mse")
    head.fit(seen, crops.answers, batch_size=64, epochs=epochs, verbose=0)


def fit_with_map(predictor, attention, batches, epochs):
    model = models.pixel_attention(
        predictor,
        attention,
        AREA_RATIO,
        noise=keras_xmap.layers.MaskNoise(NOISE, seed=0),
        area_weight=50.0,
    )
    model.compile(
        decaying(1e-3, epochs * len(batches)),
        loss=dict.fromkeys(OUTPUTS, "mse"),
    )
    model.fit(batches, epochs=epochs, verbose=0)
    return model


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
    grad_cam = explainers.GradCAM(predictor, f"trunk/{LAYER}")
    of_answers = [
        grad_cam.explain(images, targets.Component(k), verbose=0)
        for k in range(4)
    ]
    middle = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) / SIZE
    middle = np.exp(-8 * (middle[:, None] ** 2 + middle**2))
    rng = np.random.default_rng(0)
    compared = {
        "pixel attention": maps,
        "Grad-CAM, mean of the four answers": np.mean(of_answers, axis=0),
        "a blob in the middle": np.broadcast_to(middle, maps.shape),
        "flat": np.ones_like(maps),
    }
    noise = rng.normal(0, STRONG_NOISE, images.shape).astype("float32")
    found = {"energy in the boxes": {}, "r2 with 30 % clean": {}}
    for name, of_method in compared.items():
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
