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
COLUMNS = (
    ("MSRC", "msrc, squeezenet_v1_1", "mIoU"),
    ("several classes", "msrc, squeezenet_v1_1", "several classes"),
    ("COCO", "coco_seg, squeezenet_v1_1", "mIoU"),
    ("several classes", "coco_seg, squeezenet_v1_1", "several classes"),
    ("COCO, MobileNetV2", "coco_seg, mobilenet_v2", "mIoU"),
)


def of_masks(figures):
    figures = figures["masks"]
    rows = []
    for name, label in ROWS.items():
        found = [figures[title].get(name, {}) for _, title, _ in COLUMNS]
        cells = [
            share(row[score]) if score in row else ""
            for row, (_, _, score) in zip(found, COLUMNS, strict=True)
        ]
        rows.append([label, *cells])
    return table(["", *(name for name, _, _ in COLUMNS)], rows)


TABLES = {"distinct-class-saliency": of_masks}
