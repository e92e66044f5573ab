"""Ellipses as rows `(x, y, long half axis, short half axis, inclination)`."""

import numpy as np

# Lengths are drawn for images of this side and scaled to the actual one.
SIDE = 32
_SMALLEST_CROSSING = np.deg2rad(15)


def elliptic_radius(shapes, x, y):
    """Computes how far out points lie, 1 on the rim, and how fast it grows.

    Args:
        shapes: Array `(n, 5)`, one ellipse an image.
        x, y: Arrays `(n or 1, ...)`, points of each image.

    Returns:
        The radius, 0 at the centre, and the length of its gradient, both of
        the shape of the points.
    """
    axes = (1,) * (np.ndim(x) - 1)
    cx, cy, long, short, angle = shapes.T.reshape(5, -1, *axes)
    cosine, sine = np.cos(angle), np.sin(angle)
    along = (cosine * (x - cx) + sine * (y - cy)) / long
    beside = (cosine * (y - cy) - sine * (x - cx)) / short
    radius = np.hypot(along, beside)
    slope = np.hypot(along / long, beside / short)
    return radius, slope / np.maximum(radius, 1e-6)


def coverage(shapes, x, y, pixels_per_unit):
    """Computes the share of each pixel that an ellipse covers.

    Args:
        shapes: Array `(n, 5)`, one ellipse an image.
        x, y: Arrays `(1, height, width)`, the centres of the pixels.
        pixels_per_unit: Float, the pixels to a unit of the coordinates.

    Returns:
        Array `(n, height, width)` in 0..1, above 0.5 where the centre of the
        pixel is inside. To first order in the distance to the rim.
    """
    radius, slope = elliptic_radius(shapes, x, y)
    inside = (1 - radius) / np.maximum(slope, 1e-6) * pixels_per_unit
    return np.clip(0.5 + inside, 0, 1)


def intersection(shapes):
    """Computes where the lines through the major axes of pairs intersect.

    Args:
        shapes: Array `(n, 2, 5)`.

    Returns:
        Array `(n, 2)`, x and y; infinite or NaN for parallel lines.
    """
    first, second = shapes[:, 0], shapes[:, 1]
    one, other = (
        np.stack([np.cos(shape[:, 4]), np.sin(shape[:, 4])], axis=-1)
        for shape in (first, second)
    )
    between = second[:, :2] - first[:, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = _cross(between, other) / _cross(one, other)
        return first[:, :2] + along[:, None] * one


def is_crossing(shapes):
    """Whether the lines of pairs meet within the image, at 15 degrees or more.

    Args:
        shapes: Array `(n, 2, 5)`.

    Returns:
        Array `(n,)`.
    """
    crossing = np.abs(np.sin(shapes[:, 0, 4] - shapes[:, 1, 4]))
    point = intersection(shapes)
    inside = ((point >= 0) & (point <= SIDE)).all(axis=-1)
    return inside & (crossing >= np.sin(_SMALLEST_CROSSING))


def half_sides(long, short, angle):
    """Returns those of the box around turned ellipses: across, and down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.hypot(long * cos, short * sin), np.hypot(long * sin, short * cos)


def are_apart(first, second, gap):
    """Whether two ellipses of each image are at least `gap` apart, `(n,)`."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    grown = first + [0, 0, gap, gap, 0]
    x, y, long, short, angle = grown.T[:, :, None]
    along, beside = long * np.cos(turn), short * np.sin(turn)
    rim_x = x + along * np.cos(angle) - beside * np.sin(angle)
    rim_y = y + along * np.sin(angle) + beside * np.cos(angle)
    outside = elliptic_radius(second, rim_x, rim_y)[0] > 1
    # The rim alone does not tell an ellipse that lies within the other one.
    centre = elliptic_radius(grown, second[:, :1], second[:, 1:2])[0][:, 0]
    return outside.all(axis=-1) & (centre > 1)


def _cross(a, b):
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
