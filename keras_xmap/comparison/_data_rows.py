"""The rows of a report over a data set: classes, groups, the worst images."""

import numpy as np

from keras_xmap.comparison import _places_of_maps as places
from keras_xmap.comparison._map_clusters import FEWEST
from keras_xmap.comparison._map_clusters import clusters_of
from keras_xmap.comparison._reading import OF_NO_CLASS

_OF_95 = 1.959964  # standard errors


def check_class_names(names):
    """Raises unless these are strings; an empty one is of no name."""
    if names is None:
        return
    is_list = isinstance(names, (list, tuple))
    if not is_list or not all(isinstance(name, str) for name in names):
        raise TypeError(
            "`class_names` must be a list of strings, one for each class. "
            f"Received: class_names={names!r}."
        )


class Names:
    """Classes that are there, and what they are called.

    Args:
        class_names: List of strings, or `None`.
        classes: Array, the class of each image.
        target: `Target`: what is asked for where it is of no class.

    Attributes:
        present: List of the classes that are there.
    """

    def __init__(self, class_names, classes, target):
        self._names, self._target = class_names, target
        self.present = np.unique(classes).tolist()
        if class_names is not None and self.present[-1] >= len(class_names):
            raise ValueError(
                "`class_names` must have a name for each class. Received: "
                f"{len(class_names)} names and class {self.present[-1]}."
            )

    def of(self, k):
        if k == OF_NO_CLASS:
            return repr(self._target)
        return str(k) if self._names is None else self._names[k] or str(k)


def class_row(k, found, places_known, names):
    """Returns the row of one class, see `DataReport.classes`.

    Args:
        k: Integer, the class.
        found: `DataReport.images`.
        places_known: `DataReport.places`.
        names: `Names`.
    """
    of_class = {name: x[found["class"] == k] for name, x in found.items()}
    row = {"class": k, "name": names.of(k), "images": len(of_class["class"])}
    for name in places_known:
        shares = of_class[name][~of_class["empty"]]
        row[name], row[f"{name}_95"] = _mean_and_interval(shares)
        row[f"{name}_area"] = float(of_class[f"{name}_area"].mean())
        dominated = of_class[f"{name}_dominates"]
        row[f"{name}_dominated"] = float(dominated.mean())
    for name in ("empty", "flat"):
        row[name] = float(of_class[name].mean())
    return row


def worst_of(found, number):
    """Returns the numbers of the worst images, see `DataReport.worst`."""
    return np.lexsort((-found["excess"], ~found["empty"]))[:number]


def _mean_and_interval(shares):
    if not len(shares):
        return None, None
    mean = float(shares.mean())
    if len(shares) == 1:
        return mean, None
    error = _OF_95 * float(shares.std(ddof=1)) / np.sqrt(len(shares))
    return mean, (max(0.0, mean - error), min(1.0, mean + error))


def cluster_rows(found, grids, places_known, names, seed):
    """Returns the groups of all classes, see `DataReport.clusters`.

    Args:
        found: `DataReport.images`.
        grids: Array of the maps of all images on a coarse grid.
        places_known: `DataReport.places`.
        names: `Names`.
        seed: Integer.
    """
    rows = []
    for k in names.present:
        images = np.flatnonzero((found["class"] == k) & ~found["empty"])
        if len(images) < FEWEST:
            continue
        for cluster in clusters_of(k, images, grids[images], seed):
            rows.append(
                {
                    "class": k,
                    "name": names.of(k),
                    "images": cluster.images,
                    "share": len(cluster.images) / len(images),
                    "alikeness": cluster.alikeness,
                    "mean_map": cluster.mean_map,
                    "suspect": _suspect(cluster.images, found, places_known),
                }
            )
    return sorted(rows, key=lambda x: (not x["suspect"], -len(x["images"])))


def _suspect(images, found, names):
    """Returns the places that dominate the maps of a group on the whole."""
    return [
        name
        for name in names
        if places.is_dominated(
            found[name][images].mean(), found[f"{name}_area"][images].mean()
        )
    ]
