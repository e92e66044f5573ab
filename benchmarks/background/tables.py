"""The table of background cues."""

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table

ROWS = {
    "DRFI": "`DRFI`",
    "colour from the border": "colour, how far from the border's",
    "colour from the mean": "colour, how far from the mean",
    "centre": "distance from the centre",
}


def of_cues(figures):
    rows = []
    for name, label in ROWS.items():
        cells = []
        for key in ("AUC", "F", "MAE"):
            value, low, high = map(share, figures["ecssd"]["maps"][name][key])
            cells.append(f"{value} [{low}, {high}]")
        rows.append([label, *cells])
    return table(["", "AUC", "best F", "MAE"], rows)


TABLES = {"background-cues": of_cues}
