"""The tables of regions."""

from benchmarks.common.markdown import gain
from benchmarks.common.markdown import share
from benchmarks.common.markdown import table
from benchmarks.regions.training import FLOOR
from benchmarks.regions.training import VARIANTS

SMALL = "small, < 1000 px"
COLUMNS = {
    "all": "all",
    "< 1,000 px": SMALL,
    "1,000 to 4,000 px": "1000 to 4000 px",
    "> 4,000 px": "> 4000 px",
}


def of_set(name):
    def make(figures):
        figures = figures["variants"]
        accuracy, gains = (
            figures[f"{name}, {x}"] for x in ("accuracy", "gain")
        )
        tested = figures[name]["tested by size"]
        counts = [figures[name]["regions"][1], *tested.values()]
        best = {
            key: max(row[key]["mean"] for row in accuracy.values())
            for key in COLUMNS.values()
        }
        rows = [["regions tested", *counts, "", ""]]
        for variant in VARIANTS:
            cells = []
            for key in COLUMNS.values():
                value = accuracy[variant][key]["mean"]
                text = share(value)
                cells.append(f"**{text}**" if value == best[key] else text)
            found = gains[variant]
            cells += (
                ["", ""]
                if variant == FLOOR
                else [gain(found["all"]), gain(found[SMALL])]
            )
            rows.append([variant, *cells])
        header = ["", *COLUMNS, "gain, all", "gain, < 1,000 px"]
        return table(header, rows)

    return make


TABLES = {"regions-msrc": of_set("msrc"), "regions-coco": of_set("coco_seg")}
