"""The table of masks that distinct class saliency maps make."""

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table

ROWS = {
    "Simonyan": "saliency (Simonyan)",
    "Simonyan + GrabCut": "saliency + GrabCut",
    "Grad-CAM": "Grad-CAM",
    "Guided backpropagation": "guided backpropagation",
    "DCSM": "DCSM",
    "DCSM + CRF": "DCSM + CRF",
    "DCSM + CRF of short range": "DCSM + CRF of short range",
    "DCSM without difference": "DCSM without difference",
    "DCSM at one scale": "DCSM at one scale",
    "DCSM at one scale without difference": "the same without difference",
    "DCSM, normalised before": 'DCSM, `normalization="before"`',
    "DCSM at one scale, equation as printed": (
        "one scale, `normalization=None`"
    ),
    "DCSM at one scale, signed": "one scale, `signed=True`",
    "DCSM at one scale, ordinary gradients": (
        'one scale, `relu_rule="standard"`'
    ),
    "DCSM at one scale, of the best position": (
        "one scale, score of the best position"
    ),
}
SETS = {
    "MSRC": "msrc, squeezenet_v1_1",
    "COCO": "coco_seg, squeezenet_v1_1",
    "COCO, MobileNetV2": "coco_seg, mobilenet_v2",
}
SCORES = {"several": "several classes", "pairs": "IoU of pairs"}


def of_masks(figures):
    """Per set and network mIoU, that of photos of several classes, pairs."""
    figures = figures["masks"]
    names = ("mIoU", *SCORES.values())
    rows = []
    for name, label in ROWS.items():
        found = [figures[title].get(name, {}) for title in SETS.values()]
        cells = [
            share(row[score]) if score in row else ""
            for row in found
            for score in names
        ]
        rows.append([label, *cells])
    header = [x for name in SETS for x in (name, *SCORES)]
    return table(["", *header], rows)


TABLES = {"distinct-class-saliency": of_masks}
