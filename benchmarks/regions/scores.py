"""Accuracy by the size of regions, and gains with their intervals."""

import dataclasses

import numpy as np

from benchmarks.common.intervals import drawn_photos
from benchmarks.common.intervals import interval

ALL = "all"


@dataclasses.dataclass
class Tested:
    """Regions of which it is asked what they are.

    Args:
        labels: `(n,)`, their classes.
        areas: `(n,)`, in pixels.
        photos: `(n,)`, the name or number of the photo that each is in.
        sizes: Dictionary from the names of sizes to the areas they begin at,
            the smallest first.
    """

    labels: np.ndarray
    areas: np.ndarray
    photos: np.ndarray
    sizes: dict

    def counts(self):
        """Returns how many there are of each size."""
        rows = self._rows()
        return {name: int(rows[name].sum()) for name in self.sizes}

    def weights(self, drawn):
        """Returns a dictionary from columns to weights `(draws, n)`.

        A region counts by how often it is drawn, and so that the classes
        count alike; one of a size as much as among all.

        Args:
            drawn: `(draws, n)`, how often each region is.
        """
        of_class = self.labels[:, None] == np.unique(self.labels)
        totals = (drawn @ of_class) @ of_class.T
        weights = drawn / np.maximum(totals, 1)
        return {name: weights * rows for name, rows in self._rows().items()}

    def _rows(self):
        edges = np.array([*self.sizes.values(), np.inf])
        number = np.searchsorted(edges, self.areas, side="right") - 1
        of_size = {name: number == k for k, name in enumerate(self.sizes)}
        return {ALL: np.ones(len(self.labels), bool), **of_size}


def report(correct, tested, floor, num_draws=2000):
    """Returns accuracies of variants, and their gains over the floor.

    Args:
        correct: Dictionary from variants to lists over seeds of `(n,)`.
        tested: `Tested`.
        floor: The variant that the others are compared with.
        num_draws: Integer: of photos, with replacement.

    Returns:
        Two dictionaries from variants to those of columns: `mean`, `seeds`
        and `interval`; and the gain with its interval, paired by region.
    """
    whole = tested.weights(np.ones((1, len(tested.labels)), int))
    drawn = tested.weights(drawn_photos(tested.photos, num_draws))
    accuracy, gain = {}, {}
    for variant, of_seeds in correct.items():
        own, base = np.mean(of_seeds, 0), np.mean(correct[floor], 0)
        accuracy[variant], gain[variant] = {}, {}
        for name, weights in drawn.items():
            seeds = [_averages(row, whole[name])[0] for row in of_seeds]
            _, low, high = _interval(own, whole[name], weights)
            accuracy[variant][name] = {
                "mean": round(float(np.mean(seeds)), 3),
                "seeds": [round(float(x), 3) for x in seeds],
                "interval": [low, high],
            }
            gain[variant][name] = _interval(own - base, whole[name], weights)
    return accuracy, gain


def _interval(values, whole, weights):
    return interval(_averages(values, whole)[0], _averages(values, weights))


def _averages(values, weights):
    # A draw of photos may have no region of a size.
    totals = weights.sum(1)
    return weights @ values / np.where(totals > 0, totals, np.nan)
