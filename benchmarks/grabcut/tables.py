"""The table of GrabCut."""

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table

ROWS = {
    "best threshold": ("the map, at the best threshold for all", ""),
    "grabcut": ("`grabcut`", "1 to 2 s"),
    "watershed": ("`watershed`", "0.1 s"),
}


def of_masks(figures):
    figures = figures["ecssd"]
    rows = []
    for name, (label, seconds) in ROWS.items():
        cells = []
        for maps in ("Grad-CAM", "saliency"):
            row = figures[maps][name]
            low, high = map(share, row["interval"])
            cells.append(f"{share(row['iou'])} [{low}, {high}]")
        rows.append([label, *cells, seconds])
    header = ["", "Grad-CAM", "saliency, blurred by 8 px", "a photo"]
    return table(header, rows)


TABLES = {"grabcut": of_masks}
