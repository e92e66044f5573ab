"""The table of memory."""

from benchmarks.common.markdown import table

NAMES = {
    "crf": "`segmentation.refine_with_crf`, 4 classes",
    "overlay": "`visualization.overlay`",
    "annotations": "`datasets.COCOInstances`",
}


def of_memory(figures):
    rows = []
    for part, name in NAMES.items():
        for title, row in figures[part].items():
            rows.append(
                [
                    name,
                    title,
                    _megabytes(row["peak"]),
                    row.get("bytes a pixel", ""),
                    _megabytes(row["held"]),
                ]
            )
    header = ["", "of", "peak, MB", "bytes a pixel", "result, MB"]
    return table(header, rows)


def _megabytes(number):
    return f"{number / 1e6:.0f}"


TABLES = {"memory": of_memory}
