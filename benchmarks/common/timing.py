"""Running times, measured side by side in one process.

The machine's speed drifts while a benchmark runs. So all contenders are
called in turn, in an order drawn anew for every round, and each round gives
one ratio to the floor of that round; the median over rounds is reported with
its quartiles.
"""

import random
import statistics
import time


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
        middle, quartiles = median_and_quartiles(against)
        report[name] = {
            "ms": round(1e3 * statistics.median(measured), 2),
            "ratio": round(middle, 3),
            "quartiles": [round(x, 3) for x in quartiles],
        }
    return report


def median_and_quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, [low, high]


def alone(function, repeats):
    """Times one function: the summary of so many calls after the first."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return summary(seconds[1:])


def summary(seconds):
    middle, quartiles = median_and_quartiles(seconds)
    return {
        "ms": round(1e3 * middle, 1),
        "quartiles": [round(1e3 * x, 1) for x in quartiles],
        "fastest": round(1e3 * min(seconds), 1),
    }


def table(report):
    """Formats a report of `ratios` as lines of text."""
    width = max(map(len, report))
    return "\n".join(
        f"{name:<{width}}  {row['ms']:>9.2f} ms  {row['ratio']:>7.3f}  "
        f"[{row['quartiles'][0]:.3f}, {row['quartiles'][1]:.3f}]"
        for name, row in report.items()
    )
