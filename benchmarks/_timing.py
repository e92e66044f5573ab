"""Ratios of running times, measured side by side in one process.

The machine's speed drifts while a benchmark runs. So all contenders are
called in turn, in an order drawn anew for every round, and each round gives
one ratio to the floor of that round; the median over rounds is reported with
its quartiles.
"""

import json
import os
import platform
import random
import statistics
import time

import keras
import numpy as np
import tensorflow as tf


def ratios(contenders, floor, repeats=20, seed=0):
    """Times functions against one of them.

    Args:
        contenders: Dict from names to functions without arguments, which
            return only when their result is on the host.
        floor: Name of the function the others are compared with.
        repeats: Rounds; one more is run before, unmeasured.

    Returns:
        Dict from names to `{"ms", "ratio", "quartiles"}`, medians.
    """
    order = random.Random(seed)
    seconds = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        names = list(contenders)
        order.shuffle(names)
        for name in names:
            start = time.perf_counter()
            contenders[name]()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    report = {}
    for name, measured in seconds.items():
        against = [a / b for a, b in zip(measured, seconds[floor], strict=True)]
        low, middle, high = statistics.quantiles(against, n=4)
        report[name] = {
            "ms": round(1e3 * statistics.median(measured), 2),
            "ratio": round(middle, 3),
            "quartiles": [round(low, 3), round(high, 3)],
        }
    return report


def write(name, results):
    """Writes `results/NAME.json` beside the benchmarks."""
    folder = os.path.join(os.path.dirname(__file__), "results")
    os.makedirs(folder, exist_ok=True)
    content = {"environment": environment(), "results": results}
    with open(os.path.join(folder, f"{name}.json"), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def so_far(name):
    """Returns the results written before, so that parts can run alone."""
    folder = os.path.join(os.path.dirname(__file__), "results")
    path = os.path.join(folder, f"{name}.json")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return json.load(file)["results"]


class Results:
    """What a benchmark has measured, in parts that can be run alone.

    Args:
        name: String: the file is `results/NAME.json`.
        trial: Boolean: whether no file is read or written.
    """

    def __init__(self, name, trial=False):
        self.name = name
        self.trial = trial
        self.found = {} if trial else so_far(name)

    def of(self, part):
        """Returns a function that takes a title of a part, and its rows."""

        def save(title, rows):
            self.found.setdefault(part, {}).setdefault(title, {}).update(rows)
            if not self.trial:
                write(self.name, self.found)

        return save


def environment():
    devices = tf.config.list_physical_devices("GPU")
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "devices": [
            tf.config.experimental.get_device_details(d).get("device_name")
            for d in devices
        ]
        or ["CPU"],
    }


def table(report):
    """Formats a report of `ratios` as lines of text."""
    width = max(map(len, report))
    return "\n".join(
        f"{name:<{width}}  {row['ms']:>9.2f} ms  {row['ratio']:>7.3f}  "
        f"[{row['quartiles'][0]:.3f}, {row['quartiles'][1]:.3f}]"
        for name, row in report.items()
    )
