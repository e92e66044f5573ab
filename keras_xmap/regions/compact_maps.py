"""Maps in few bytes, none of whose values is further off than was asked."""

import math
import struct
import zlib

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_non_negative
from keras_xmap._files import checksum
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.regions import _map_codes
from keras_xmap.regions._map_trees import divide
from keras_xmap.regions._map_trees import join

_HEAD = struct.Struct("<4sI")  # which format, and the checksum of the rest
_FORMAT = b"xmp1"
# The dtype; whether in steps, and in differences; levels; bytes of a value;
# axes; bits and values.
_FACTS = struct.Struct("<2s??BBBQQ")
_NUM_LEVELS = 6  # squares of up to 32 pixels
_HALF_SPANS = (0, 1, 2)  # of the steps of a leaf
_EFFORT = 9  # of zlib


def encode_maps(
    maps: ArrayLike, tolerance: float = 0.0, relative: bool = False
) -> bytes:
    """Returns maps as bytes, few where maps are flat.

    Each map is divided into a quadtree, like `ops.quadtree`, down to squares
    that one value stands for: no pixel of what `decode_maps` returns is
    further than `tolerance` from the pixel it stands for, whatever the map.
    At `tolerance=0` all come back as they were, bit for bit.

    Leaves hold whole steps. How much of the tolerance goes into the steps,
    and how much into what a leaf spans, is chosen by the bytes, and where no
    tree is smaller there is none. Probabilities of 21 classes after a CRF took
    a sixtieth of their float32 bytes at a tolerance of .001, gradients an
    eighth at .005 of what they span; see the guide to quadtrees. A map that
    was enlarged, such as a CAM at the size of the photo, holds no more than
    before: encode the one of the layer (`resize=False`), whose grid is kept,
    and enlarge what comes back.

    The bytes carry a checksum. They depend on the version of the format, not
    on the machine or the Keras backend.

    Args:
        maps: Array `(..., height, width)` of booleans, integers or floats of
            at most 64 bits: one map, a batch of them, maps of classes. The
            channels of an attribution come last: move them first.
        tolerance: Float >= 0, in the units of the maps. Defaults to `0`.
        relative: Boolean: whether `tolerance` is a share of what the values of
            a map span, the highest less the lowest, for each map
            `(height, width)` by itself. Maps of classes that are compared with
            each other take `False`. Defaults to `False`.

    Returns:
        Bytes, for `decode_maps`.

    Raises:
        ValueError: If a value is NaN or infinite, if there is no axis of
            height and width or no pixel on them, or if `tolerance` is out of
            its range.
        TypeError: If `maps` holds no numbers of at most 64 bits.

    References:
        - [Samet, 1984](https://doi.org/10.1145/356924.356930)

    Example:

    >>> maps = np.zeros((2, 64, 64), "float32")
    >>> maps[:, 20:40, 10:50] = np.linspace(0.5, 1, 40)
    >>> content = keras_xmap.regions.encode_maps(maps, tolerance=0.02)
    >>> len(content) < maps.nbytes / 100
    True
    >>> back = keras_xmap.regions.decode_maps(content)
    >>> bool(np.abs(back - maps).max() <= 0.02)
    True
    """
    maps = _checked(maps)
    tolerance = check_non_negative("tolerance", tolerance)
    relative = check_boolean("relative", relative)
    body = min(_bodies(maps, tolerance, relative), key=len)
    return _HEAD.pack(_FORMAT, checksum(body)) + body


def decode_maps(content: bytes) -> np.ndarray:
    """Returns the maps that `encode_maps` made bytes of.

    Args:
        content: Bytes, as `encode_maps` returned them.

    Returns:
        Array of the shape and dtype of the maps.

    Raises:
        ValueError: If the bytes are not those that `encode_maps` returned:
            of something else, cut off or damaged.
        TypeError: If `content` is not bytes.

    Example:

    >>> maps = np.array([[0.25, 0.5, 0.5], [1.0, 0.5, 0.5]])
    >>> content = keras_xmap.regions.encode_maps(maps)
    >>> keras_xmap.regions.decode_maps(content).tolist()
    [[0.25, 0.5, 0.5], [1.0, 0.5, 0.5]]
    """
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(
            "`content` must be the bytes that `encode_maps` returned. "
            f"Received: {type(content).__name__}. Of a file, read them: "
            "open(path, 'rb').read()."
        )
    content = bytes(content)
    body = content[_HEAD.size :]
    if not content.startswith(_FORMAT):
        raise ValueError(_refusal(content, f"begin with {content[:4]!r}"))
    if content[: _HEAD.size] != _HEAD.pack(_FORMAT, checksum(body)):
        raise ValueError(_refusal(content, "are damaged"))
    try:
        return _decoded(body)
    except (zlib.error, struct.error, ValueError, TypeError) as error:
        raise ValueError(_refusal(content, f"hold {error}")) from error


def _refusal(content, what):
    return (
        "`content` must be the bytes that `encode_maps` returned, all of them. "
        f"Received: {len(content)} bytes that {what}. Encode the maps again."
    )


def _checked(maps):
    maps = as_array("maps", maps)
    if maps.dtype.itemsize > 8:
        raise TypeError(
            "`maps` must be numbers of at most 64 bits. Received: maps.dtype="
            f"{maps.dtype}. Cast them: maps.astype('float64')."
        )
    if maps.ndim < 2 or not maps.shape[-1] or not maps.shape[-2]:
        raise ValueError(
            "`maps` must be (..., height, width), with a pixel. Received: "
            f"maps.shape={maps.shape}."
        )
    if maps.dtype.kind == "f" and not np.isfinite(maps).all():
        count = int((~np.isfinite(maps)).sum())
        raise ValueError(
            f"`maps` must be finite. Received: {count} of {maps.size} values "
            "that are NaN or infinite. Replace them: np.nan_to_num(maps)."
        )
    # One order of bytes on all machines.
    return np.ascontiguousarray(maps, maps.dtype.newbyteorder("<"))


def _bodies(maps, tolerance, relative):
    """Yields the ways in which maps can be written."""
    planes = maps.reshape((-1, *maps.shape[-2:]))
    low, bounds = _map_codes.bounds(planes, tolerance, relative)
    is_written = False
    for half_span in _HALF_SPANS if bounds is not None else ():
        scale = _map_codes.Scale(low, bounds / (half_span + 0.5))
        codes = scale.codes(planes)
        if codes is not None:
            tree = divide(codes, 2 * half_span, _NUM_LEVELS)
            yield _body(maps, scale, _NUM_LEVELS, *tree)
            yield _body(maps, scale, _NUM_LEVELS, *tree, in_differences=True)
            # Where rows repeat, zlib finds more than a tree.
            if not half_span:
                yield _body(maps, scale, 1, *divide(codes, 0, 1))
            is_written = True
    if not is_written:
        for num_levels in (_NUM_LEVELS, 1):
            tree = divide(_map_codes.as_integers(planes), 0, num_levels)
            yield _body(maps, None, num_levels, *tree)


def _body(maps, scale, num_levels, bits, values, in_differences=False):
    numbers = _map_codes.differences(values) if in_differences else values
    width, numbers = _map_codes.to_bytes(numbers)
    kind = maps.dtype.str[1:].encode()
    facts = scale is not None, in_differences, num_levels, width, maps.ndim
    parts = [
        _FACTS.pack(kind, *facts, len(bits), len(values)),
        np.asarray(maps.shape, "<u8").tobytes(),
    ]
    if scale is not None:
        parts += [scale.low.tobytes(), scale.steps.tobytes()]
    parts += [np.packbits(bits).tobytes(), numbers]
    return zlib.compress(b"".join(parts), _EFFORT)


def _decoded(body):
    rest = _Rest(zlib.decompress(body))
    kind, *facts = _FACTS.unpack(rest.take(_FACTS.size))
    in_steps, in_differences, num_levels, width, ndim, *counts = facts
    num_bits, num_values = counts
    dtype = np.dtype("<" + kind.decode())
    shape = tuple(np.frombuffer(rest.take(8 * ndim), "<u8").tolist())
    planes = (math.prod(shape[:-2]), *shape[-2:])
    scale, coded = None, f"<i{dtype.itemsize}"
    if in_steps:
        scales = np.frombuffer(rest.take(16 * planes[0]), "<f8")
        scale, coded = _map_codes.Scale(*scales.reshape((2, -1))), "<i4"
    bits = np.frombuffer(rest.take(-(-num_bits // 8)), "uint8")
    bits = np.unpackbits(bits).view(bool)
    values = rest.take(width * num_values)
    values = _map_codes.of_bytes(values, width, num_values, coded)
    if in_differences:
        values = _map_codes.of_differences(values)
    codes = join(bits, values, planes, num_levels)
    x = codes.view(dtype) if scale is None else scale.values(codes, dtype)
    return x.reshape(shape).astype(dtype.newbyteorder("="))


class _Rest:
    """Bytes that are taken from the front on."""

    def __init__(self, content):
        self._content = content
        self._start = 0

    def take(self, count):
        taken = self._content[self._start : self._start + count]
        if len(taken) < count:
            raise ValueError(f"{count} bytes expected, {len(taken)} received")
        self._start += count
        return taken
