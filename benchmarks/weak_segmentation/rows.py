"""The rows of the tables: what each method's label maps are worth."""

import functools
import time

import numpy as np

from benchmarks.common.counts import gain
from benchmarks.common.counts import with_interval
from benchmarks.common.labelled import Labelled
from benchmarks.weak_segmentation import reference
from benchmarks.weak_segmentation.choosing import Found
from benchmarks.weak_segmentation.maps import METHODS
from benchmarks.weak_segmentation.photos import FOLDS
from benchmarks.weak_segmentation.photos import Setting
from benchmarks.weak_segmentation.training import judged
from benchmarks.weak_segmentation.training import of_network

NETWORKS = ("mobilenet_v2", "squeezenet_v1_1")
BASELINE = "CAM"  # that others are above
SUPERVISED = "true masks"


def photos(folder, arguments, save):
    """Saves a row of each method, and one of each network, as it is done."""
    for dataset in arguments.sets:
        labelled = Labelled(folder, dataset)
        known = functools.cache(
            functools.partial(reference.maps_of, folder, labelled)
        )
        for network in arguments.networks:
            title = f"{dataset}, {network}"
            setting = Setting(folder, labelled, network, arguments.head_epochs)
            number, several = len(setting.photos), setting.num_classes
            print(f" {title}: {number} photos, {several} classes", flush=True)
            rows = Rows(title, save)
            rows.note("mean average precision", setting.precision)
            _of_method(BASELINE, setting, arguments, rows)
            if arguments.trained:
                _of_truth(setting, arguments, rows)
            if arguments.trained and dataset == reference.DATASET:
                _of_reference(known(), setting, arguments, rows)
            for name in arguments.methods:
                if name != BASELINE:
                    _of_method(name, setting, arguments, rows)


class Rows:
    """Saves rows, beside the one that the others are compared with."""

    def __init__(self, title, save):
        self._title, self._save, self._baseline = title, save, None

    def add(self, name, counts, others):
        """Saves figures of counts of each way, and others as they are."""
        if self._baseline is None:
            self._baseline = counts
        figures = {way: with_interval(one) for way, one in counts.items()}
        for way in ("map", "CRF"):
            above = gain(counts[way], self._baseline[way])
            figures[f"{way} above {BASELINE}"] = above
        self.note(name, {**figures, **others})

    def note(self, name, figures):
        print(f"  {name}: {figures}", flush=True)
        self._save(self._title, {name: figures})


def _of_method(name, setting, arguments, rows):
    start = time.process_time()
    of_fold, found, masks = METHODS[name](setting), {}, {}
    for fold in range(FOLDS):
        for row, maps in of_fold(fold).items():
            if row not in found:
                found[row] = Found(
                    setting, arguments.crf_thresholds, arguments.every
                )
            found[row].add(fold, maps)
        if name in arguments.trained:  # of several rounds, on the last
            masks[fold] = found[row].agreed(fold, maps)
    seconds = (time.process_time() - start) / len(setting.photos)
    for row, one in found.items():
        others = {"options": one.options, "seconds": round(seconds, 2)}
        rows.add(row, one.counts, others)
    if name in arguments.trained:
        masks = [masks[fold] for fold in range(FOLDS)]
        _of_networks(name, arguments.losses, setting, masks, arguments, rows)


def _of_truth(setting, arguments, rows):
    """What the same network comes to on true masks."""
    truth = [setting.truth(row) for row in range(len(setting.photos))]
    truth = np.stack(truth).astype("uint8")
    masks = [truth[setting.train(fold)] for fold in range(FOLDS)]
    _of_networks(SUPERVISED, ["plain"], setting, masks, arguments, rows)


def _of_reference(maps, setting, arguments, rows):
    """A network that was trained on the masks of many other photos."""
    counts, parameters = judged(setting, lambda fold: maps, arguments.every)
    rows.add("DeepLab, plain", counts, {"options": parameters})


def _of_networks(name, losses, setting, masks, arguments, rows):
    for loss in losses:
        start = time.process_time()
        counts, parameters = of_network(setting, loss, masks, arguments)
        seconds = (time.process_time() - start) / len(setting.photos)
        others = {"options": parameters, "seconds": round(seconds, 2)}
        rows.add(f"{name}, {loss}", counts, others)
