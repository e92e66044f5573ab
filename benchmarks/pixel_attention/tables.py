"""The tables of pixel attention."""

import re
import statistics
from functools import partial

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table

# `Collusion.clean` from which a predictor has learned, as `collusion` has it.
LEARNED = 0.1
UNITS = {"circles": "deg", "points": "px", "objects": "px"}
SEEDS = (0, 1, 2)
TRIALS = (
    ("circles", 0.5, SEEDS),
    ("circles", 0.04, SEEDS),
    ("objects", 0.5, (0,)),
    ("objects", 0.04, (0,)),
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
    for clutter, noise, seeds in TRIALS:
        found = [
            figures["noise"][f"{clutter}, seed {seed}, {noise}"]
            for seed in seeds
        ]
        auc, iou, error = (
            statistics.fmean(row[key] for row in found)
            for key in ("auc", "iou", "error")
        )
        cells = [share(auc), share(iou, 2), f"{error:.2f} {UNITS[clutter]}"]
        title = f"{clutter}, noise {noise}, {_seeds(len(seeds))}"
        rows.append([title, *cells])
    return table(["", "AUC", "IoU", "error"], rows)


def _seeds(tried, used=None):
    """How many were tried, and first of how many the figures are, if fewer."""
    words = {1: "one", 2: "two", 3: "three"}
    text = words.get(tried, str(tried)) + (" seeds" if tried > 1 else " seed")
    if used in (None, tried):
        return text
    return f"{words.get(used, str(used))} of {text}"


def of_cuts(figures, of_source):
    """A row a map, a column a kind of run: the IoU at the cut, and the AUC."""
    kinds = _kinds(figures, of_source)
    strengths = (f"{_mean(runs, 'noise'):.2f}" for runs in kinds.values())
    rows = [["the noise while training", *strengths]]
    for name in next(iter(kinds.values()))[0]["maps"]:
        cells = (
            _iou_and_auc([run["maps"][name] for run in runs])
            for runs in kinds.values()
        )
        rows.append([name, *cells])
    taught = figures["taught"]
    sets = [title.partition(", noise")[0] + ", seed 0" for title in kinds]
    if taught.keys() & set(sets):
        cells = [_iou_and_auc([taught[x]]) if x in taught else "" for x in sets]
        rows.append(["the same network, taught the true masks", *cells])
    return table(["IoU at the cut, AUC", *kinds], rows)


def _iou_and_auc(found):
    """With the interval over images of one run, or the range of several."""
    iou, auc = (_mean(found, key) for key in ("iou", "auc"))
    if len(found) == 1:
        ends = "[{}, {}]"
        low, high = found[0]["low"], found[0]["high"]
    else:
        ends = "({} to {})"
        low, high = (f(x["iou"] for x in found) for f in (min, max))
    ends = ends.format(share(low, 2), share(high, 2))
    return f"{share(iou, 2)} {ends}, {share(auc)}"


def _mean(rows, key):
    return statistics.fmean(row[key] for row in rows)


def of_clean_pixels(figures, of_source):
    """A row a map: the error where only what it names is clean."""
    return _errors(_kinds(figures, of_source), "error, clean where")


def of_bearable_noise(figures):
    """The same with the noise that the predictor of a run can bear."""
    key = "error, bearable noise, clean where"
    measured = {t: run for t, run in figures["cuts"].items() if key in run}
    kinds = _by_kind(measured)
    strengths = [f"{_mean(x, 'bearable noise'):.2f}" for x in kinds.values()]
    return _errors(kinds, key, ["the noise", *strengths])


def _errors(kinds, key, *rows):
    rows = list(rows)
    errors = (_mean(runs, "error") for runs in kinds.values())
    rows.append(["no noise at all", *(f"{x:.1f}" for x in errors)])
    for name in next(iter(kinds.values()))[0][key]:
        errors = (
            _mean([run[key] for run in runs], name) for runs in kinds.values()
        )
        rows.append([name, *(f"{x:.1f}" for x in errors)])
    return table(["error, clean only where named", *kinds], rows)


def _kinds(figures, of_source):
    """Runs of the source's sets, or of those of textures."""
    return _by_kind(
        {
            title: run
            for title, run in figures["cuts"].items()
            if (title.partition(",")[0] in UNITS) == of_source
        }
    )


def _by_kind(runs):
    """Lists of runs by their title, with the number of seeds for the seed.

    Those whose predictor has not learned are left out, unless none has.
    """
    kinds = {}
    for title, run in runs.items():
        kinds.setdefault(re.sub(r", seed \d+", "", title), []).append(run)
    found = {}
    for title, tried in kinds.items():
        learned = [x for x in tried if x["collusion"]["clean"] >= LEARNED]
        learned = learned or tried
        seeds = _seeds(len(tried), len(learned))
        found[f"{title}, {seeds}, n = {tried[0]['n']}"] = learned
    return found


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
    "pixel-attention-bearable-noise": of_bearable_noise,
    "pixel-attention": of_sets,
    "pixel-attention-noise": of_noise,
    "pixel-attention-photos": of_photos,
    "pixel-attention-photo-maps": of_photo_maps,
}
