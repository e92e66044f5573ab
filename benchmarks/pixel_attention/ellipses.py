"""Pixel attention where the truth is known: errors and maps of ellipses."""

import itertools
import time

import keras
import numpy as np

from benchmarks.pixel_attention import two_fits
from benchmarks.pixel_attention.runs import saved
from benchmarks.pixel_attention.runs import train_networks

# What is changed of the example's training, one thing after the other.
RUNS = {
    "as the example": {},
    "no warm-up": {"warm_up": 0},
    "c = 10": {"area_weight": 10.0},
    "noise 0.5": {"noise": 0.5},
    "noise 0.5, no warm-up": {"noise": 0.5, "warm_up": 0},
    "noise 1.0, no warm-up, c = 10": {
        "noise": 1.0,
        "warm_up": 0,
        "area_weight": 10.0,
    },
}

COLLUDING = "noise 1.0, no warm-up, c = 10"


def runs_of(arguments, sets, seeds):
    """Yields a set, a seed, and data to train on and to test."""
    for clutter, seed in itertools.product(
        arguments.sets or sets, arguments.seeds or seeds
    ):
        keras.utils.set_random_seed(seed)
        data = two_fits.make_data(
            clutter, seed, arguments.images, arguments.encoding
        )
        yield clutter, seed, *data


def sets(folder, arguments, save):
    """The example on the three sets."""
    del folder
    epochs = arguments.epochs or two_fits.EPOCHS
    for clutter, seed, train, test in runs_of(
        arguments, two_fits.PUBLISHED, (0, 1, 2)
    ):
        start, cpu = time.perf_counter(), time.process_time()
        networks = train_networks(train, clutter, arguments, epochs, seed)
        row = {
            "epochs": epochs,
            "seconds": round(time.perf_counter() - start),
            "cpu seconds": round(time.process_time() - cpu),
            **two_fits.judge(train, test, *networks),
            "error published": two_fits.PUBLISHED[clutter],
        }
        title = f"{clutter}, seed {seed}"
        if epochs != two_fits.EPOCHS:
            title += f", {epochs} epochs"
        saved(save, title, row)


def alone(folder, arguments, save):
    """The predictor without a map, on as many images."""
    del folder
    epochs = (arguments.epochs or two_fits.EPOCHS) + arguments.warm_up
    for clutter, seed, train, test in runs_of(
        arguments, two_fits.PUBLISHED, (0,)
    ):
        predictor = two_fits.train_alone(train, epochs, seed, arguments.steps)
        errors = test.errors(predictor.predict(test.images, verbose=0))
        row = {"epochs": epochs, "error": float(errors.mean())}
        suffix = "" if arguments.encoding == "double" else ", raw angle"
        saved(save, f"{clutter}, seed {seed}{suffix}", row)


def noise(folder, arguments, save):
    """Strengths of the noise, judged on images left out of the training."""
    del folder
    epochs = arguments.epochs or 6
    for clutter, seed, data, _ in runs_of(
        arguments, ("circles", "objects"), (0, 1, 2)
    ):
        count = len(data.images) // 8
        held_out, train = (
            data._make(x[part] for x in data)
            for part in (slice(count), slice(count, None))
        )
        for strength in arguments.noises:
            keras.utils.set_random_seed(seed)
            networks = train_networks(
                *(train, clutter, arguments, epochs, seed),
                warm_up=min(8, arguments.warm_up),
                noise=strength,
            )
            maps = two_fits.make_maps(networks[1], held_out.images)
            row = {
                "epochs": epochs,
                **two_fits.judge(train, held_out, *networks),
                "error, clean where": errors_under_noise(
                    held_out, networks[0], maps
                ),
            }
            saved(save, f"{clutter}, seed {seed}, {strength}", row)


def errors_under_noise(data, predictor, maps, noise=0.5):
    """Errors where as many pixels stay clean as the mask of an image has.

    They are the brightest of the map, those of the mask, or any.
    """
    rng = np.random.default_rng(0)
    strength = noise * rng.normal(size=data.images.shape)
    counts = data.masks.sum(axis=(1, 2))[:, None]

    def highest(values):
        flat = values.reshape(len(values), -1)
        ranks = (-flat).argsort(axis=1).argsort(axis=1)
        return (ranks < counts).reshape(data.masks.shape)

    clean = {
        "map": highest(np.asarray(maps)),
        "mask": data.masks,
        "random": highest(rng.normal(size=data.masks.shape)),
    }
    return {
        name: float(
            data.errors(
                predictor.predict(
                    data.images + strength * ~keep[..., None], verbose=0
                )
            ).mean()
        )
        for name, keep in clean.items()
    }


def collusion(folder, arguments, save):
    """Trained as one should not, to see what gives a bad map away."""
    del folder
    epochs = arguments.epochs or 9
    for clutter, seed, train, test in runs_of(arguments, ("points",), (0,)):
        for run in arguments.runs:
            keras.utils.set_random_seed(seed)
            networks = train_networks(
                *(train, clutter, arguments, epochs, seed), **RUNS[run]
            )
            row = {"epochs": epochs, **two_fits.judge(train, test, *networks)}
            saved(save, f"{clutter}, seed {seed}, {run}", row)
