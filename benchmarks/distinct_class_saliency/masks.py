"""Masks of the classes that photos are labelled with, out of maps."""

import keras
import numpy as np

from benchmarks.common.heads import groups_of
from benchmarks.common.heads import join_classes
from benchmarks.common.heads import train_heads
from benchmarks.common.labelled import SIZE
from benchmarks.common.labelled import Labelled
from benchmarks.common.layer_names import FEATURES
from benchmarks.distinct_class_saliency.end_to_end import train_networks
from benchmarks.distinct_class_saliency.judging import Judge
from benchmarks.distinct_class_saliency.judging import above
from benchmarks.distinct_class_saliency.judging import precision
from benchmarks.distinct_class_saliency.judging import scores
from keras_xmap import explainers

# MSRC has classes that ImageNet has not, as grass; COCO has too few photos of
# each to learn from.
END_TO_END = ", end to end"
SETUPS = {
    "msrc, squeezenet_v1_1": train_heads,
    f"msrc, squeezenet_v1_1{END_TO_END}": train_networks,
    "coco_seg, squeezenet_v1_1": join_classes,
    "coco_seg, mobilenet_v2": join_classes,
}
EVERY = {"msrc": 3, "coco_seg": 1}  # one of so many photos is explained
BATCH = 8
SCALES = (1, 1.2, 1.4, 1.6)  # the paper's
# The options of DCSM where they are not those of `masks`.
OPTIONS = {
    "DCSM at one scale, normalised before": {"normalization": "before"},
    "DCSM at one scale, equation as printed": {"normalization": None},
    "DCSM at one scale, ordinary gradients": {"relu_rule": "standard"},
    "DCSM at one scale, of the best position": {},
}
# Those that rows are for, where there are any.
OPTIONS_OF = {
    "msrc, squeezenet_v1_1": [*OPTIONS],
    "coco_seg, squeezenet_v1_1": [*OPTIONS][2:],
}
OWN = {
    "DCSM at one scale without difference": {"candidates": None},
    "DCSM at one scale": {},
    **OPTIONS,
    "DCSM": {},
}
OTHERS = {
    "Simonyan": explainers.Saliency,
    "Guided backpropagation": explainers.GuidedBackprop,
    "Grad-CAM": explainers.GradCAM,
}
NAMES = [
    *("Simonyan", "Simonyan + GrabCut", "Guided backpropagation", "Grad-CAM"),
    *(*OWN, "DCSM + CRF"),
]
# Which rows a row is compared with.
COMPARED = {
    "DCSM at one scale without difference": ["Guided backpropagation"],
    "DCSM at one scale": ["DCSM at one scale without difference"],
    **{name: ["DCSM at one scale"] for name in OPTIONS},
    "DCSM": [
        "Simonyan + GrabCut",
        "Grad-CAM",
        "Guided backpropagation",
        "DCSM at one scale",
    ],
    "DCSM + CRF": ["DCSM", "Simonyan + GrabCut"],
}


def explained(explainer, scorer, found, photos, prepare, filled=True):
    """Returns maps `(photos, classes, size, size)`."""
    maps = np.zeros((*photos.target.shape, SIZE, SIZE), "float16")
    for weights, rows in found:
        if not len(rows):
            continue
        scorer.set_weights(weights)
        images = prepare(photos.images[rows])
        target = photos.target[rows]
        if not filled:  # other explainers know of no -1
            target = np.where(target < 0, target[:, :1], target)
        maps[rows] = explainer.explain(images, target, BATCH, verbose=0)
    return maps.astype("float32")


def pooled(scorer, pooling):
    """A model of one score a class, of the score maps of another."""
    of_classes = scorer.get_layer("class_scores").output
    return keras.Model(scorer.input, pooling(of_classes))


def masks(folder, arguments, save):
    outputs = {}
    for title in arguments.setups:
        dataset, network = title.split(", ")[:2]
        photos = Labelled(folder, dataset, without=_unscored(folder, title))
        every = arguments.every or EVERY[dataset]
        shown = np.arange(0, len(photos.images), every)
        print(
            f"{title}: {len(photos.images)} photos; one of {every} is explained"
        )
        of_network = OfNetwork(folder, photos, title, network, shown, arguments)
        # Of a new head on the same photos, where it stands before this one.
        of_head = outputs.get(title.removesuffix(END_TO_END))
        outputs[title] = of_network.outputs
        known = precision(photos.labels, outputs[title], of_head)
        save(title, {"numbers": of_network.judge.numbers(), **known})
        for name, figures in of_network.rows(arguments.rows):
            print(f"  {title}, {name}: {figures}", flush=True)
            save(title, {name: figures})


def _unscored(folder, title):
    """Returns the classes that the network has no score for."""
    if SETUPS[title] is not join_classes:
        return []
    groups = groups_of(folder, title.split(", ")[0])
    return [name for name, group in groups.items() if not group]


class OfNetwork:
    """Maps of the photos by a network, and their scores."""

    def __init__(self, folder, photos, title, network, shown, arguments):
        self.photos, self.network = photos, network
        self.scorer, found, self.outputs = SETUPS[title](
            folder, photos, network, arguments
        )
        self.judge = Judge(photos, shown, arguments)
        self.scales = arguments.scales
        self.found = [(w, np.intersect1d(rows, shown)) for w, rows in found]
        self.prepare = lambda images: folder.prepared(network, images)
        unused = OPTIONS.keys() - OPTIONS_OF.get(title, [])
        self.names = [name for name in NAMES if name not in unused]
        self._judged, self._last = {}, (None, None)

    def rows(self, chosen):
        """Yields the name of a row, and its scores."""
        for name in self.names:
            if chosen is None or name in chosen:
                yield name, self._row(name)

    def _row(self, name):
        """Returns the figures of a row, and how far above others they are."""
        counts, options = self._of(name)
        others = {
            other: above(counts, self._of(other)[0])
            for other in COMPARED.get(name, [])
        }
        return {**scores(counts), **options, "above": others}

    def _of(self, name):
        """Returns counts of a row, and what was chosen; once for each row."""
        if name not in self._judged:
            of_maps, _, behind = name.partition(" + ")
            judge = {
                "": self.judge.by_thresholds,
                "GrabCut": self.judge.by_grabcut,
                "CRF": self.judge.by_crf,
            }
            self._judged[name] = judge[behind](self._maps(of_maps))
        return self._judged[name]

    def _maps(self, name):
        """Returns maps; the last ones are kept, for what stands behind them."""
        last, maps = self._last
        if last != name:
            explainer = self._other(name) if name in OTHERS else self._own(name)
            maps = explained(
                explainer,
                *(self.scorer, self.found, self.photos, self.prepare),
                filled=name not in OTHERS,
            )
            self._last = name, maps
        return maps

    def _other(self, name):
        # The mean score of a class over positions.
        model = pooled(self.scorer, keras.layers.GlobalAveragePooling2D())
        layer = [FEATURES[self.network]] if name == "Grad-CAM" else []
        return OTHERS[name](model, *layer)

    def _own(self, name):
        model = self.scorer
        if "best position" in name:
            model = pooled(model, keras.layers.GlobalMaxPooling2D())
        scales = (1,) if "one scale" in name else self.scales
        options = {"scales": scales, "candidates": "target", **OWN[name]}
        return explainers.DistinctClassSaliency(model, **options)
