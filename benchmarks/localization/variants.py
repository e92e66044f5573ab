"""What the border, the alignment, the size and the explained score do."""

import numpy as np

from benchmarks.common.layer_names import BEFORE_MIXING
from benchmarks.common.layer_names import LAYERS
from benchmarks.common.map_scores import Scores
from benchmarks.common.map_scores import show
from benchmarks.common.map_scores import summary
from benchmarks.localization.layer_maps import SCORES
from benchmarks.localization.layer_maps import enlarge
from benchmarks.localization.layer_maps import maps_of_layers

SHIFTS = (4, 8, 12, 16)
SIDES = (320, 448)
BORDER = 32


def variants(folder, arguments, save):
    for network in arguments.networks:
        print(f"{network}: variants")
        of_network = Variants(folder, network)
        of_network.scores()
        of_network.shifts()
        of_network.sizes(arguments.sides)
        of_network.reflected_border()
        save(network, of_network.report)


class Variants:
    """Grad-CAM at two layers of a network, and changes of it."""

    def __init__(self, folder, network):
        self.folder, self.network = folder, network
        self.names = [LAYERS[network][0], BEFORE_MIXING[network]]
        self.photos = folder.photos("coco_seg", network)
        self.size = self.photos.masks.shape[1]
        self.judge = Scores(self.photos)
        self.report = {}
        self.small, self.plain = {}, {}

    def add(self, title, name, maps):
        """Takes maps of a layer, of the size of the photos."""
        values = self.judge.of(maps)
        report = summary(values, self.photos, against=self.plain.get(name))
        self.report[f"{name}: {title}"] = report
        show(f"{name}: {title}", report, 60)
        return values

    def maps(self, images, size=None, score="logit"):
        """Returns maps of each layer, of its size."""
        found = maps_of_layers(
            self.folder.network(self.network, logits=True, size=size),
            self.names,
            images,
            self.photos.classes,
            score,
        )
        return {name: found[name, "GradCAM"] for name in self.names}

    def scores(self):
        for score in SCORES:
            found = self.maps(self.photos.images, score=score)
            for name, maps in found.items():
                title = f"GradCAM, score: {score}"
                values = self.add(title, name, enlarge(maps, self.size))
                if score == "logit":
                    self.small[name], self.plain[name] = maps, values

    def shifts(self):
        for name, small in self.small.items():
            for shift in SHIFTS:
                maps = shifted(small, self.size, shift)
                self.add(f"moved by {shift} px", name, maps)
            inner = np.zeros_like(small)
            inner[:, 1:-1, 1:-1] = small[:, 1:-1, 1:-1]
            maps = enlarge(inner, self.size)
            self.add("border of the map zeroed", name, maps)

    def sizes(self, sides):
        for side in sides:
            larger = self.folder.photos("coco_seg", self.network, size=side)
            for name, maps in self.maps(larger.images, side).items():
                maps = enlarge(maps, self.size)
                self.add(f"input of {side} px", name, maps)

    def reflected_border(self):
        border = (BORDER, BORDER)
        padded = np.pad(
            self.photos.images,
            ((0, 0), border, border, (0, 0)),
            mode="reflect",
        )
        size = self.size + 2 * BORDER
        for name, maps in self.maps(padded, size).items():
            maps = enlarge(maps, size)[:, BORDER:-BORDER, BORDER:-BORDER]
            self.add("reflected border, cropped", name, maps)


def shifted(maps, size, shift):
    """Enlarges maps as if each position stood `shift` pixels further on."""
    maps = enlarge(maps, size)
    rows = np.clip(np.arange(size) - shift, 0, size - 1)
    return maps[:, rows][:, :, rows]
