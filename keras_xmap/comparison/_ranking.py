"""Which row comes first."""

import numpy as np

from keras_xmap.comparison._measures import ORDERS


def ranked(rows, measures):
    """Returns the rows in their order, and gives each its rank.

    Those that pass the sanity check come before those that fail it, each by
    the mean of its ranks in the metrics that the order is made of. What the
    model cannot have comes last, without a rank.
    """
    measured = [row for row in rows if row.refusal is None]
    refused = [row for row in rows if row.refusal is not None]
    by = ranking_of(measures, measured)
    ranks = [_ranks([r.values.get(m.name) for r in measured], m) for m in by]
    means = np.mean(ranks, axis=0) if ranks else np.zeros(len(measured))
    order = sorted(
        range(len(measured)),
        key=lambda i: (measured[i].fails, means[i], measured[i].method),
    )
    ordered = [measured[i] for i in order]
    for number, row in enumerate(ordered, start=1):
        row.rank = number if by else None
    return ordered + refused


def ranking_of(measures, rows):
    """Returns the measures that the order is made of, of those with values.

    What hides pixels in the order of the map, which is of the model alone. If
    none of these is there, other questions to the model; if none of them is,
    what asks a mask.
    """
    directed = [
        m
        for m in measures
        if m.higher_is_better is not None
        and any(row.values.get(m.name) is not None for row in rows)
    ]
    orders = [m for m in directed if m.name in ORDERS]
    of_model = [m for m in directed if m.is_of_model]
    return orders or of_model or directed


def _ranks(values, measure):
    """Returns ranks from 0, the best first, the mean of them for equals."""
    worst = -np.inf if measure.higher_is_better else np.inf
    values = np.array([worst if v is None else v for v in values], "float64")
    if measure.higher_is_better:
        values = -values
    below = (values[:, None] > values).sum(axis=1)
    equal = (values[:, None] == values).sum(axis=1)
    return below + (equal - 1) / 2
