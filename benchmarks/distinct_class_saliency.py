"""Do distinct class saliency maps tell the classes of a photo apart?

Three parts:

`heads`   networks trained on ImageNet get a multi-label head on frozen
          features, by cross-validation: no photo is explained by a head that
          was trained on it;
`masks`   the maps of the classes that each photo is labelled with, as masks:
          Simonyan's saliency with GrabCut, Grad-CAM, guided backpropagation,
          and DCSM with each of its three changes left out, with other
          options, and with a dense CRF behind it;
`timing`  nine layers, several classes and scales against the bare passes
          they need, and against one call for each layer and class.

A mask is made as pseudo labels are: a pixel has the class whose map, divided
by its maximum, is highest there, or none where that is below a threshold. All
photos share the one threshold that suits the method best. `mIoU` sums the
overlaps of a class over all photos, as segmentation benchmarks do, and takes
the mean over classes; `IoU of pairs` is `keras_xmap.metrics.MeanIoU` of
single maps, which need not exclude each other. Unlabelled pixels do not count.

    python benchmarks/distinct_class_saliency.py --data DIR [--parts masks ...]
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _photos
import _timing
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import models
from keras_xmap import segmentation

NAME = "distinct_class_saliency"
# The last map of features of each network.
FEATURES = {
    "squeezenet_v1_1": "fire9_concat",
    "mobilenet_v2": "conv_last_relu6",
}
SIZE = 224
FOLDS = 5
SCALES = (0.75, 1.0, 1.25)  # of training
THRESHOLDS = np.arange(0.0, 1.0, 0.05)
CRF_THRESHOLDS = (0.05, 0.1, 0.2)
BATCH = 8
# Options, and rows that a dense CRF is put behind, too.
ONE_SCALE = {"scales": (1,)}
OWN = {
    "DCSM": {},
    "DCSM, normalised before": {"normalization": "before"},
    "DCSM without difference": {"candidates": None},
    "DCSM at one scale": ONE_SCALE,
    "DCSM at one scale without difference": {**ONE_SCALE, "candidates": None},
    "DCSM at one scale, ordinary gradients": {
        **ONE_SCALE,
        "relu_rule": "standard",
    },
    "DCSM of the best position": {},
    "DCSM of the best position, normalised before": {"normalization": "before"},
    "DCSM at one scale, equation as printed": {
        **ONE_SCALE,
        "normalization": None,
    },
    "DCSM at one scale, signed": {**ONE_SCALE, "signed": True},
}
WITH_CRF = ("DCSM", "DCSM without difference", "DCSM, normalised before")


# ------------------------------------------------------------------ photos


class Labelled:
    """Photos of `msrc/dev`, square, and which class each pixel has."""

    def __init__(self, folder, limit):
        root = os.path.join(folder.path, "msrc", "dev")
        with open(os.path.join(root, "annotations.json")) as file:
            names = sorted(json.load(file))
        names = names[:: max(1, len(names) // limit)] if limit else names
        with open(
            os.path.join(folder.path, "mappings", _photos.MAPPINGS["msrc"])
        ) as file:
            self.classes = list(json.load(file))
        self.images = np.stack(
            [_square(root, "images", f"{name}.jpg") for name in names]
        )
        self.pixels = np.stack(
            [_square(root, "masks", f"{name}.png") for name in names]
        )
        numbers = np.arange(1, len(self.classes) + 1)
        area = (self.pixels[..., None] == numbers).mean((1, 2))
        self.labels = (area > 0).astype("float32")
        most = int(self.labels.sum(1).max())
        order = np.argsort(-area, axis=1)[:, :most]
        there = np.take_along_axis(area, order, 1) > 0
        # The classes of each photo, the largest first, filled up by -1.
        self.target = np.where(there, order, -1).astype("int32")

    def masks(self, row):
        """Returns `(classes of the photo, size, size)`."""
        target = self.target[row]
        return self.pixels[row] == target[target >= 0, None, None] + 1


def _square(root, kind, name):
    image = Image.open(os.path.join(root, kind, name))
    if kind == "images":
        image = image.convert("RGB")
    how = Image.BILINEAR if kind == "images" else Image.NEAREST
    return np.array(image.resize((SIZE, SIZE), how))


# ------------------------------------------------------------------- heads


def heads(folder, photos, network, epochs=60):
    """Trains a head a fold.

    Returns:
        The classifier; a list of pairs: weights of its head, and the rows
        that were not seen by them; the mean average precision on those rows.
    """
    net = folder.network(network, logits=True, size=SIZE)
    trunk = keras.Model(net.input, net.get_layer(FEATURES[network]).output)
    trunk.trainable = False
    features = []
    for scale in SCALES:
        side = int(SIZE * scale)
        images = tf.image.resize(photos.images.astype("float32"), (side, side))
        images = folder.prepared(network, images.numpy())
        sized = models.fully_convolutional(
            keras.Sequential([trunk, keras.layers.GlobalMaxPooling2D()]),
            pooling="position",
        )
        features.append(sized.predict(images, batch_size=16, verbose=0))
    fold = np.random.default_rng(0).permutation(len(photos.images)) % FOLDS
    outputs = np.zeros_like(photos.labels)
    classifier = models.multi_label_classifier(
        trunk, photos.labels.shape[1], scale_range=None
    )
    found = []
    for number in range(FOLDS):
        keras.utils.set_random_seed(number)
        head = classifier.get_layer("class_scores")
        head.set_weights(
            [keras.random.normal(w.shape, stddev=0.03) for w in head.weights]
        )
        rows = np.flatnonzero(fold != number)
        _fit_head(classifier, features, photos.labels, rows, epochs)
        held_out = np.flatnonzero(fold == number)
        images = folder.prepared(network, photos.images[held_out])
        outputs[held_out] = classifier.predict(images, batch_size=16, verbose=0)
        found.append((head.get_weights(), held_out))
    return classifier, found, _average_precision(outputs, photos.labels)


def _fit_head(classifier, features, labels, rows, epochs):
    """Trains the layers behind the trunk, on its features of some scales."""
    inputs = keras.Input((None, None, features[0].shape[-1]))
    x = inputs
    for name in ("class_scores", "best_position", "probabilities"):
        x = classifier.get_layer(name)(x)
    head = keras.Model(inputs, x)
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(rows))
    head.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-2),
        "binary_crossentropy",
    )
    generator = np.random.default_rng(0)
    for _ in range(epochs):
        order = generator.permutation(rows)
        for start in range(0, len(order), 16):
            part = np.sort(order[start : start + 16])
            of_scale = features[generator.integers(len(features))]
            head.train_on_batch(of_scale[part], labels[part])


def _average_precision(outputs, labels):
    """Mean over classes with any photo of the area under the curve."""
    values = []
    for output, label in zip(outputs.T, labels.T, strict=True):
        if label.sum():
            ranked = label[np.argsort(-output, kind="stable")]
            precision = ranked.cumsum() / np.arange(1, len(ranked) + 1)
            values.append((precision * ranked).sum() / ranked.sum())
    return round(float(np.mean(values)), 3)


# ------------------------------------------------------------------- masks


class Overlaps:
    """Overlaps of masks with classes, summed over photos, per threshold."""

    def __init__(self, num_thresholds, num_classes):
        self.shared = np.zeros((num_thresholds, num_classes))
        self.joined = np.zeros((num_thresholds, num_classes))

    def add(self, number, masks, truth, known, classes):
        masks = masks & known
        for mask, true, name in zip(masks, truth, classes, strict=True):
            self.shared[number, name] += (mask & true).sum()
            self.joined[number, name] += (mask | true).sum()

    def best(self):
        """Returns the highest mean over classes, and its threshold's number."""
        there = self.joined.max(0) > 0
        means = (self.shared[:, there] / self.joined[:, there]).mean(1)
        return round(float(means.max()), 3), int(means.argmax())


def judged(photos, maps, rows, crf=False, grabcut=False):
    """Returns the scores of maps `(photos, classes, size, size)`."""
    thresholds = CRF_THRESHOLDS if crf else [0.0] if grabcut else THRESHOLDS
    shape = len(thresholds), len(photos.classes)
    overlaps, of_several = Overlaps(*shape), Overlaps(*shape)
    pairs = metrics.MeanIoU(num_thresholds=50)
    for row in rows:
        classes = photos.target[row][photos.target[row] >= 0]
        of_photo = np.maximum(maps[row][: len(classes)], 0)
        truth, known = photos.masks(row), photos.pixels[row] > 0
        pairs.update_state(truth, of_photo * known)
        for number, threshold in enumerate(thresholds):
            if grabcut:
                masks = _cut(photos.images[row], of_photo)
            else:
                masks = _divided(photos.images[row], of_photo, threshold, crf)
            overlaps.add(number, masks, truth, known, classes)
            if len(classes) > 1:
                of_several.add(number, masks, truth, known, classes)
    miou, number = overlaps.best()
    scores = {"mIoU": miou, "several classes": of_several.best()[0]}
    if not grabcut:
        scores["threshold"] = float(round(thresholds[number], 2))
    if not (grabcut or crf):
        scores["IoU of pairs"] = round(float(pairs.result()), 3)
    return scores


def _cut(image, maps):
    """GrabCut of each class by itself; its seeds are of a smoothed map."""
    smooth = tf.nn.avg_pool2d(maps[..., None], 9, 1, "SAME")[..., 0].numpy()
    return segmentation.grabcut(np.stack([image] * len(maps)), smooth)


def _divided(image, maps, threshold, crf):
    """Masks `(classes, size, size)` of pixels that have one class, or none."""
    if crf:
        with_none = segmentation.to_probabilities(maps, threshold)
        chosen = segmentation.refine_with_crf(image, with_none).argmax(0)
    else:
        top = maps.max((1, 2), keepdims=True)
        scaled = maps / np.where(top > 0, top, 1)
        chosen = np.where(scaled.max(0) > threshold, 1 + scaled.argmax(0), 0)
    return chosen == np.arange(1, len(maps) + 1)[:, None, None]


def explained(explainer, scorer, found, photos, prepare, filled=True):
    """Returns maps `(photos, classes, size, size)`, and the seconds."""
    shape = (*photos.target.shape, SIZE, SIZE)
    maps, seconds = np.zeros(shape, "float16"), 0.0
    for weights, rows in found:
        scorer.get_layer("class_scores").set_weights(weights)
        images = prepare(photos.images[rows])
        target = photos.target[rows]
        if not filled:  # other explainers know of no -1
            target = np.where(target < 0, target[:, :1], target)
        start = time.perf_counter()
        maps[rows] = explainer.explain(images, target, BATCH, verbose=0)
        seconds += time.perf_counter() - start
    return maps.astype("float32"), round(seconds, 1)


def mean_scores(scorer):
    """The mean score of a class over positions, for the other methods."""
    scores = scorer.get_layer("class_scores").output
    pooled = keras.layers.GlobalAveragePooling2D()(scores)
    return keras.Model(scorer.input, pooled)


def others(network):
    return {
        "Simonyan": lambda m: explainers.Saliency(mean_scores(m)),
        "Guided backpropagation": lambda m: explainers.GuidedBackprop(
            mean_scores(m)
        ),
        "Grad-CAM": lambda m: explainers.GradCAM(
            mean_scores(m), FEATURES[network]
        ),
    }


def masks(folder, arguments, save):
    photos = Labelled(folder, arguments.photos)
    several = int(((photos.target >= 0).sum(1) > 1).sum())
    print(
        f"{len(photos.images)} photos, of which {several} have several "
        f"classes; one of {arguments.every} is explained"
    )
    for network in arguments.networks:
        classifier, found, precision = heads(folder, photos, network)
        shown = np.arange(0, len(photos.images), arguments.every)
        found = [(w, np.intersect1d(rows, shown)) for w, rows in found]
        scorer = models.fully_convolutional(classifier, pooling="position")

        def prepare(images, network=network):
            return folder.prepared(network, images)

        report = {"mean average precision of the heads": precision}
        print(f"{network}, heads: {precision}", flush=True)

        def note(
            name,
            seconds,
            maps,
            report=report,
            network=network,
            shown=shown,
            **how,
        ):
            report[name] = judged(photos, maps, shown, **how)
            if seconds is not None:
                report[name]["seconds"] = seconds
            print(f"  {name}: {report[name]}", flush=True)
            save(network, report)

        chosen = arguments.rows or [*others(network), *OWN]
        for name, make in others(network).items():
            if name in chosen:
                maps, seconds = explained(
                    make(scorer), scorer, found, photos, prepare, filled=False
                )
                note(name, seconds, maps)
                if name == "Simonyan":
                    note("Simonyan + GrabCut", None, maps, grabcut=True)
        best = keras.Sequential([scorer, keras.layers.GlobalMaxPooling2D()])
        for name, options in OWN.items():
            if name not in chosen:
                continue
            dcsm = explainers.DistinctClassSaliency(
                best if "best position" in name else scorer,
                **{"candidates": "target", **options},
            )
            maps, seconds = explained(dcsm, scorer, found, photos, prepare)
            note(name, seconds, maps)
            if name in WITH_CRF:
                note(f"{name} + CRF", None, maps, crf=True)


# ------------------------------------------------------------------ timing


def timing(folder, arguments, save):
    """VGG-16, nine layers, 3 classes, 4 scales; weights do not matter."""
    del folder
    size, num_classes, scales, batch = 64, 3, (1, 1.2, 1.4, 1.6), 1
    model = models.fully_convolutional(
        keras.applications.VGG16(
            weights=None, input_shape=(size, size, 3), classes=20
        )
    )
    blocks = ((3, 3), (4, 3), (5, 3))
    layers = [
        f"block{block}_conv{number + 1}"
        for block, count in blocks
        for number in range(count)
    ]
    images = np.random.default_rng(0).normal(size=(batch, size, size, 3))
    images = images.astype("float32")
    target = np.tile(np.arange(num_classes), (batch, 1)).astype("int32")
    explainer = explainers.DistinctClassSaliency(
        model, layers, scales, candidates="target"
    )
    # Logits and layers in one call; the head's sigmoid or softmax left out.
    model.get_layer("predictions").activation = keras.activations.linear
    parts = keras.Model(
        model.input,
        [model.output, *(model.get_layer(x).output for x in layers)],
    )
    sized = [
        tf.image.resize(images, (round(size * scale),) * 2) for scale in scales
    ]

    def passes(chosen, classes):
        @tf.function(reduce_retracing=False)
        def run(x):
            with tf.GradientTape(persistent=True) as tape:
                scores, *outputs = parts(x, training=False)
                of_class = [tf.reduce_sum(scores[..., k]) for k in classes]
            return [
                tape.gradient(score, [outputs[k] for k in chosen])
                for score in of_class
            ]

        return run

    together = passes(range(len(layers)), range(num_classes))
    separate = [
        passes([layer], [number])
        for layer in range(len(layers))
        for number in range(num_classes)
    ]

    def bare():
        for x in sized:
            last = together(x)
        return last[-1][-1].numpy()

    def one_by_one():
        for x in sized:
            for run in separate:
                last = run(x)
        return last[-1][-1].numpy()

    report = _timing.ratios(
        {
            "bare: scales x (forward + classes x backward)": bare,
            "DistinctClassSaliency": lambda: explainer(images, target).numpy(),
            "one call for each layer and class": one_by_one,
        },
        "bare: scales x (forward + classes x backward)",
        arguments.repeats,
    )
    print(_timing.table(report), flush=True)
    save(
        f"VGG-16, {size} px, batch {batch}, 9 layers, 3 classes, 4 scales",
        report,
    )


PARTS = {"masks": masks, "timing": timing}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default=os.environ.get(_photos.VARIABLE),
        help="folder described in benchmarks/_photos.py; defaults to the "
        f"environment variable {_photos.VARIABLE}",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--networks", nargs="+", choices=FEATURES, default=["squeezenet_v1_1"]
    )
    parser.add_argument("--rows", nargs="+", help="of masks; the others stay")
    parser.add_argument(
        "--every", type=int, default=2, help="n: every n-th photo is explained"
    )
    parser.add_argument("--photos", type=int, help="so many; writes no file")
    parser.add_argument("--repeats", type=int, default=5, help="of timing")
    arguments = parser.parse_args(argv)
    folder = None
    if "masks" in arguments.parts:
        if not arguments.data:
            parser.error(f"Expected --data, or {_photos.VARIABLE} set.")
        folder = _photos.Folder(arguments.data)
    results = {} if arguments.photos else _results_so_far()
    for part in arguments.parts:

        def save(title, report, part=part):
            of_part = results.setdefault(part, {})
            of_part[title] = {**of_part.get(title, {}), **report}
            if not arguments.photos:
                _timing.write(NAME, results)

        PARTS[part](folder, arguments, save)
    return results


def _results_so_far():
    """So that parts can be run one at a time."""
    path = os.path.join(os.path.dirname(__file__), "results", f"{NAME}.json")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return json.load(file)["results"]


if __name__ == "__main__":
    main()
