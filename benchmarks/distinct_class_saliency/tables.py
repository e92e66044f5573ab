"""The tables of masks that distinct class saliency maps make."""

from benchmarks.common.markdown import gain
from benchmarks.common.markdown import share
from benchmarks.common.markdown import table
from benchmarks.common.markdown import within

ROWS = {
    "Simonyan": "saliency (Simonyan)",
    "Simonyan + GrabCut": "saliency + GrabCut",
    "Grad-CAM": "Grad-CAM",
    "Guided backpropagation": "guided backpropagation",
    "DCSM": "DCSM",
    "DCSM + CRF": "DCSM + CRF",
    "DCSM at one scale": "DCSM at one scale",
    "DCSM at one scale without difference": "one scale, no difference",
    "DCSM at one scale, normalised before": (
        'one scale, `normalization="before"`'
    ),
    "DCSM at one scale, equation as printed": (
        "one scale, `normalization=None`"
    ),
    "DCSM at one scale, ordinary gradients": (
        'one scale, `relu_rule="standard"`'
    ),
    "DCSM at one scale, of the best position": (
        "one scale, score of the best position"
    ),
}
SETUPS = {
    "MSRC": "msrc, squeezenet_v1_1",
    "MSRC, end to end": "msrc, squeezenet_v1_1, end to end",
    "COCO": "coco_seg, squeezenet_v1_1",
    "COCO, MobileNetV2": "coco_seg, mobilenet_v2",
}
# What each score is a mean of.
NUMBERS = {
    "mIoU": "photos",
    "several classes": "photos with several classes",
    "IoU of pairs": "pairs of a photo and a class",
}


def of_score(score):
    """Makes the table of a score: of each row, and how far it is above."""

    def make(figures):
        figures = figures["masks"]
        found = [figures[title] for title in SETUPS.values()]
        rows = [
            [NUMBERS[score], *(one["numbers"][score] for one in found)],
            *_of_rows(found, score),
            *_differences(found, score),
        ]
        return table([score, *SETUPS], rows)

    return make


def _of_rows(found, score):
    for name, label in ROWS.items():
        cells = [
            within(one[name][score]) if score in one.get(name, {}) else ""
            for one in found
        ]
        if any(cells):
            yield [label, *cells]


def _differences(found, score):
    for name, label in ROWS.items():
        for other in ROWS:
            of_rows = [
                one.get(name, {}).get("above", {}).get(other, {})
                for one in found
            ]
            cells = [
                gain(row[score]) if score in row else "" for row in of_rows
            ]
            if any(cells):
                yield [f"*{label}* above *{ROWS[other]}*", *cells]


def of_networks(figures):
    """What the networks know, and which CRF was chosen for each half."""
    found = [figures["masks"][title] for title in SETUPS.values()]
    kind = "mean average precision"
    numbers = [one["numbers"][kind] for one in found]
    precision = [within(one[kind]) for one in found]
    name = "above a new head"
    above = [gain(one[name]) if name in one else "" for one in found]
    chosen = [
        "; ".join(f'`"{crf}"`, {share(at, 2)}' for crf, at in one["CRF"])
        for one in (figures["DCSM + CRF"] for figures in found)
    ]
    rows = [
        ["photos", *numbers],
        [kind, *precision],
        [name, *above],
        ["CRF chosen for each half, and its threshold", *chosen],
    ]
    return table(["", *SETUPS], rows)


TABLES = {
    "distinct-class-networks": of_networks,
    "distinct-class-saliency": of_score("mIoU"),
    "distinct-class-several": of_score("several classes"),
    "distinct-class-pairs": of_score("IoU of pairs"),
}
