"""The tables of pixel attention."""

import statistics
from functools import partial

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table

UNITS = {"circles": "deg", "points": "px", "objects": "px"}
SEEDS = (0, 1, 2)
TRIALS = (
    ("circles", 0.5, SEEDS, "three seeds"),
    ("circles", 0.04, SEEDS, "three seeds"),
    ("objects", 0.5, (0,), "one seed"),
    ("objects", 0.04, (0,), "one seed"),
)
MAPS = {
    "AUC of the map against the mask, mean of eight views": ("auc", 3),
    "IoU with the mask, mean of eight views": ("iou", 2),
    "AUC, one view": ("auc, one view", 3),
    "IoU, one view": ("iou, one view", 2),
}


def of_sets(figures):
    def rows_of(clutter):
        return [figures["sets"][f"{clutter}, seed {seed}"] for seed in SEEDS]

    def alone(clutter):
        row = figures["alone"][f"{clutter}, seed 0"]
        return f"{row['error']:.2f} {UNITS[clutter]}"

    def error(clutter):
        values = [row["error"] for row in rows_of(clutter)]
        mean = statistics.fmean(values)
        spread = f"({min(values):.2f} to {max(values):.2f})"
        return f"{mean:.2f} {UNITS[clutter]} {spread}"

    def published(clutter):
        number = rows_of(clutter)[0]["error published"]
        return f"{number:g} {UNITS[clutter]}"

    def of_map(clutter, key, digits):
        values = [row[key] for row in rows_of(clutter)]
        texts = [share(f(values), digits) for f in (statistics.fmean, min, max)]
        return f"{texts[0]} ({texts[1]} to {texts[2]})"

    def highest(clutter, key):
        return share(max(x["collusion"][key] for x in rows_of(clutter)), 2)

    rows = [
        ["error with the map", *map(error, UNITS)],
        [
            "error of the predictor alone, 48 epochs, seed 0",
            *map(alone, UNITS),
        ],
        ["error in the source, on its own images", *map(published, UNITS)],
    ]
    for label, (key, digits) in MAPS.items():
        rows.append([label, *(of_map(x, key, digits) for x in UNITS)])
    for key in ("pattern", "donor"):
        label = f"`collusion`: `{key}`, the highest"
        rows.append([label, *(highest(x, key) for x in UNITS)])
    return table(["", *UNITS], rows)


def of_noise(figures):
    rows = []
    for clutter, noise, seeds, text in TRIALS:
        found = [
            figures["noise"][f"{clutter}, seed {seed}, {noise}"]
            for seed in seeds
        ]
        auc, iou, error = (
            statistics.fmean(row[key] for row in found)
            for key in ("auc", "iou", "error")
        )
        cells = [share(auc), share(iou, 2), f"{error:.2f} {UNITS[clutter]}"]
        rows.append([f"{clutter}, noise {noise}, {text}", *cells])
    return table(["", "AUC", "IoU", "error"], rows)


def of_cuts(figures, of_source):
    """A row a map, a column a run: the IoU at the cut, and its interval."""
    runs = _runs(figures, of_source)
    rows = []
    for name in next(iter(runs.values()))["maps"]:
        cells = [_iou_and_auc(run["maps"][name]) for run in runs.values()]
        rows.append([name, *cells])
    taught = figures["taught"]
    sets = [title.partition(", noise")[0] for title in runs]
    if taught.keys() & set(sets):
        cells = [_iou_and_auc(taught[x]) if x in taught else "" for x in sets]
        rows.append(["the same network, taught the true masks", *cells])
    return table(["IoU at the cut, AUC", *_titles(runs)], rows)


def _iou_and_auc(found):
    iou, low, high = (share(found[x], 2) for x in ("iou", "low", "high"))
    return f"{iou} [{low}, {high}], {share(found['auc'])}"


def of_clean_pixels(figures, of_source):
    """A row a map: the error where only what it names is clean."""
    runs = _runs(figures, of_source)
    names = next(iter(runs.values()))["error, clean where"]
    rows = [["no noise at all", *(f"{x['error']:.1f}" for x in runs.values())]]
    for name in names:
        cells = (x["error, clean where"][name] for x in runs.values())
        rows.append([name, *(f"{error:.1f}" for error in cells)])
    return table(["error, clean only where named", *_titles(runs)], rows)


def _runs(figures, of_source):
    """Those of the source's sets, or of those of textures."""
    return {
        title: run
        for title, run in figures["cuts"].items()
        if (title.partition(",")[0] in UNITS) == of_source
    }


def _titles(runs):
    return [f"{title}, n = {run['n']}" for title, run in runs.items()]


def of_photos(figures):
    found = figures["photos"]["seed 0"]
    labels = {
        "constant": ("a constant answer, error in percent of the crop's side"),
        "alone": "the predictor before the map",
        "with map": "the predictor after the map",
    }
    rows = [
        [label, *(f"{found[key][x]:.1f}" for x in ("centre", "size"))]
        for key, label in labels.items()
    ]
    explained = (found["with map"][x] for x in ("r2 centre", "r2 size"))
    rows.append(
        ["variance explained after the map", *(share(x, 2) for x in explained)]
    )
    return table(["", "centre", "size"], rows)


def of_photo_maps(figures):
    found = figures["photos"]["seed 0"]
    labels = {
        "pixel attention": "pixel attention",
        "Grad-CAM, mean of the four answers": (
            "Grad-CAM of the same predictor, mean of its four answers"
        ),
        "a blob in the middle": "a blob in the middle",
        "flat": "flat, or random pixels",
    }
    columns = ("energy in the boxes", "r2 with 30 % clean")
    rows = [
        [label, *(share(found[x][key]) for x in columns)]
        for key, label in labels.items()
    ]
    header = [
        "",
        "share of the map in the box",
        "variance of the centre explained",
    ]
    return table(header, rows)


TABLES = {
    "pixel-attention-cuts": partial(of_cuts, of_source=True),
    "pixel-attention-clean-pixels": partial(of_clean_pixels, of_source=True),
    "pixel-attention-texture-cuts": partial(of_cuts, of_source=False),
    "pixel-attention-texture-clean-pixels": partial(
        of_clean_pixels, of_source=False
    ),
    "pixel-attention": of_sets,
    "pixel-attention-noise": of_noise,
    "pixel-attention-photos": of_photos,
    "pixel-attention-photo-maps": of_photo_maps,
}
