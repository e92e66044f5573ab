"""Textures whose lines run one way, of the same brightness all over.

Every function takes how many fields to draw, their side, the split and a
NumPy generator, and returns fields `(count, side, side)`, most lines from top
to bottom, each of mean 0 and standard deviation 1. A quarter turn changes
neither the brightness of a field nor its edges, only where they run.
"""

import functools

import numpy as np

from keras_xmap.datasets._ellipse_geometry import SIDE

# Of the grain, along its lines and across them, in units of the geometry.
_SMOOTH_ALONG, _SMOOTH_ACROSS = 2.5, 0.6
# The side of the whole wall, and over how much of it light is evened out, in
# sides of an image.
_WALL, _EVEN = 2.5, 0.25


def draw_grain(count, side, split, rng):
    """Draws normal noise that is smoothed along the lines."""
    del split
    along, across = (
        _response(side, stddev * side / SIDE)
        for stddev in (_SMOOTH_ALONG, _SMOOTH_ACROSS)
    )
    noise = rng.normal(size=(count, side, side)).astype("float32")
    spectrum = np.fft.rfft2(noise) * along[:, None]
    spectrum *= across[: side // 2 + 1]
    return _standardized(np.fft.irfft2(spectrum, s=(side, side)))


def draw_bricks(count, side, split, rng):
    """Cuts windows out of the photograph of a wall, mirrored at random."""
    wall = _wall(split, side)
    windows = np.lib.stride_tricks.sliding_window_view(wall, (side, side))
    rows, columns = (rng.integers(n, size=count) for n in windows.shape[:2])
    fields = np.array(windows[rows, columns])
    for axis in (1, 2):
        mirrored = rng.uniform(size=count) < 0.5
        fields[mirrored] = np.flip(fields[mirrored], axis)
    return _standardized(fields)


def _standardized(fields):
    mean = fields.mean(axis=(1, 2), keepdims=True)
    stddev = fields.std(axis=(1, 2), keepdims=True)
    return ((fields - mean) / stddev).astype("float32")


def _response(side, stddev):
    """What a Gaussian of `stddev` pixels leaves of each frequency."""
    return np.exp(-2 * (np.pi * np.fft.fftfreq(side) * stddev) ** 2)


@functools.cache
def _wall(split, side):
    """One half of the photograph trains, the other half tests."""
    from skimage import data
    from skimage import filters
    from skimage import transform

    whole = int(_WALL * side)
    wall = transform.resize(data.brick(), (whole, whole), anti_aliasing=True)
    wall = wall - filters.gaussian(wall, _EVEN * side)
    wall = wall / np.sqrt(filters.gaussian(wall**2, _EVEN * side))
    half = whole // 2
    return wall[:, :half] if split == "train" else wall[:, half:]
