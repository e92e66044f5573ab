"""From the numbers of a map to colours, and colours over an image."""

import difflib

import numpy as np

from keras_xmap._numeric import as_array
from keras_xmap.visualization._arrays import blocks_of_rows
from keras_xmap.visualization._arrays import check_finite
from keras_xmap.visualization._arrays import quantize

# Evenly spaced colours, interpolated in between. "viridis" is matplotlib's
# to within 0.021; "blue_orange" has equal steps of CIELAB lightness from a
# dark centre, so that strong evidence is bright whatever its sign.
_COLORMAPS = {
    "viridis": (
        "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c "
        "1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725"
    ),
    "blue_orange": (
        "b8e0f8 53aee7 007cbe 004b7e 1f1f1f 723515 b45d11 e9922d ffd48b"
    ),
}

# A map whose spread is rounding noise is flat: stretched, the noise would
# look like evidence.
_FLAT_TOLERANCE = 1e-6
# Where the map is highest, of what an overlay shows; the photo shows through.
_STRONGEST = 0.75


def checked_maps(heatmap, ranks, expected, remedy):
    """Returns maps as float64, divided by their largest magnitude.

    Args:
        heatmap: What a user passes.
        ranks: The numbers of axes that it may have.
        expected: String: what it must be.
        remedy: String.
    """
    heatmap = as_array("heatmap", heatmap)
    if heatmap.ndim not in ranks or not heatmap.size:
        raise ValueError(
            f"`heatmap` must be {expected}. Received: "
            f"heatmap.shape={heatmap.shape}. {remedy}"
        )
    check_finite("heatmap", heatmap)
    # Divided before any difference is taken: no overflow, and tolerances are
    # relative.
    heatmap = heatmap.astype("float64")
    peak = max(heatmap.max(), -heatmap.min())
    if peak > 0:
        heatmap /= peak
    return heatmap


def lay_over(image, values, extremes, alpha, colormap, signed):
    """Lays the colours of a map over an RGB uint8 image, in place.

    Args:
        image: Array `(height, width, 3)`.
        values: Function from a slice of rows to the map's values there.
        extremes: Pair: the map's lowest and highest value.
        alpha: Float, or `None`: as strong as the map is.
        colormap: Callable, see `colormap_of`.
        signed: Boolean: whether zero is the middle.
    """
    # Some rows at a time, which as floats take twenty times its memory.
    for rows in blocks_of_rows(image):
        shares = shares_of(values(rows), *extremes, signed)
        colors = _colored(shares, colormap)
        share = alpha
        if share is None:
            strength = np.abs(2 * shares - 1) if signed else shares
            share = _STRONGEST * strength[..., None]
        image[rows] = quantize(
            (1 - share) * (image[rows] / 255) + share * colors
        )


def shares_of(values, low, high, signed):
    """Returns values in 0..1, where 0.5 is zero if `signed`.

    `low` and `high` are the extremes of the whole map.
    """
    if high - low <= _FLAT_TOLERANCE:
        return np.full(values.shape, 0.5 if signed else 0.0)
    if signed:
        return 0.5 + 0.5 * values / max(high, -low)
    return (values - low) / (high - low)


def colormap_of(colormap, signed):
    """Returns the function from values in 0..1 to colours that is meant.

    Raises:
        ValueError: If no colour map has that name.
        ImportError: If it is one of matplotlib, which is not installed.
    """
    if colormap is None:
        colormap = "blue_orange" if signed else "viridis"
    if callable(colormap):
        return colormap
    if not isinstance(colormap, str):
        raise ValueError(
            "`colormap` must be a name, a function of values in 0..1, or "
            f"None. Received: colormap={colormap!r}."
        )
    if colormap in _COLORMAPS:
        return _interpolated(_COLORMAPS[colormap])
    return _of_matplotlib(colormap)


def _interpolated(codes):
    table = [list(bytes.fromhex(code)) for code in codes.split()]
    bands = np.array(table).T / 255
    knots = np.linspace(0, 1, len(table))
    return lambda values: np.stack(
        [np.interp(values, knots, band) for band in bands], axis=-1
    )


def _of_matplotlib(name):
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "A colour map of matplotlib needs matplotlib. Received: colormap="
            f'{name!r}. Run pip install "keras-xmap[plots]", or take one of '
            f"{', '.join(_COLORMAPS)}."
        ) from error
    if name not in matplotlib.colormaps:
        known = [*_COLORMAPS, *matplotlib.colormaps]
        close = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(
            "`colormap` must be the name of a colour map of matplotlib, or "
            f"one of {', '.join(_COLORMAPS)}. Received: colormap={name!r}."
            f"{hint}"
        )
    return matplotlib.colormaps[name]


def _colored(values, colormap):
    """Returns colours `(height, width, 3)` in 0..1."""
    colors = np.asarray(colormap(values))
    if colors.shape not in [(*values.shape, 3), (*values.shape, 4)]:
        raise ValueError(
            "`colormap` must return colours of shape (height, width, 3 or 4) "
            f"for values of shape {values.shape}. "
            f"Received: colormap(values).shape={colors.shape}."
        )
    if not (colors.min() >= 0 and colors.max() <= 1):
        raise ValueError(
            "`colormap` must return colours in 0..1. Received: "
            f"colormap(values) from {colors.min():.4g} to {colors.max():.4g}."
        )
    return colors[..., :3]
