from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_integer
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_share
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.visualization._arrays import linear_rows
from keras_xmap.visualization._colors import checked_maps
from keras_xmap.visualization._colors import colormap_of
from keras_xmap.visualization._colors import lay_over
from keras_xmap.visualization.panel import panel
from keras_xmap.visualization.to_uint8 import to_uint8


def slice_panel(
    volume: ArrayLike,
    heatmap: ArrayLike,
    axis: int = 0,
    num_slices: int = 6,
    alpha: float | None = None,
    colormap: str | Callable[[np.ndarray], ArrayLike] | None = None,
    signed: bool = False,
    data_range: Sequence[float] | None = None,
) -> np.ndarray:
    """Shows slices of a volume, with its map laid over them below.

    Slices are evenly spaced, from the middle of the first part to that of the
    last, and their number stands above them. Colours are on one scale in all of
    them: a slice without a colour holds nothing that matters.

    Args:
        volume: Array `(depth, height, width)`, or with a last axis of 1 or 3
            channels, as a CT or a video is.
        heatmap: Real array of shape `(depth, height, width)`, as `explain`
            returns it for a volume.
        axis: Integer, 0, 1 or 2: which axis is cut. Defaults to `0`.
        num_slices: Integer > 0: how many slices are shown, all of them where
            there are fewer. Defaults to `6`.
        alpha: See `overlay`.
        colormap: See `overlay`.
        signed: See `overlay`.
        data_range: See `to_uint8`. Defaults to `None`: the rules there, for
            the volume as a whole.

    Returns:
        A uint8 array `(height, width, 3)`.

    Raises:
        ValueError: If a shape, a value or an option is not as above.

    Example:

    >>> volume = np.zeros((8, 20, 20))
    >>> heatmap = np.ones((8, 20, 20))
    >>> picture = keras_xmap.visualization.slice_panel(volume, heatmap)
    >>> picture.shape[1]  # 6 slices of 20 pixels, and gaps of 4
    148
    """
    if alpha is not None:
        check_share("alpha", alpha, "0 shows the volume alone.")
    check_boolean("signed", signed)
    check_positive_integer("num_slices", num_slices)
    check_integer("axis", axis, 0, 2)
    colormap = colormap_of(colormap, signed)
    heatmap = checked_maps(
        heatmap,
        (3,),
        "one map of shape (depth, height, width)",
        "Index a batch, maps[0].",
    )
    volume = _volume(volume, heatmap, data_range)
    total = volume.shape[axis]
    number = min(num_slices, total)
    chosen = ((np.arange(number) + 0.5) * total / number).astype(int)
    extremes = heatmap.min(), heatmap.max()
    plain = [volume.take(index, axis) for index in chosen]
    laid = [image.copy() for image in plain]
    for image, index in zip(laid, chosen, strict=True):
        values = linear_rows(heatmap.take(index, axis), image.shape[:2])
        lay_over(image, values, extremes, alpha, colormap, signed)
    return panel([plain, laid], [str(index) for index in chosen])


def _volume(volume, heatmap, data_range):
    """Returns a volume as RGB uint8, all of it on one scale."""
    volume = as_array("volume", volume)
    if volume.ndim == 3:
        volume = volume[..., np.newaxis]
    if volume.ndim != 4 or volume.shape[:3] != heatmap.shape:
        raise ValueError(
            "`volume` must be of shape (depth, height, width), with channels "
            "or without, and the map of the same. Received: volume.shape="
            f"{volume.shape} and heatmap.shape={heatmap.shape}. Index a batch, "
            "volumes[0]."
        )
    # Slices one below the other are one image.
    depth, height, width, channels = volume.shape
    tall = volume.reshape((depth * height, width, channels))
    return to_uint8(tall, data_range).reshape((depth, height, width, 3))
