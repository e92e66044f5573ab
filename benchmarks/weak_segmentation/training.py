"""Networks that train on label maps, and what they find in other photos."""

import numpy as np

from benchmarks.common.counts import best
from benchmarks.common.counts import counts
from benchmarks.weak_segmentation import choosing
from benchmarks.weak_segmentation.networks import predicted
from benchmarks.weak_segmentation.networks import trained
from benchmarks.weak_segmentation.photos import FOLDS
from benchmarks.weak_segmentation.photos import SIDE
from keras_xmap import ops


def of_network(setting, loss, masks, arguments):
    """Trains a network for each fold, and judges it on the photos of it.

    Args:
        loss: One of `networks.KINDS`.
        masks: List of the label maps to train on, one array a fold.

    Returns:
        What `judged` returns.
    """

    def maps_of(fold):
        columns, rows = setting.columns(fold), setting.train(fold)
        network = trained(
            loss, columns, setting, rows, masks[fold], fold, arguments.epochs
        )
        return predicted(network, columns)

    return judged(setting, maps_of, arguments.every)


def judged(setting, maps_of, every):
    """Judges maps of all classes.

    Args:
        maps_of: Function of a fold that returns maps of the background and
            the classes, `(photos, rows, columns, 1 + classes)`, of a network
            that has not seen the photos of the fold.
        every: Integer n: every n-th photo of the other fold chooses the
            parameters of the CRF.

    Returns:
        Counts of each way to label, and the CRF's parameters for each fold.
        `"map"` and `"CRF"` give no pixel to a class that the photo is known
        not to hold; `"unknown"` are the network's labels as they are.
    """
    shape = len(setting.photos), 1 + setting.num_classes, 3
    ways = {way: np.zeros(shape, "int64") for way in ("map", "CRF", "unknown")}
    chosen = []
    for fold in range(FOLDS):
        maps = maps_of(fold)
        parameters = best(
            [*choosing.PARAMETERS],
            lambda row, name, maps=maps: _counts(
                setting, row, _refined(setting, row, maps[row], name)
            ),
            setting.train(fold)[::every],
        )
        chosen.append(parameters)
        for row in setting.held_out(fold):
            labels = {
                "map": _likeliest(setting, row, maps[row]),
                "CRF": _refined(setting, row, maps[row], parameters),
                "unknown": _resized(maps[row]).argmax(-1),
            }
            for way, one in labels.items():
                ways[way][row] = _counts(setting, row, one)
    return ways, chosen


def _counts(setting, row, labels):
    return counts(labels, setting.truth(row), setting.num_classes)


def _resized(maps):
    return np.asarray(ops.resize(maps[None], (SIDE, SIDE)))[0]


def _of_photo(setting, row, maps):
    """Returns the maps of the background and of the photo's classes."""
    return maps[..., np.concatenate([[0], setting.classes(row) + 1])]


def _likeliest(setting, row, maps):
    labels = np.concatenate([[0], setting.classes(row) + 1])
    return labels[_resized(_of_photo(setting, row, maps)).argmax(-1)]


def _refined(setting, row, maps, parameters):
    maps = np.moveaxis(_of_photo(setting, row, maps), -1, 0)
    return choosing.likeliest(setting, row, maps, parameters)
