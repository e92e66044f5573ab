"""The tables of regions."""

from benchmarks.common.markdown import gain
from benchmarks.common.markdown import share
from benchmarks.common.markdown import table
from benchmarks.regions import scenes
from benchmarks.regions import textures
from benchmarks.regions import training
from benchmarks.regions.context import RATES
from benchmarks.regions.scores import ALL


def of_variants(part, title, floor):
    """Returns what makes the table of the variants of one set of regions."""

    def make(figures):
        figures = figures[part]
        accuracy, gains = (
            figures[f"{title}, {x}"] for x in ("accuracy", "gain")
        )
        tested = figures[title]["tested by size"]
        counts = [figures[title]["regions"][1], *tested.values()]
        small, *_ = tested
        best = {
            key: max(row[key]["mean"] for row in accuracy.values())
            for key in (ALL, *tested)
        }
        rows = [["regions tested", *counts, "", ""]]
        for variant, row in accuracy.items():
            cells = []
            for key in (ALL, *tested):
                text = share(row[key]["mean"])
                best_one = row[key]["mean"] == best[key]
                cells.append(f"**{text}**" if best_one else text)
            found = gains[variant]
            of_floor = variant == floor
            cells += ["" if of_floor else gain(found[x]) for x in (ALL, small)]
            rows.append([variant, *cells])
        header = ["", ALL, *map(_size, tested)]
        header += ["gain, all", f"gain, {_size(small)}"]
        return table(header, rows)

    return make


def _size(name):
    """`small, < 1000 px` is `< 1,000 px`."""
    words = name.removeprefix("small, ").split()
    return " ".join(f"{int(w):,}" if w.isdigit() else w for w in words)


def rates(figures):
    """Accuracy by the learning rate and the gain, with its interval."""
    accuracy = figures["rates"]["rates, accuracy"]
    gains = {name.rpartition(" ")[2]: None for name in accuracy}
    rows = []
    for rate in RATES:
        cells = []
        for gain_of in gains:
            row = accuracy[f"{rate}, gain {gain_of}"][ALL]
            low, high = map(share, row["interval"])
            cells.append(f"{share(row['mean'])} [{low}, {high}]")
        rows.append([f"`Adam({rate})`", *cells])
    return table(["", *(f"`gain={x}`" for x in gains)], rows)


TABLES = {
    "regions-context": of_variants("context", "scenes", scenes.FLOOR),
    "regions-rates": rates,
    "regions-textures": of_variants("textures", "textures", textures.FLOOR),
    "regions-msrc": of_variants("variants", "msrc", training.FLOOR),
    "regions-coco": of_variants("variants", "coco_seg", training.FLOOR),
    "regions-tiny": of_variants("variants", "tiny_imagenet", training.FLOOR),
}
