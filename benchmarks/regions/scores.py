"""Accuracy by the size of regions, and gains with their intervals."""

import numpy as np

from benchmarks.regions.training import FLOOR

# Behind these, in pixels of photos of about 384 x 288.
SIZES = {"small, < 1000 px": 0, "1000 to 4000 px": 1000, "> 4000 px": 4000}


def scores(correct, test):
    """Accuracy as the mean over classes: of all regions, and by size."""
    count = np.bincount(test.labels)[test.labels]
    weight = 1 / count
    report = {"all": float(np.average(correct, weights=weight))}
    edges = [*SIZES.values(), np.inf]
    for name, low, high in zip(SIZES, edges, edges[1:], strict=False):
        rows = (test.areas >= low) & (test.areas < high)
        # A draw of photos may have no region of this size.
        total = weight[rows].sum() or np.nan
        report[name] = float((correct[rows] * weight[rows]).sum() / total)
    return report


def compare(correct, test, num_draws=2000):
    """Gains of each variant over the first layer, with their intervals."""
    files = [test.file(i) for i in range(len(test))]
    _, photo = np.unique(files, return_inverse=True)
    members = [np.flatnonzero(photo == p) for p in range(photo.max() + 1)]
    generator = np.random.default_rng(0)
    draws = [
        np.concatenate([members[p] for p in chosen])
        for chosen in generator.integers(
            len(members), size=(num_draws, len(members))
        )
    ]
    report = {}
    for variant, of_seeds in correct.items():
        own, floor = np.mean(of_seeds, 0), np.mean(correct[FLOOR], 0)
        gain = scores(own - floor, test)
        drawn = [
            scores((own - floor)[rows], test.subset(rows)) for rows in draws
        ]
        report[variant] = {
            key: [
                round(gain[key], 3),
                *np.nanquantile([d[key] for d in drawn], [0.025, 0.975]).round(
                    3
                ),
            ]
            for key in gain
        }
    return report


def accuracies(correct, test):
    """Means over seeds, and each of them."""
    report = {}
    for variant, of_seeds in correct.items():
        rows = [scores(row, test) for row in of_seeds]
        report[variant] = {
            key: {
                "mean": round(float(np.mean([row[key] for row in rows])), 3),
                "seeds": [round(row[key], 3) for row in rows],
            }
            for key in rows[0]
        }
    return report


def counts_by_size(test):
    sizes = np.digitize(test.areas, list(SIZES.values())[1:])
    counts = np.bincount(sizes, minlength=len(SIZES)).tolist()
    return dict(zip(SIZES, counts, strict=True))
