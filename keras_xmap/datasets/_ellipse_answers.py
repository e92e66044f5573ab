"""What is asked of ellipses, as targets of a network, and their mirrors."""

import itertools

import numpy as np

from keras_xmap._numeric import as_array
from keras_xmap.datasets._ellipse_geometry import intersection

_MIRRORS = {
    "left_right": (2, lambda x, y, angle, size: (size - x, y, np.pi - angle)),
    "up_down": (1, lambda x, y, angle, size: (x, size - y, np.pi - angle)),
    "transpose": (None, lambda x, y, angle, size: (y, x, np.pi / 2 - angle)),
}


def targets_of(shapes, size, is_raw=False):
    """Computes the targets of shapes `(n, 1 or 2, 5)` in images of a side."""
    if shapes.shape[1] == 2:
        targets = intersection(shapes) / (size / 2) - 1
    elif is_raw:
        targets = shapes[:, 0, 4:] / np.pi
    else:
        double = 2 * shapes[:, 0, 4]
        targets = np.stack([np.cos(double), np.sin(double)], axis=-1)
    return targets.astype("float32")


def decode(data, targets):
    """Returns degrees `(n,)` or points `(n, 2)` that targets stand for."""
    targets = as_array("targets", targets).astype("float64")
    if targets.shape[1:] != data.targets.shape[1:]:
        raise ValueError(
            "Targets and predictions must have the shape of `targets`, "
            f"(n, {data.targets.shape[1]}). Received: {targets.shape}."
        )
    if data.shapes.shape[1] == 2:
        return (targets + 1) * data.images.shape[1] / 2
    if targets.shape[-1] == 1:
        return targets[..., 0] * 180 % 180
    double = np.arctan2(targets[..., 1], targets[..., 0])
    return np.rad2deg(double) / 2 % 180


def errors(data, predictions):
    """Returns degrees from 0 to 90, or pixels, between answers and truth."""
    difference = decode(data, predictions) - decode(data, data.targets)
    if difference.ndim == 2:
        return np.hypot(*difference.T)
    return 90 - np.abs(90 - np.abs(difference))


def with_mirrors(data, mirrors):
    """Returns data of all sets of `mirrors`, one set after the other."""
    views = [
        _mirrored(data, chosen)
        for count in range(len(mirrors) + 1)
        for chosen in itertools.combinations(mirrors, count)
    ]
    return data._make(map(np.concatenate, zip(*views, strict=True)))


def _mirrored(data, mirrors):
    fields, size = data._asdict(), data.images.shape[1]
    for mirror in mirrors:
        axis, move = _MIRRORS[mirror]
        for name, values in fields.items():
            if name in ("images", "masks"):
                turned = values.swapaxes(1, 2)
                fields[name] = turned if axis is None else np.flip(values, axis)
            elif name != "targets":
                x, y, long, short, angle = np.moveaxis(values, -1, 0)
                x, y, angle = move(x, y, angle, size)
                values = np.stack([x, y, long, short, angle % np.pi], axis=-1)
                fields[name] = values.astype("float32")
    is_raw = data.targets.shape[1] == 1
    shapes = fields["shapes"].astype("float64")
    fields["targets"] = targets_of(shapes, size, is_raw)
    return data._replace(**fields)
