from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.visualization._arrays import check_finite
from keras_xmap.visualization._colors import checked_maps
from keras_xmap.visualization._colors import shares_of
from keras_xmap.visualization._plots import add_color_bar
from keras_xmap.visualization._plots import as_matplotlib
from keras_xmap.visualization._plots import check_titles
from keras_xmap.visualization._plots import pyplot


def trace(
    signal: ArrayLike,
    heatmap: ArrayLike,
    times: ArrayLike | None = None,
    titles: Sequence[str] | None = None,
    colormap: str | Callable[[np.ndarray], ArrayLike] | None = None,
    signed: bool = False,
) -> np.ndarray:
    """Plots a signal over its map: where the background is bright, it matters.

    One plot a channel, one below the other, over the map of all of them; an
    attribution with channels has a background of its own for each. Needs
    matplotlib, as `show` does.

    Args:
        signal: Array `(steps,)` or `(steps, channels)`, as of an ECG.
        heatmap: Real array `(steps,)`, as `explain` returns it for a signal,
            or of the signal's shape.
        times: Array `(steps,)` of increasing values for the axis, or `None`
            for the number of the step. Defaults to `None`.
        titles: List of strings, one for each channel, or `None`.
        colormap: See `overlay`.
        signed: See `overlay`.

    Returns:
        NumPy array `(channels,)` of `matplotlib.axes.Axes`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If shapes do not fit each other.

    Example:

    >>> signal = np.sin(np.linspace(0, 9, 100))
    >>> keras_xmap.visualization.trace(signal, np.abs(signal)).shape
    (1,)
    """
    check_boolean("signed", signed)
    signal, heatmap, times = _checked(signal, heatmap, times, titles)
    shares = shares_of(heatmap, heatmap.min(), heatmap.max(), signed)
    plots = pyplot()
    figure, axes = plots.subplots(
        signal.shape[1],
        1,
        sharex=True,
        squeeze=False,
        figsize=(9, 1 + 1.2 * signal.shape[1]),
        layout="constrained",
    )
    axes = axes[:, 0]
    colors = as_matplotlib(colormap, signed)
    for number, (cell, values) in enumerate(zip(axes, signal.T, strict=True)):
        of_channel = shares[:, min(number, shares.shape[1] - 1)]
        low, high = _limits(values)
        # A step is coloured up to half way to the next.
        cell.pcolormesh(
            _edges(times),
            [low, high],
            of_channel[np.newaxis],
            cmap=colors,
            vmin=0,
            vmax=1,
            alpha=0.8,
        )
        # A light rim keeps the line visible on what is dark.
        cell.plot(times, values, color="white", linewidth=2.5)
        cell.plot(times, values, color="black", linewidth=1)
        cell.set_ylim(low, high)
        if titles is not None:
            cell.set_title(titles[number], loc="left")
    add_color_bar(figure, axes, colormap, signed)
    return axes


def _checked(signal, heatmap, times, titles):
    signal = as_array("signal", signal)
    if signal.ndim not in (1, 2) or not signal.size:
        raise ValueError(
            "`signal` must be of shape (steps,) or (steps, channels). "
            f"Received: signal.shape={signal.shape}. Index a batch, signals[0]."
        )
    check_finite("signal", signal)
    signal = signal.reshape((len(signal), -1))
    heatmap = checked_maps(
        heatmap,
        (1, 2),
        "one map of shape (steps,), or of the signal's",
        "Index a batch, maps[0].",
    )
    heatmap = heatmap.reshape((len(heatmap), -1))
    if heatmap.shape not in (signal.shape, (len(signal), 1)):
        raise ValueError(
            "`heatmap` must have a value for each step of the signal. "
            f"Received: {heatmap.shape} for a signal of {signal.shape}. Maps "
            "of an explainer with resize=True have."
        )
    if times is None:
        times = np.arange(len(signal))
    times = as_array("times", times)
    if times.shape != (len(signal),) or (np.diff(times) <= 0).any():
        raise ValueError(
            "`times` must be one increasing value for each step. Received: "
            f"times.shape={times.shape} for {len(signal)} steps."
        )
    check_titles(titles, signal.shape[1], "channel")
    return signal, heatmap, times


def _limits(values):
    margin = 0.1 * np.ptp(values) or 1.0
    return values.min() - margin, values.max() + margin


def _edges(times):
    middles = (times[1:] + times[:-1]) / 2
    if not len(middles):
        return [times[0] - 0.5, times[0] + 0.5]
    first, last = 2 * times[0] - middles[0], 2 * times[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])
