"""The tables of weak segmentation."""

from benchmarks.common.markdown import gain
from benchmarks.common.markdown import share
from benchmarks.common.markdown import table
from benchmarks.common.markdown import within

# What label maps are made of.
SOURCES = {
    "CAM": "`CAM`",
    "erasing": "`CAM`, 3 rounds of erasing",
    "DCSM": "`DistinctClassSaliency`, one scale",
    "LayerCAM": "`LayerCAM`, all stages",
    "RegionCAM": "`RegionCAM`",
    "affinity": "`CAM`, `Affinity`",
    "LayerCAM, affinity": "`LayerCAM`, `Affinity`",
    "true masks": "true masks of these photos",
    "DeepLab": "DeepLabv3, trained on masks of VOC",
}
MAPS = {
    **SOURCES,
    "erasing, 2 rounds": "`CAM`, 2 rounds of erasing",
    "erasing, 3 rounds": "`CAM`, 3 rounds of erasing",
    "CAM, affinity": "`CAM`, `Affinity`",
}
LOSSES = {"plain": "cross-entropy", "sec": "SEC", "psl": "PSL"}


def of_maps(title):
    def make(figures):
        found = figures["photos"][title]
        rows = [
            [label, *cells(found[name])]
            for name, label in MAPS.items()
            if name in found
        ]
        header = ["maps", "by themselves", "above `CAM`"]
        return table([*header, "and a CRF", "above `CAM` and a CRF"], rows)

    return make


def of_networks(title):
    def make(figures):
        found = figures["photos"][title]
        rows = []
        for name, label in SOURCES.items():
            for loss, called in LOSSES.items():
                row = found.get(f"{name}, {loss}")
                if row is not None:
                    unknown = share(row["unknown"][0])
                    rows.append([label, called, unknown, *cells(row)[::2]])
                    rows[-1].append(gained(row["CRF above CAM"]))
        header = ["trained on", "loss", "classes not known", "known"]
        return table([*header, "and a CRF", "above `CAM` and a CRF"], rows)

    return make


def cells(row):
    found = []
    for way in ("map", "CRF"):
        found += [within(row[way]), gained(row[f"{way} above CAM"])]
    return found


def gained(values):
    return gain(values) if any(values) else ""


TABLES = {
    "weak-maps": of_maps("msrc, mobilenet_v2"),
    "weak-maps-squeezenet": of_maps("msrc, squeezenet_v1_1"),
    "weak-maps-coco": of_maps("coco_seg, mobilenet_v2"),
    "weak-maps-coco-squeezenet": of_maps("coco_seg, squeezenet_v1_1"),
    "weak-networks": of_networks("msrc, mobilenet_v2"),
    "weak-networks-squeezenet": of_networks("msrc, squeezenet_v1_1"),
    "weak-networks-coco": of_networks("coco_seg, mobilenet_v2"),
    "weak-networks-coco-squeezenet": of_networks("coco_seg, squeezenet_v1_1"),
}
