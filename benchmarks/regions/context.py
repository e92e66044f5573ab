"""Regions that only their surroundings tell, on generated scenes."""

import functools

import keras

from benchmarks.common.kept import kept
from benchmarks.regions import scenes
from benchmarks.regions.scores import ALL
from benchmarks.regions.scores import report

GAINS = (1, 10, 100, 1000)
RATES = {"1e-4": 1e-4, "1e-3": 1e-3, "1e-2": 1e-2}


def context(folder, arguments, save):
    """The variants, all trained by `compile("adam")` from one backbone."""
    del folder
    variants = {
        name: lambda name=name: scenes.VARIANTS[name]
        for name in arguments.scene_variants
    }
    _compare("scenes", variants, scenes.FLOOR, arguments, save)


def rates(folder, arguments, save):
    """Attention behind the first layer, by its gain and the learning rate."""
    del folder
    variants = {
        f"{rate}, gain {gain}": lambda rate=rate, gain=gain: {
            "optimizer": keras.optimizers.Adam(RATES[rate]),
            "gain": gain,
            **scenes.VARIANTS[scenes.FLOOR],
        }
        for rate in RATES
        for gain in arguments.gains
    }
    _compare("rates", variants, next(iter(variants)), arguments, save)


def _compare(title, variants, floor, arguments, save):
    """Trains variants with all seeds, and keeps accuracies and gains."""
    epochs = arguments.scene_epochs
    size = arguments.scenes, epochs
    train, test = scenes.drawn(arguments.scenes, arguments.test_scenes)
    correct = {}
    for seed in range(arguments.seeds):
        backbone = functools.cache(
            functools.partial(scenes.trained_backbone, train, seed, epochs)
        )
        for name, options in variants.items():

            def answers(seed=seed, backbone=backbone, options=options):
                told = scenes.right(
                    *(backbone(), train, test, seed, epochs), **options()
                )
                return {"right": told}

            case = ("regions", title, name, seed, *size)
            told = kept(case, answers, arguments)["right"]
            correct.setdefault(name, []).append(told)
            print(f"  {seed} {name}: {told.mean():.3f}", flush=True)
    tested = scenes.tested(test)
    accuracy, gain = report(correct, tested, floor, arguments.draws)
    for name, row in accuracy.items():
        print(f"  {name}: {row[ALL]}")
    about = {
        "regions": [len(train.labels), len(tested.labels)],
        "tested by size": tested.counts(),
        "seeds": arguments.seeds,
    }
    save(title, about)
    save(f"{title}, accuracy", accuracy)
    save(f"{title}, gain", gain)
