"""What pictures and maps have in common: arrays of real numbers."""

import numpy as np


def check_finite(name, array):
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int(np.sum(~np.isfinite(array)))
        raise ValueError(
            f"`{name}` must hold finite values. Received: {name} with "
            f"{count} of {array.size} values NaN or infinite."
        )


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
