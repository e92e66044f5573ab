from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_share
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.visualization._arrays import blocks_of_rows
from keras_xmap.visualization._arrays import check_finite
from keras_xmap.visualization._arrays import linear_rows
from keras_xmap.visualization._arrays import quantize
from keras_xmap.visualization.to_uint8 import to_uint8

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


def overlay(
    image: ArrayLike,
    heatmap: ArrayLike,
    alpha: float = 0.5,
    colormap: str | Callable[[np.ndarray], ArrayLike] | None = None,
    signed: bool = False,
    data_range: Sequence[float] | None = None,
) -> np.ndarray:
    """Lays one map over its image in colour; bright is important.

    The map is brought to the image's size and scaled by its own extremes,
    so colours compare pixels of one map, not one map with another:

    - `signed=False`: the lowest value, also a negative one, is darkest and
      the highest brightest;
    - `signed=True`: zero is darkest; positive values brighten to orange and
      negative ones to blue, on one scale: `heatmap / max(abs(heatmap))`.

    A flat map, whose spread is below a millionth of its size, is no
    evidence. It is darkest throughout, never noise blown up to full colour.

    Args:
        image: Image of any kind that `to_uint8` takes.
        heatmap: Real array `(map_height, map_width)`, finite. Resized linearly
            with half-pixel centres, and smoothed first when it shrinks.
        alpha: Float in [0, 1]: 0 shows the image alone, 1 the colours alone.
            Defaults to `0.5`.
        colormap: `None`; a name, `"viridis"` for unsigned and
            `"blue_orange"` for signed maps; or a callable that takes values
            in 0..1 of shape `(height, width)` and returns colours in 0..1 of
            shape `(height, width, 3 or 4)`, as the colour maps of matplotlib
            do; of a large image it is called for some rows at a time. With
            `signed=True` a callable gets zero as 0.5. Defaults to `None`, the
            name that fits.
        signed: Boolean. Whether the sign of the map has a meaning. Defaults
            to `False`.
        data_range: See `to_uint8`. Concerns the image only.

    Returns:
        A uint8 array `(height, width, 3)` of the image's size.

    Raises:
        TypeError: If `image` or `heatmap` does not hold real numbers.
        ValueError: If a shape, a value or an option is not as above.

    Example:

    >>> image = np.zeros((2, 2))
    >>> heatmap = np.array([[0.0, 1.0], [0.0, 0.0]])
    >>> picture = keras_xmap.visualization.overlay(image, heatmap)
    >>> picture.sum(axis=-1).tolist()  # brightness
    [[76, 260], [76, 76]]
    """
    image = to_uint8(image, data_range)
    check_share("alpha", alpha, "0 shows the image alone.")
    check_boolean("signed", signed)
    values = linear_rows(_check_map(heatmap), image.shape[:2])
    blocks = list(blocks_of_rows(image))
    low = min(values(rows).min() for rows in blocks)
    high = max(values(rows).max() for rows in blocks)
    # `to_uint8` has made the image anew: the colours are laid over it there,
    # some rows at a time, which as floats take twenty times its memory.
    for rows in blocks:
        shares = _normalize(values(rows), low, high, signed)
        colors = _colorize(shares, colormap, signed)
        image[rows] = quantize(
            (1 - alpha) * (image[rows] / 255) + alpha * colors
        )
    return image


def _check_map(heatmap):
    heatmap = as_array("heatmap", heatmap)
    if heatmap.ndim != 2 or not heatmap.size:
        raise ValueError(
            "`heatmap` must be one map of shape (height, width). Received: "
            f"heatmap.shape={heatmap.shape}. Index a batch, maps[0]; reduce "
            "the channels of an attribution, np.abs(heatmap).sum(axis=-1)."
        )
    check_finite("heatmap", heatmap)
    # Divided by the largest magnitude before any difference is taken: no
    # overflow, and tolerances are relative.
    heatmap = heatmap.astype("float64")
    peak = max(heatmap.max(), -heatmap.min())
    if peak > 0:
        heatmap /= peak
    return heatmap


def _normalize(values, low, high, signed):
    """Returns values in 0..1, where 0.5 is zero if `signed`.

    `low` and `high` are the extremes of the whole map.
    """
    if high - low <= _FLAT_TOLERANCE:
        return np.full(values.shape, 0.5 if signed else 0.0)
    if signed:
        return 0.5 + 0.5 * values / max(high, -low)
    return (values - low) / (high - low)


def _colorize(values, colormap, signed):
    """Returns colours `(height, width, 3)` in 0..1."""
    fitting = "blue_orange" if signed else "viridis"
    if not callable(colormap):
        check_one_of(
            "colormap",
            fitting if colormap is None else colormap,
            (fitting,),
            f"That is the one for signed={signed}; a callable is used as is.",
        )
        table = _COLORMAPS[fitting].split()
        table = np.array([list(bytes.fromhex(code)) for code in table]) / 255
        knots = np.linspace(0, 1, len(table))
        bands = [np.interp(values, knots, band) for band in table.T]
        return np.stack(bands, axis=-1)
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
