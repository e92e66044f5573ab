"""Masks of the classes that photos are labelled with, out of maps."""

import time

import keras
import numpy as np

from benchmarks.common.heads import groups_of
from benchmarks.common.heads import join_classes
from benchmarks.common.heads import train_heads
from benchmarks.common.labelled import SIZE
from benchmarks.common.labelled import Labelled
from benchmarks.common.layer_names import FEATURES
from benchmarks.distinct_class_saliency.judging import judged
from keras_xmap import explainers

# MSRC has classes that ImageNet has not, as grass; COCO has too few photos of
# each for a head of its own.
HEADS = {"msrc": train_heads, "coco_seg": join_classes}
BATCH = 8
SCALES = (1, 1.2, 1.4, 1.6)  # the paper's
ONE_SCALE = {"scales": (1,)}
# The options of DCSM where they are not those of `masks`, slow ones first.
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
# One of so many photos is explained, and by these networks.
EVERY = {"msrc": 3, "coco_seg": 1}
NETWORKS = {
    "msrc": ["squeezenet_v1_1"],
    "coco_seg": ["squeezenet_v1_1", "mobilenet_v2"],
}


def explained(explainer, scorer, found, photos, prepare, filled=True):
    """Returns maps `(photos, classes, size, size)`, and the seconds."""
    shape = (*photos.target.shape, SIZE, SIZE)
    maps, seconds = np.zeros(shape, "float16"), 0.0
    for weights, rows in found:
        if not len(rows):
            continue
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
        photos = Labelled(folder, dataset, without=_unscored(folder, dataset))
        every = arguments.every or EVERY[dataset]
        several = int(((photos.target >= 0).sum(1) > 1).sum())
        print(
            f"{dataset}: {len(photos.images)} photos, of which {several} have "
            f"several classes; one of {every} is explained"
        )
        shown = np.arange(0, len(photos.images), every)
        for network in arguments.networks or NETWORKS[dataset]:
            title = f"{dataset}, {network}"
            of_network = OfNetwork(folder, photos, network, shown, arguments)
            for name, scores in of_network.rows(arguments.rows):
                print(f"  {title}, {name}: {scores}", flush=True)
                save(title, {name: scores})


def _unscored(folder, dataset):
    """Returns the classes that the network has no score for."""
    if HEADS[dataset] is train_heads:
        return []
    groups = groups_of(folder, dataset)
    return [name for name, group in groups.items() if not group]


class OfNetwork:
    """Maps of the photos by a network, and their scores."""

    def __init__(self, folder, photos, network, shown, arguments):
        self.photos, self.network, self.shown = photos, network, shown
        self.scorer, found, self.precision = HEADS[photos.dataset](
            folder, photos, network, arguments.head_epochs
        )
        self.crf_thresholds = arguments.crf_thresholds
        self.options = {"scales": arguments.scales, "candidates": "target"}
        self.found = [(w, np.intersect1d(rows, shown)) for w, rows in found]
        self.prepare = lambda images: folder.prepared(network, images)

    def rows(self, chosen):
        """Yields the name of a row, and its scores."""
        yield "mean average precision", self.precision
        makers = others(self.network)
        chosen = chosen or [*makers, *OWN]
        for name in chosen:
            if name in makers:
                yield from self._of_other(name, makers[name])
        for name in OWN:
            if name in chosen:
                yield from self._of_own(name)

    def _of_other(self, name, make):
        maps, seconds = self._maps(make(self.scorer), filled=False)
        yield name, {**self._judged(maps), "seconds": seconds}
        if name == "Simonyan":
            yield "Simonyan + GrabCut", self._judged(maps, grabcut=True)

    def _of_own(self, name):
        model = self.scorer
        if "best position" in name:
            model = pooled(model, keras.layers.GlobalMaxPooling2D())
        dcsm = explainers.DistinctClassSaliency(
            model, **{**self.options, **OWN[name]}
        )
        maps, seconds = self._maps(dcsm)
        yield name, {**self._judged(maps), "seconds": seconds}
        for parameters, title in CRF.items() if name == "DCSM" else ():
            refined = self._judged(
                maps, crf=parameters, crf_thresholds=self.crf_thresholds
            )
            yield title, refined

    def _maps(self, explainer, filled=True):
        return explained(
            explainer,
            *(self.scorer, self.found, self.photos, self.prepare),
            filled=filled,
        )

    def _judged(self, maps, **kwargs):
        return judged(self.photos, maps, self.shown, **kwargs)
