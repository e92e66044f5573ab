from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_integer
from keras_xmap._checks import message
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.ops import quadtree_leaves
from keras_xmap.visualization.to_uint8 import to_uint8


def quadtree_cells(
    image: ArrayLike,
    levels: ArrayLike,
    color: Sequence[int] = (255, 200, 0),
    min_side: int = 4,
    data_range: Sequence[float] | None = None,
) -> np.ndarray:
    """Draws the leaves of a quadtree on an image.

    Each leaf has a line along its upper and its left side, on its own pixels.
    Leaves below `min_side` pixels have none: what is divided that finely
    shows the image as it is, where lines would hide it.

    Args:
        image: Image of any kind that `to_uint8` takes.
        levels: Integers `(height, width)`: those of one image, as
            `ops.quadtree` returns them for a batch.
        color: Three integers from 0 to 255: red, green and blue of the lines.
            Defaults to yellow.
        min_side: Integer >= 2. Defaults to `4`.
        data_range: See `to_uint8`.

    Returns:
        A uint8 array `(height, width, 3)`.

    Raises:
        TypeError: If `image` or `levels` does not hold real numbers.
        ValueError: If a shape, a value or an option is not as above.

    Example:

    >>> image = np.zeros((4, 8))
    >>> levels = keras_xmap.ops.quadtree(image[None], 0.0, num_levels=3)
    >>> lines = keras_xmap.visualization.quadtree_cells(image, levels[0])
    >>> (lines[..., 0] // 255).tolist()
    [[1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 1, 0, 0, 0], \
[1, 0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0]]
    """
    image = to_uint8(image, data_range)
    color = _check_color(color)
    min_side = check_integer("min_side", min_side, 2)
    levels = as_array("levels", levels)
    if levels.shape != image.shape[:2]:
        raise ValueError(
            "`levels` must be those of the image, (height, width). Received: "
            f"levels.shape={levels.shape} for an image of {image.shape[:2]}. "
            "Index a batch, levels[0]."
        )
    level = np.asarray(levels, "int32")
    if not (level == levels).all():
        raise ValueError(message("levels", "integers", levels))
    for _, x0, y0, x1, y1 in np.asarray(quadtree_leaves(level[None])):
        if 2 ** level[y0, x0] >= min_side:
            image[y0, x0:x1] = color
            image[y0:y1, x0] = color
    return image


def _check_color(color):
    if not isinstance(color, (list, tuple)) or len(color) != 3:
        raise ValueError(message("color", "three integers", color))
    return [check_integer("color", entry, 0, 255) for entry in color]
