"""Rounds of erasing, as `callbacks.AdversarialErasing` makes them."""

import numpy as np

from benchmarks.common.labelled import SIZE
from benchmarks.erasing.photos import BATCH
from benchmarks.erasing.photos import linear_head
from benchmarks.erasing.photos import maps_of
from benchmarks.erasing.scores import above
from benchmarks.erasing.scores import show
from keras_xmap import layers

DRAWS = 5  # of each photo, where what is hidden is drawn
MINING = (0.2, 0.5)  # thresholds of erasing


class Round:
    """What a round of erasing has found.

    Attributes:
        maps: What `maps_of` returns.
        precision: Mean average precision on held-out photos, erased as
            those that were trained on are, and on whole ones.
    """

    def __init__(self, maps, precision, precision_whole):
        self.maps = maps
        self.precision = precision
        self.precision_whole = precision_whole


def erasing(photos, threshold, rounds, epochs, fill="mean", draw=None):
    """Runs rounds of erasing, without a rule to stop; yields `Round`s.

    Args:
        photos: `Photos`.
        threshold: Float, share of the maximum.
        rounds: Integer.
        epochs: Integer, of training in a round.
        fill: See `layers.EraseRegions`.
        draw: Function of masks of the photos to train on and a generator,
            that returns masks to train with instead. Defaults to `None`.
    """
    generator = np.random.default_rng(0)
    erased = np.zeros(photos.labelled.pixels.shape, "bool")
    whole = features = photos.features(photos.images)
    erase = eraser(fill, photos.images[photos.train])
    for number in range(rounds):
        if number:
            features = photos.features(in_batches(erase, photos.images, erased))
        drawn = features[None]
        if number and draw is not None:
            drawn = _drawn_features(photos, erase, erased, draw, generator)
        weights, bias = linear_head(photos, drawn, number, epochs)
        precisions = [
            photos.precision(x[photos.held_out].mean((1, 2)) @ weights + bias)
            for x in (features, whole)
        ]
        maps = maps_of(photos, features, weights)
        for row, of_photo in enumerate(maps):
            erased[row] |= above(of_photo, threshold).any(0)
        yield Round(maps, *precisions)


def _drawn_features(photos, erase, erased, draw, generator):
    masks = np.stack([erased] * DRAWS)
    for of_draw in masks:
        of_draw[photos.train] = draw(erased[photos.train], generator)
    return np.stack(
        [
            photos.features(in_batches(erase, photos.images, of_draw))
            for of_draw in masks
        ]
    )


def eraser(fill, images):
    mean = images.mean(axis=(0, 1, 2)).tolist()
    stddev = images.std(axis=(0, 1, 2)).tolist()
    return layers.EraseRegions(fill, mean, stddev, seed=0, dtype="float32")


def in_batches(function, images, *masks):
    """Returns images that a function makes of lists of images and masks."""
    result = np.empty_like(images)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        result[rows] = function([x[rows] for x in (images, *masks)])
    return result


def add_regions(regions, masks):
    """Gives pixels to the class that had them first, and the smaller region.

    Args:
        regions: `(classes, h, w)` of earlier rounds; changed.
        masks: The same of this round.
    """
    for number in np.argsort(masks.sum((1, 2)), kind="stable"):
        regions[number] |= masks[number] & ~regions.any(0)


def regions_by_round(photos, threshold, rounds):
    """Yields each of some `Round`s and the scores of the regions so far."""
    regions = np.zeros((*photos.labelled.target.shape, SIZE, SIZE), "bool")
    for found in rounds:
        for row in photos.train:
            maps = found.maps[row].astype("float32")
            add_regions(regions[row], above(maps, threshold))
        yield found, photos.of_regions(regions)


def report_of_rounds(photos, title, arguments, fill="mean", draw=None):
    """What rounds at the last threshold come to; see `erasing`."""
    rounds = erasing(
        *(photos, MINING[-1], arguments.rounds, arguments.head_epochs),
        fill,
        draw,
    )
    report = {}
    for number, (found, scores) in enumerate(
        regions_by_round(photos, MINING[-1], rounds), 1
    ):
        report[f"round {number}"] = {
            "held-out precision, erased": found.precision,
            "whole": found.precision_whole,
            **scores,
        }
        show(title, report[f"round {number}"])
    return report
