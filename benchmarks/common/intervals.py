"""Intervals of 95 %, over what was measured, drawn with replacement.

Where a score is a function of sums, a draw is how often each row is in it;
where it is of the rows themselves, a draw is which rows it has.
"""

import numpy as np

DRAWS = 2000


def drawn(number, draws=DRAWS):
    """Returns how often each of so many is drawn, `(draws, number)`."""
    generator = np.random.default_rng(0)
    return generator.multinomial(number, np.full(number, 1 / number), draws)


def drawn_photos(names, draws=DRAWS):
    """Returns how often each row is drawn, from drawing whole photos.

    Args:
        names: List, of the photo of each row.
    """
    _, photo = np.unique(names, return_inverse=True)
    return drawn(photo.max() + 1, draws)[:, photo]


def drawn_rows(number, draws=DRAWS):
    """Returns which of so many are drawn, `(draws, number)`."""
    generator = np.random.default_rng(0)
    return generator.integers(number, size=(draws, number))


def ends(of_draws):
    """Returns what 95 % of the draws lie between, but for those of nothing."""
    low, high = np.nanquantile(of_draws, (0.025, 0.975))
    return float(low), float(high)


def interval(middle, of_draws):
    """Returns a score and what 95 % of its draws lie between, rounded."""
    return [round(float(x), 3) for x in (middle, *ends(of_draws))]


def of_mean(values, draws=DRAWS):
    """Returns a mean over rows, and its interval."""
    values = np.asarray(values)
    rows = drawn_rows(len(values), draws)
    return [float(values.mean()), *ends(values[rows].mean(axis=1))]


def of_weighted_mean(values, weights):
    """Returns a mean over rows and its interval, rounded, of `drawn`."""
    return interval(values.mean(), weights @ values / weights.sum(1))
