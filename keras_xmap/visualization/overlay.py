from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_share
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.visualization._arrays import blocks_of_rows
from keras_xmap.visualization._arrays import linear_rows
from keras_xmap.visualization._colors import checked_maps
from keras_xmap.visualization._colors import colormap_of
from keras_xmap.visualization._colors import lay_over
from keras_xmap.visualization.to_uint8 import to_uint8


def overlay(
    image: ArrayLike,
    heatmap: ArrayLike,
    alpha: float | None = None,
    colormap: str | Callable[[np.ndarray], ArrayLike] | None = None,
    signed: bool = False,
    data_range: Sequence[float] | None = None,
) -> np.ndarray:
    """Lays a map over its image in colour; what matters stands out.

    The map is brought to the image's size and scaled by its own extremes,
    so colours compare pixels of one map, not one map with another:

    - `signed=False`: the lowest value, also a negative one, is darkest and
      the highest brightest;
    - `signed=True`: zero is darkest; positive values brighten to orange and
      negative ones to blue, on one scale: `heatmap / max(abs(heatmap))`.

    The colours are as strong as the map is, so that the image is seen as it
    was where nothing matters. A flat map, whose spread is below a millionth of
    its size, is no evidence: it changes nothing.

    Args:
        image: Image of any kind that `to_uint8` takes, or a batch of them,
            `(batch, height, width, channels)`.
        heatmap: Real array `(map_height, map_width)`, finite, or one for each
            image of the batch. Resized linearly with half-pixel centres, and
            smoothed first when it shrinks.
        alpha: Float in [0, 1]: 0 shows the image alone, 1 the colours alone,
            everywhere. Defaults to `None`: it grows with the map, from 0 to
            three quarters.
        colormap: `None`; a name: `"viridis"`, `"blue_orange"`, or any of
            matplotlib where that is installed, such as `"jet"` or `"turbo"`;
            or a callable that takes values in 0..1 of shape `(height, width)`
            and returns colours in 0..1 of shape `(height, width, 3 or 4)`; of
            a large image it is called for some rows at a time. With
            `signed=True` zero is 0.5. Defaults to `None`: `"viridis"`, or
            `"blue_orange"` of signed maps.
        signed: Boolean. Whether the sign of the map has a meaning. Defaults
            to `False`.
        data_range: See `to_uint8`. Concerns the image only.

    Returns:
        A uint8 array `(height, width, 3)` of the image's size, or a batch.

    Raises:
        TypeError: If `image` or `heatmap` does not hold real numbers.
        ValueError: If a shape, a value or an option is not as above.
        ImportError: If a colour map of matplotlib is named without it.

    Example:

    >>> image = np.zeros((2, 2))
    >>> heatmap = np.array([[0.0, 1.0], [0.0, 0.0]])
    >>> picture = keras_xmap.visualization.overlay(image, heatmap)
    >>> picture.sum(axis=-1).tolist()  # brightness
    [[0, 391], [0, 0]]
    """
    if alpha is not None:
        check_share("alpha", alpha, "0 shows the image alone.")
    check_boolean("signed", signed)
    colormap = colormap_of(colormap, signed)
    heatmap = as_array("heatmap", heatmap)
    if heatmap.ndim != 3:
        image = to_uint8(image, data_range)
        _lay(image, heatmap, alpha, colormap, signed)
        return image
    images = _batch(image, heatmap, data_range)
    for one, of_one in zip(images, heatmap, strict=True):
        _lay(one, of_one, alpha, colormap, signed)
    return images


def _lay(image, heatmap, alpha, colormap, signed):
    """Lays a map over an image that `to_uint8` has made anew."""
    heatmap = checked_maps(
        heatmap,
        (2,),
        "one map of shape (height, width), or one for each image of a batch",
        "Index the classes, maps[:, 0]; reduce the channels of an "
        "attribution, np.abs(heatmap).sum(axis=-1).",
    )
    values = linear_rows(heatmap, image.shape[:2])
    blocks = list(blocks_of_rows(image))
    low = min(values(rows).min() for rows in blocks)
    high = max(values(rows).max() for rows in blocks)
    lay_over(image, values, (low, high), alpha, colormap, signed)


def _batch(images, heatmaps, data_range):
    """Returns a batch as RGB uint8, all of it on one scale."""
    images = as_array("image", images)
    if images.ndim != 4 or len(images) != len(heatmaps):
        raise ValueError(
            "`image` must be a batch (batch, height, width, channels) where "
            "`heatmap` is one, with as many entries. Received: "
            f"image.shape={images.shape} and heatmap.shape={heatmaps.shape}. "
            "Index a batch, heatmap[0]; reduce the channels of an "
            "attribution, np.abs(heatmap).sum(axis=-1)."
        )
    # One below the other they are one image.
    number, height, *others = images.shape
    tall = images.reshape((number * height, *others))
    return to_uint8(tall, data_range).reshape((number, height, -1, 3))
