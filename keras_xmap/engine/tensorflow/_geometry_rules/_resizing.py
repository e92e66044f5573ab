"""Operations that resize images."""

import math

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine.tensorflow._geometry_rules._rules import Rules

rule = Rules()


@rule("ResizeArea", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor")
def _resizing(op, operands, walk):
    source, windows = operands[0], []
    attributes = op.node_def.attr
    for axis, new in zip(
        (1, 2), walk.value(op.inputs[1]).tolist(), strict=True
    ):
        old = source.shape[axis]
        index = np.arange(new)
        if op.get_attr("align_corners"):
            middle = index * ((old - 1) / max(new - 1, 1))
        elif (
            "half_pixel_centers" in attributes
            and op.get_attr("half_pixel_centers")
        ) or op.type == "ResizeArea":
            middle = (index + 0.5) * old / new - 0.5
        else:
            middle = index * (old / new)
        reach = {
            "ResizeArea": old / new / 2 + 0.5,
            "ResizeBicubic": 2.0,
            "ResizeBilinear": 1.0,
            "ResizeNearestNeighbor": 0.5 + 1e-6,
        }[op.type]
        taps = _taps_within(middle, reach, old)
        windows.append((axis, middle, taps))
    return _places.sampled(source, windows)


@rule("ScaleAndTranslate")
def _scaling(op, operands, walk):
    source, windows = operands[0], []
    sizes, scales, shifts = (walk.value(x).tolist() for x in op.inputs[1:])
    reach = {b"lanczos3": 3, b"lanczos5": 5, b"keyscubic": 2}.get(
        op.get_attr("kernel_type"), 1
    )
    for axis, new, scale, shift in zip(
        (1, 2), sizes, scales, shifts, strict=True
    ):
        old = source.shape[axis]
        middle = (np.arange(new) + 0.5 - shift) / scale - 0.5
        wide = reach * max(1 / scale, 1) if op.get_attr("antialias") else reach
        taps = _taps_within(middle, wide, old)
        windows.append((axis, middle, taps))
    return _places.sampled(source, windows)


def _taps_within(middle, reach, length):
    """Returns the taps nearer than `reach` to each middle, -1 for others."""
    inside = np.clip(middle, 0, length - 1)
    first = np.floor(inside - reach) + 1
    taps = first[:, None] + np.arange(math.ceil(2 * reach) + 1)
    near = np.abs(taps - inside[:, None]) < reach - 1e-9
    return np.where(near & (taps >= 0) & (taps < length), taps, -1).astype(int)
