"""The table of what maps know of the network."""

import re

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table

COLUMNS = {
    "last convolution": "last",
    "upper half": "upper half",
    "all": "all",
    "edges of the photo": "against edges of the photo",
}
# Those that come out alike share a row.
ROWS = (
    ("DistinctClassSaliency",),
    ("Occlusion",),
    ("QuadtreeOcclusion",),
    ("CAM", "GradCAM", "GradCAMPlusPlus", "HiResCAM", "LayerCAM"),
    ("RegionCAM",),
    ("ClassModel",),
    ("SmoothGrad",),
    ("GuidedGradCAM",),
    ("Saliency",),
    ("GradientInput",),
    ("IntegratedGradients",),
    ("RISE",),
    ("EigenCAM",),
    ("ScoreCAM",),
    ("GuidedBackprop",),
    ("DeconvNet",),
)


def cell(row, column):
    if column not in row:
        return ""
    rank, structure = (share(x, 2) for x in row[column])
    return f"{rank} ({structure})"


def of_methods(figures):
    figures = figures["forgetting"]
    rows = []
    for names in ROWS:
        found = {
            tuple(cell(figures[name], x) for x in COLUMNS.values())
            for name in names
        }
        if len(found) > 1:
            raise ValueError(
                f"Expected {names} to come out alike. Received: {found}. "
                "Give them rows of their own."
            )
        rows.append([", ".join(f"`{name}`" for name in names), *found.pop()])
    return table(["", *COLUMNS], rows)


def of_guide(figures, cells):
    """Returns what the methods that a row of the guide recommends are like."""
    names = re.findall(r"`(\w+)`", cells[1])
    ranks = (figures["forgetting"][name]["upper half"][0] for name in names)
    return ", ".join(dict.fromkeys(share(rank, 2) for rank in ranks))


TABLES = {"sanity": of_methods}
LAST_CELLS = {"which-explainer": of_guide}
