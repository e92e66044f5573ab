"""What pictures and maps have in common: arrays of real numbers."""

import numpy as np

_PIXELS_AT_A_TIME = 2**18


def check_finite(name, array):
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int(np.sum(~np.isfinite(array)))
        raise ValueError(
            f"`{name}` must hold finite values. Received: {name} with "
            f"{count} of {array.size} values NaN or infinite."
        )


def blocks_of_rows(array):
    """Yields slices of rows, for what takes many bytes a pixel as floats."""
    height = max(1, _PIXELS_AT_A_TIME // array.shape[1])
    for top in range(0, len(array), height):
        yield slice(top, top + height)


def linear_rows(array, size):
    """Returns a function from a slice of rows to a map's values at a size.

    The same as `resized`, without the whole: some rows are made at a time.
    """
    if array.shape == tuple(size):
        return lambda rows: array[rows]
    if any(new < old for new, old in zip(size, array.shape, strict=True)):
        smooth = resized(array, size, "bilinear")
        return lambda rows: smooth[rows]
    before, after, weight = _half_pixel(array.shape[1], size[1])
    columns = array[:, before]
    columns = columns + (array[:, after] - columns) * weight
    before, after, weight = _half_pixel(array.shape[0], size[0])

    def read(rows):
        first = columns[before[rows]]
        return first + (columns[after[rows]] - first) * weight[rows, None]

    return read


def _half_pixel(old, new):
    """Returns the neighbours of positions along an axis, and their weight."""
    centre = (np.arange(new) + 0.5) * old / new - 0.5
    before = np.floor(centre).astype(int)
    after = np.minimum(before + 1, old - 1)
    return np.maximum(before, 0), after, centre - before


def quantize(values):
    return np.round(255 * values).astype("uint8")


def resized(array, size, interpolation):
    from skimage.transform import resize

    if array.shape[:2] == tuple(size):
        return array
    linear = interpolation == "bilinear"
    return resize(
        array,
        (*size, *array.shape[2:]),
        order=1 if linear else 0,
        mode="edge",
        anti_aliasing=linear,
        preserve_range=True,
    )
