"""What regions are described by: channels of pixels, and bins of histograms.

An image has 25 channels, colours in [0, 1]: red, green, blue; hue,
saturation, value; lightness, a, b; the responses to 15 texture filters; and
the code of a local binary pattern. It has five kinds of bins, each pixel in
one of them: of the three colour spaces, 8 x 8 x 8; the filter that answers
most, of 15; and the code, of 256.
"""

import functools
import typing

import numpy as np

_BINS_A_CHANNEL = 8
_NUM_ORIENTATIONS = 6
_SCALE = np.sqrt(2)
# Steps to the neighbours of a pixel, clockwise: one bit of its pattern each.
_NEIGHBOURS = (
    *((-1, -1), (-1, 0), (-1, 1), (0, 1)),
    *((1, 1), (1, 0), (1, -1), (0, -1)),
)


class PixelFeatures(typing.NamedTuple):
    """Channels `(25, height, width)`, and pairs of a map of bins and their
    number."""

    channels: np.ndarray
    bins: list


def pixel_features(image):
    """Returns the features of one image `(height, width, 1 or 3)`, 0 to 255."""
    from scipy import ndimage
    from skimage import color

    image = np.broadcast_to(image, (*image.shape[:2], 3)) / 255.0
    # A filter of 5 x 5.
    image = ndimage.gaussian_filter(image, (0.5, 0.5, 0))
    lab = color.rgb2lab(image) / (100, 220, 220) + (0, 0.5, 0.5)
    spaces = [image, color.rgb2hsv(image), lab]
    texture = _responses(color.rgb2gray(image))
    pattern = _patterns(color.rgb2gray(image))
    channels = [np.moveaxis(space, -1, 0) for space in spaces]
    channels = np.concatenate([*channels, texture, pattern[None] * 1.0])
    num_colors = _BINS_A_CHANNEL**3
    bins = [(_color_bins(space), num_colors) for space in spaces]
    bins += [(texture.argmax(axis=0), len(texture)), (pattern, 256)]
    return PixelFeatures(channels, bins)


def _color_bins(space):
    steps = np.clip((space * _BINS_A_CHANNEL).astype(int), 0, 7)
    return steps @ (_BINS_A_CHANNEL**2, _BINS_A_CHANNEL, 1)


def _responses(gray):
    """Returns the size of each filter's response, from 0 to 1 in the image."""
    from scipy import signal

    found = np.array(
        [
            np.abs(signal.fftconvolve(gray, kernel[::-1, ::-1], mode="same"))
            for kernel in texture_filters()
        ]
    )
    low = found.min(axis=(1, 2), keepdims=True)
    span = found.max(axis=(1, 2), keepdims=True) - low
    # What is left of a flat image is rounding.
    return np.where(span > 1e-9, (found - low) / np.maximum(span, 1e-9), 0)


@functools.cache
def texture_filters():
    """Returns 15 filters of 19 x 19 of the bank of Leung and Malik.

    Edges and bars in six orientations, a Gaussian and two Laplacians, each of
    mean 0 and of absolute values that sum to 1.
    """
    x, y = np.meshgrid(np.arange(-9.0, 10), np.arange(9.0, -10, -1))
    edges, bars = [], []
    for number in range(_NUM_ORIENTATIONS):
        angle = np.pi * number / _NUM_ORIENTATIONS
        along = x * np.cos(angle) - y * np.sin(angle)
        across = x * np.sin(angle) + y * np.cos(angle)
        long = _gaussian(along, 3 * _SCALE)
        short = _gaussian(across, _SCALE)
        edges.append(-across / _SCALE**2 * long * short)
        bars.append((across**2 - _SCALE**2) / _SCALE**4 * long * short)
    round_ones = [_gaussian(x, _SCALE) * _gaussian(y, _SCALE)]
    for stddev in (_SCALE, 3 * _SCALE):
        blob = _gaussian(x, stddev) * _gaussian(y, stddev)
        round_ones.append((x**2 + y**2 - 2 * stddev**2) / stddev**4 * blob)
    bank = np.array(edges + bars + round_ones)
    bank -= bank.mean(axis=(1, 2), keepdims=True)
    return bank / np.abs(bank).sum(axis=(1, 2), keepdims=True)


def _gaussian(x, stddev):
    return np.exp(-0.5 * (x / stddev) ** 2) / (np.sqrt(2 * np.pi) * stddev)


def _patterns(gray):
    """Returns a number from 0 to 255: which neighbours are no darker."""
    # Rounding must not tell between equal grays.
    gray = np.round(gray, 6)
    padded = np.pad(gray, 1, mode="edge")
    height, width = gray.shape
    found = np.zeros(gray.shape, int)
    for bit, (down, right) in enumerate(_NEIGHBOURS):
        rows = slice(1 + down, 1 + down + height)
        columns = slice(1 + right, 1 + right + width)
        found += (padded[rows, columns] >= gray) << bit
    return found
