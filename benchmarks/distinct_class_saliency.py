"""Do distinct class saliency maps tell the classes of a photo apart?

`masks` makes masks of the classes that photos are labelled with, out of maps:
of Simonyan's saliency with GrabCut, Grad-CAM, guided backpropagation, and of
DCSM with each of its changes left out, with other options, and with a dense
CRF behind it. The networks were trained on ImageNet. For MSRC they get a
multi-label head by cross-validation: no photo is explained by a head that was
trained on it. For COCO, the score of a class is the largest of those of the
ImageNet classes that it is made of; people, who are none of them, count as
background.

`timing` holds nine layers, several classes and scales against the bare passes
they need, and against one call for each layer and class.

A mask is made as pseudo labels are: a pixel has the class whose map, divided
by its maximum, is highest there, or none where that is below a threshold. All
photos share the one threshold that suits the method best. `mIoU` sums the
overlaps of a class over all photos, as segmentation benchmarks do, and takes
the mean over classes; `several classes` is the same of the photos that have
several; `IoU of pairs` is `keras_xmap.metrics.MeanIoU` of single maps, which
need not exclude each other. Pixels of unknown class do not count.

    python benchmarks/distinct_class_saliency.py --data DIR [--parts masks ...]
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _photos
import _timing
import keras
import numpy as np
import tensorflow as tf
from _labelled import DATASETS
from _labelled import SIZE
from _labelled import Labelled
from _labelled import Overlaps
from _labelled import divided
from _multi_label_heads import FEATURES
from _multi_label_heads import groups_of
from _multi_label_heads import join_classes
from _multi_label_heads import train_heads

from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import models
from keras_xmap import segmentation

NAME = "distinct_class_saliency"
# MSRC has classes that ImageNet has not, as grass; COCO has too few photos of
# each for a head of its own.
HEADS = {"msrc": train_heads, "coco_seg": join_classes}
THRESHOLDS = np.arange(0.0, 1.0, 0.05)
CRF_THRESHOLDS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
BATCH = 8
ONE_SCALE = {"scales": (1,)}
# The options of DCSM, the slow ones first.
OWN = {
    "DCSM": {},
    "DCSM without difference": {"candidates": None},
    "DCSM, normalised before": {"normalization": "before"},
    "DCSM at one scale": ONE_SCALE,
    "DCSM at one scale without difference": {**ONE_SCALE, "candidates": None},
    "DCSM at one scale, ordinary gradients": {
        **ONE_SCALE,
        "relu_rule": "standard",
    },
    "DCSM at one scale, equation as printed": {
        **ONE_SCALE,
        "normalization": None,
    },
    "DCSM at one scale, signed": {**ONE_SCALE, "signed": True},
    "DCSM at one scale, of the best position": ONE_SCALE,
}
# Sets of parameters of the CRF behind it, and the names of these rows.
CRF = {"paper": "DCSM + CRF", "sec": "DCSM + CRF of short range"}


# ------------------------------------------------------------------- masks


def judged(photos, maps, rows, crf=None, grabcut=False):
    """Returns the scores of maps `(photos, classes, size, size)`.

    Args:
        crf: The CRF's parameters, or `None` for no CRF.
        grabcut: Whether GrabCut makes the masks, from no threshold.
    """
    thresholds = CRF_THRESHOLDS if crf else [0.0] if grabcut else THRESHOLDS
    shape = len(thresholds), len(photos.classes)
    overlaps, of_several = Overlaps(*shape), Overlaps(*shape)
    pairs = metrics.MeanIoU(num_thresholds=50)
    for row in rows:
        classes = photos.target[row][photos.target[row] >= 0]
        of_photo = np.maximum(maps[row][: len(classes)], 0)
        truth, known = photos.masks(row), photos.known[row]
        pairs.update_state(truth, of_photo * known)
        for number, threshold in enumerate(thresholds):
            if grabcut:
                masks = _cut(photos.images[row], of_photo)
            elif crf:
                masks = _refined(photos.images[row], of_photo, threshold, crf)
            else:
                masks = divided(of_photo, threshold)
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


def _refined(image, maps, threshold, parameters):
    """Masks that the dense CRF makes of the maps and their background."""
    with_none = segmentation.to_probabilities(maps, threshold)
    refined = segmentation.refine_with_crf(image, with_none, parameters)
    chosen = refined.argmax(0)
    return chosen == np.arange(1, len(maps) + 1)[:, None, None]


def explained(explainer, scorer, found, photos, prepare, filled=True):
    """Returns maps `(photos, classes, size, size)`, and the seconds."""
    shape = (*photos.target.shape, SIZE, SIZE)
    maps, seconds = np.zeros(shape, "float16"), 0.0
    for weights, rows in found:
        if weights is not None:
            scorer.get_layer("class_scores").set_weights(weights)
        images = prepare(photos.images[rows])
        target = photos.target[rows]
        if not filled:  # other explainers know of no -1
            target = np.where(target < 0, target[:, :1], target)
        start = time.perf_counter()
        maps[rows] = explainer.explain(images, target, BATCH, verbose=0)
        seconds += time.perf_counter() - start
    return maps.astype("float32"), round(seconds, 1)


def pooled(scorer, pooling):
    """A model of one score a class, of the score maps of another."""
    scores = scorer.get_layer("class_scores").output
    return keras.Model(scorer.input, pooling(scores))


def mean_scores(scorer):
    """The mean score of a class over positions, for the other methods."""
    return pooled(scorer, keras.layers.GlobalAveragePooling2D())


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
    for dataset in arguments.sets:
        photos = Labelled(
            folder,
            dataset,
            arguments.photos,
            without=_unscored(folder, dataset),
        )
        several = int(((photos.target >= 0).sum(1) > 1).sum())
        print(
            f"{dataset}: {len(photos.images)} photos, of which {several} have "
            f"several classes; one of {arguments.every} is explained"
        )
        for network in arguments.networks:
            title = f"{dataset}, {network}"
            for name, scores in _of_network(folder, arguments, photos, network):
                print(f"  {title}, {name}: {scores}", flush=True)
                save(title, {name: scores})


def _unscored(folder, dataset):
    """Returns the classes that the network has no score for."""
    if HEADS[dataset] is train_heads:
        return []
    groups = groups_of(folder, dataset)
    return [name for name, group in groups.items() if not group]


def _of_network(folder, arguments, photos, network):
    """Yields the name of a row, and its scores."""
    scorer, found, precision = HEADS[photos.dataset](folder, photos, network)
    yield "mean average precision", precision
    shown = np.arange(0, len(photos.images), arguments.every)
    found = [(w, np.intersect1d(rows, shown)) for w, rows in found]
    best = pooled(scorer, keras.layers.GlobalMaxPooling2D())

    def prepare(images):
        return folder.prepared(network, images)

    chosen = arguments.rows or [*others(network), *OWN]
    for name, make in others(network).items():
        if name not in chosen:
            continue
        maps, seconds = explained(
            make(scorer), scorer, found, photos, prepare, filled=False
        )
        yield name, {**judged(photos, maps, shown), "seconds": seconds}
        if name == "Simonyan":
            cut = judged(photos, maps, shown, grabcut=True)
            yield "Simonyan + GrabCut", cut
    for name, options in OWN.items():
        if name not in chosen:
            continue
        dcsm = explainers.DistinctClassSaliency(
            best if "best position" in name else scorer,
            **{"candidates": "target", **options},
        )
        maps, seconds = explained(dcsm, scorer, found, photos, prepare)
        yield name, {**judged(photos, maps, shown), "seconds": seconds}
        for parameters, title in CRF.items() if name == "DCSM" else ():
            yield title, judged(photos, maps, shown, crf=parameters)


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
    _photos.add_data(parser)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument(
        "--networks", nargs="+", choices=FEATURES, default=["squeezenet_v1_1"]
    )
    parser.add_argument("--rows", nargs="+", help="of masks; the others stay")
    parser.add_argument(
        "--every", type=int, default=3, help="n: every n-th photo is explained"
    )
    parser.add_argument("--photos", type=int, help="so many; writes no file")
    parser.add_argument("--repeats", type=int, default=5, help="of timing")
    arguments = parser.parse_args(argv)
    folder = None
    if "masks" in arguments.parts:
        folder = _photos.folder_of(parser, arguments)
    results = _timing.Results(NAME, trial=bool(arguments.photos))
    for part in arguments.parts:
        PARTS[part](folder, arguments, results.of(part))
    return results.found


if __name__ == "__main__":
    main()
