"""The tables of the dense CRF."""

from benchmarks.common.markdown import table

PEER = "pydensecrf2"


def of_times(figures):
    rows = []
    for title, row in figures["photo"].items():
        size, classes = title.removesuffix(" classes").split(", ")
        times = [round(row[name]["ms"]) for name in ("keras-xmap", PEER)]
        rows.append([size, classes, *times])
    header = ["photo", "classes", "`refine_with_crf`", "pydensecrf2 (C++)"]
    return table(header, rows)


def of_agreement(figures):
    names = ("unrefined", "keras-xmap", PEER)
    rows = [
        [title, *(f"{100 * row[name]['other_label']:.2f}" for name in names)]
        for title, row in figures["agreement"].items()
    ]
    header = ["photo, parameters", "not refined", "`refine_with_crf`", PEER]
    return table(header, rows)


TABLES = {"crf-times": of_times, "crf-agreement": of_agreement}
