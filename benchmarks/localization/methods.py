"""Every explainer by its defaults, beside its peers and two floors."""

import numpy as np
from scipy import ndimage

from benchmarks.common import methods as all_methods
from benchmarks.common.layer_names import BEFORE_MIXING
from benchmarks.common.layer_names import LAYERS
from benchmarks.common.map_scores import BATCH
from benchmarks.common.map_scores import Scores
from benchmarks.common.map_scores import show
from benchmarks.common.map_scores import summary
from benchmarks.localization.peers import peers
from keras_xmap import explainers

# Options other than the defaults, and those that need many passes: they see
# every k-th photo only, with fewer samples than their papers take.
OPTIONS = {
    "IntegratedGradients": {"num_steps": 20},
    "SmoothGrad": {"num_samples": 15},
    "RISE": {"num_masks": 200},
    "ScoreCAM": {"max_channels": 64},
    "Occlusion": {"patch_size": 48, "strides": 24},
    "QuadtreeOcclusion": {"patch_size": 48, "strides": 3},
}

SLOW = (
    "IntegratedGradients",
    "SmoothGrad",
    "RISE",
    "ScoreCAM",
    "Occlusion",
    "QuadtreeOcclusion",
)

# Maps of single pixels, reported as they are and blurred by 1/20 of the side.
FINE = (
    "DeconvNet",
    "GradientInput",
    "GuidedBackprop",
    "GuidedGradCAM",
    "IntegratedGradients",
    "Saliency",
    "SmoothGrad",
)

# Methods see every k-th photo.
EVERY = {"coco_seg": 1, "imagenet_boxes": 3, "msrc": 1}

LEFT_OUT = {"ClassModel": "makes an image of a class, not a map of a photo"}
NUM_OF_SLOW = 40  # photos that the slow ones see


def methods(folder, arguments, save):
    for dataset in arguments.datasets:
        for network in arguments.networks:
            photos = folder.photos(dataset, network)
            photos = photos.take(slice(0, None, EVERY[dataset]))
            title = f"{dataset}, {network}"
            print(f"\n{title}: {len(photos)} targets", flush=True)
            comparison = Comparison(folder, network, photos, dataset)
            comparison.add_floors()
            comparison.add_explainers(arguments.explainers)
            if dataset == "coco_seg":
                comparison.add_for_the_slow()
            comparison.add_layer_cams()
            comparison.add_peers()
            save(title, comparison.report)


class Comparison:
    """Scores of methods on the same photos."""

    def __init__(self, folder, network, photos, dataset):
        boxes = dataset == "imagenet_boxes"
        self.folder, self.network = folder, network
        self.model = folder.network(network)
        self.with_slow = dataset == "coco_seg"
        step = max(1, len(photos) // NUM_OF_SLOW)
        self.all = photos, Scores(photos, boxes)
        some = photos.take(slice(0, None, step))
        self.some = some, Scores(some, boxes)
        self.report = {}

    def add(self, name, maps, seen=None):
        """Takes maps of the photos, or of those that `seen` holds."""
        photos, judge = seen or self.all
        values = judge.of(maps)
        self.report[name] = summary(values, photos)
        for subset, member in photos.subsets.items():
            part = summary(values, photos, member) if member.any() else None
            self.report[name][subset] = part
        show(name, self.report[name])

    def add_floors(self):
        judge = self.all[1]
        self.add("centre", judge.centre())
        self.add("flat map", judge.flat())

    def add_explainers(self, names):
        for name in names:
            if name in LEFT_OUT:
                self.report[name] = {"left out": LEFT_OUT[name]}
            elif self.with_slow or name not in SLOW:
                self._add_explainer(name)

    def _add_explainer(self, name):
        seen = self.some if name in SLOW else self.all
        options = OPTIONS.get(name, {})
        label = name + "".join(f", {k}={v}" for k, v in options.items())
        try:
            explainer = getattr(explainers, name)(self.model, **options)
            maps = maps_of(explainer, seen[0])
        except (TypeError, ValueError) as error:
            self.report[name] = {"refused": str(error).splitlines()[0]}
            print(f"  {name}: refused: {error}")
            return
        self.add(label, maps, seen)
        if name in FINE:
            blur = (0, maps.shape[1] / 20, maps.shape[2] / 20)
            maps = ndimage.gaussian_filter(np.maximum(maps, 0), blur)
            self.add(f"{label}, blurred", maps, seen)

    def add_for_the_slow(self):
        """What a fast method reaches on the few photos of the slow ones."""
        maps = maps_of(explainers.GradCAM(self.model), self.some[0])
        self.add("GradCAM, photos of the slow ones", maps, self.some)

    def add_layer_cams(self):
        layers = {
            "LayerCAM, before the last mixing": BEFORE_MIXING[self.network],
            "LayerCAM, target_layer=2": 2,
            "LayerCAM, fused: all listed layers": LAYERS[self.network],
        }
        for label, layer in layers.items():
            explainer = explainers.LayerCAM(self.model, target_layer=layer)
            self.add(label, maps_of(explainer, self.all[0]))

    def add_peers(self):
        model = self.folder.network(self.network, logits=True)
        for name, maps in peers(model, self.all[0]):
            self.add(name, maps)


def maps_of(explainer, photos):
    return explainer.explain(
        photos.images, photos.classes, batch_size=BATCH, verbose=0
    )


NAMES = all_methods.names()
