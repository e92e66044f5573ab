"""Regions that only their surroundings tell, on generated scenes."""

import time

import keras

from benchmarks.regions import scenes
from benchmarks.regions.scores import ALL
from benchmarks.regions.scores import report

GAINS = (1, 10, 100, 1000)
# Of Adam, but for the last.
RATES = {"1e-4": 1e-4, "1e-3": 1e-3, "1e-2": 1e-2}
SGD = "SGD, 1e-2"


def context(folder, arguments, save):
    """The variants, all trained by `compile("adam")` from one backbone."""
    del folder
    train, test = scenes.drawn(arguments.scenes, arguments.test_scenes)
    tested = scenes.tested(test)
    correct = {}
    for seed in range(arguments.seeds):
        backbone = _backbone(train, seed, arguments)
        for variant in arguments.scene_variants:
            start = time.perf_counter()
            told = scenes.right(
                *(backbone, train, test, seed, arguments.scene_epochs),
                **scenes.VARIANTS[variant],
            )
            correct.setdefault(variant, []).append(told)
            took = time.perf_counter() - start
            print(f"  {seed} {variant}: {told.mean():.3f} {took:.0f} s")
    _save(save, "scenes", train, tested, correct, scenes.FLOOR, arguments)


def rates(folder, arguments, save):
    """Attention behind the first layer, by its gain and the learning rate."""
    del folder
    train, test = scenes.drawn(arguments.scenes, arguments.test_scenes)
    correct = {}
    for seed in range(arguments.seeds):
        backbone = _backbone(train, seed, arguments)
        for rate in [*RATES, SGD]:
            for gain in arguments.gains:
                told = scenes.right(
                    *(backbone, train, test, seed, arguments.scene_epochs),
                    optimizer=_optimizer(rate),
                    gain=gain,
                    **scenes.VARIANTS[scenes.FLOOR],
                )
                correct.setdefault(f"{rate}, gain {gain}", []).append(told)
                print(f"  {seed} {rate}, gain {gain}: {told.mean():.3f}")
    floor = next(iter(correct))
    tested = scenes.tested(test)
    _save(save, "rates", train, tested, correct, floor, arguments)


def _backbone(train, seed, arguments):
    return scenes.trained_backbone(train, seed, arguments.scene_epochs)


def _optimizer(rate):
    if rate == SGD:
        return keras.optimizers.SGD(1e-2, momentum=0.9)
    return keras.optimizers.Adam(RATES[rate])


def _save(save, title, train, tested, correct, floor, arguments):
    about = {
        "regions": [len(train.labels), len(tested.labels)],
        "tested by size": tested.counts(),
        "seeds": len(correct[floor]),
    }
    accuracy, gain = report(correct, tested, floor, arguments.draws)
    for variant, row in accuracy.items():
        print(f"  {variant}: {row[ALL]}")
    save(title, about)
    save(f"{title}, accuracy", accuracy)
    save(f"{title}, gain", gain)
