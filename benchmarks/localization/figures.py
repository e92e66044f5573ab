"""Which of the rows of a run are kept: those that the documentation quotes."""

from benchmarks.common.layer_names import LAYERS

QUOTED_RULES = ("last", "before the last mixing", "2 coarsest", "but the last")
OF_METHODS = ("n", "pointing", "energy", "iou", "box", "refused", "left out")
NOT_IN_CENTRE = ("centre not in mask", "centre not in box")


def of_layers(title, rows):
    """Pointing alone; of rules, those that were compared in the text."""
    if title == "choice":
        return rows
    kept = {}
    for name, row in rows.items():
        if title.endswith("rules") and name != "rows":
            if not any(quoted in name for quoted in QUOTED_RULES):
                continue
            kept[name] = _some(row, ("n", "pointing", "pointing gain"))
        elif name == "rows":
            kept[name] = row
        elif "PlusPlus" not in name and "HiRes" not in name:
            kept[name] = _some(row, ("n", "pointing"))
    return kept


def of_variants(title, rows):
    """The last layer alone."""
    last = f"{LAYERS[title][0]}:"
    return {
        name: _some(row, ("n", "pointing", "pointing gain"))
        for name, row in rows.items()
        if name.startswith(last)
    }


def of_laying(title, rows):
    """Pointing alone."""
    kept = ("layers", "n", "pointing", "pointing gain")
    return {name: _some(row, kept) for name, row in rows.items()}


def of_methods(title, rows):
    """Of the subsets, pointing where the centre is not on the object."""
    kept = {}
    for name, row in rows.items():
        kept[name] = _some(row, OF_METHODS)
        for subset in NOT_IN_CENTRE:
            if row.get(subset):
                kept[name][subset] = row[subset]["pointing"]
    return kept


def _some(row, names):
    return {name: row[name] for name in names if name in row}


KEEP = {
    "layers": of_layers,
    "variants": of_variants,
    "laying": of_laying,
    "methods": of_methods,
}
