import itertools
import struct
import zlib

import numpy as np
import pytest

from keras_xmap import ops
from keras_xmap.regions import decode_maps
from keras_xmap.regions import encode_maps
from keras_xmap.regions._map_trees import divide
from keras_xmap.regions._map_trees import join

INTEGERS = ("int8", "uint8", "int16", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
SHAPES = ((1, 1), (3, 5), (2, 33, 1), (1, 2, 34, 5), (0, 4, 4))

# Of two axes of float32, as they are: eight bits and no values.
HEAD = struct.pack("<2s??BBBQQ", b"f4", False, False, 6, 0, 2, 8, 0)


def back(maps, *args):
    return decode_maps(encode_maps(maps, *args))


def drawn(dtype, shape, kind, rng):
    """Maps of a dtype: noise, few values, half of it flat, far from 0."""
    if dtype == "bool":
        return rng.random(shape) > 0.5
    if dtype in INTEGERS:
        limits = np.iinfo(dtype)
        low, high = (limits.min, limits.max) if kind % 2 else (0, 20)
        maps = rng.integers(low, high, shape, dtype=dtype, endpoint=True)
    else:
        scale = (1.0, 1e-3, 1e4, 1e-7)[kind]
        maps = (rng.normal(size=shape) * scale).astype(dtype)
    if kind == 1 and maps.size:
        maps[..., maps.shape[-2] // 2 :, :] = maps.ravel()[0]
    return maps + maps.dtype.type(1e4) if dtype in FLOATS and kind > 2 else maps


def everything():
    rng = np.random.default_rng(0)
    dtypes = ("bool", *INTEGERS, *FLOATS)
    for number, case in enumerate(itertools.product(dtypes, SHAPES)):
        yield drawn(*case, (number + number // 4) % 4, rng)


def test_without_a_tolerance_all_comes_back_bit_for_bit():
    for maps in everything():
        found = back(maps)
        assert found.dtype == maps.dtype and found.shape == maps.shape
        assert found.tobytes() == maps.tobytes()
    zeros = np.array([[0.0, -0.0], [-0.0, 0.0]])
    assert np.signbit(back(zeros)).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    "tolerance, relative",
    [(0.05, True), (0.3, True), (1e-6, True), (0.5, False), (2.5, False),
     (3e3, False), (1e300, False)],
)  # fmt: skip
def test_no_value_is_further_off_than_the_tolerance(tolerance, relative):
    for maps in everything():
        found = back(maps, tolerance, relative)
        assert found.dtype == maps.dtype and found.shape == maps.shape
        if maps.dtype == bool or not maps.size:
            continue
        # As wide as there is, to see what a float64 would round away.
        exact = maps.astype("longdouble")
        bound = tolerance
        if relative:
            spans = np.ptp(exact, axis=(-2, -1)).astype("float64")
            bound = (tolerance * spans)[..., None, None]
        assert (np.abs(found.astype("longdouble") - exact) <= bound).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_bound_also_holds_in_the_arithmetic_of_the_maps(dtype):
    maps = np.random.default_rng(1).random((3, 40, 50)).astype(dtype)
    for tolerance in (0.1, 0.03, 0.01):
        assert np.abs(back(maps, tolerance) - maps).max() <= tolerance


def test_a_leaf_stands_for_the_middle_of_what_lies_in_it():
    codes = np.full((1, 8, 8), 9, "int32")
    codes[0, 3, 4], codes[0, 0, 0] = 11, 10
    bits, values = divide(codes, 2, 6)
    assert bits.tolist() == [True] and values.tolist() == [10]
    bits, values = divide(codes, 1, 6)
    # 32, 16 and 8 pixels are divided; of those of 4, the one at 0, 4 too.
    assert bits.tolist()[:7] == [False] * 3 + [True, False, True, True]
    assert values.tolist() == [9] * 6 + [9, 9, 11, 9]


@pytest.mark.sizes
@pytest.mark.parametrize("shape", [(2, 64, 96), (3, 37, 1), (1, 45, 70)])
@pytest.mark.parametrize("span", [0, 2, 4])
def test_trees_are_those_of_ops_quadtree(shape, span):
    codes = np.random.default_rng(2).integers(0, 5, shape).astype("int32")
    codes[:, : shape[1] // 2] //= 2
    bits, values = divide(codes, span, 6)
    levels = np.asarray(ops.quadtree(codes, span))
    leaves = np.asarray(ops.quadtree_leaves(levels))
    assert len(values) == len(leaves)
    assert np.abs(join(bits, values, shape, 6) - codes).max() <= span // 2
    # Each leaf is a pixel, or a square that has a bit.
    assert bits.sum() + (levels == 0).sum() == len(leaves)
    assert (bits == 0).any() == (span < 4)


def test_flat_maps_take_few_bytes_and_small_grids_keep_theirs():
    assert len(encode_maps(np.zeros((21, 375, 500), "float32"))) < 250
    cam = np.random.default_rng(3).random((14, 14)).astype("float32")
    content = encode_maps(cam)
    assert decode_maps(content).tobytes() == cam.tobytes()
    assert len(content) < cam.nbytes + 200
    # Enlarged it takes more, and holds no more.
    large = np.asarray(ops.resize(cam[None, ..., None], (224, 224)))[0, ..., 0]
    assert len(encode_maps(large, 0.01)) > 4 * len(encode_maps(cam, 0.01))


def test_what_zlib_packs_better_without_a_tree_has_none():
    maps = np.tile(np.arange(64) % 7, (64, 1)).astype("float32")
    assert len(encode_maps(maps, 0.25)) < 150
    assert len(encode_maps(maps)) < 200


def test_bytes_are_the_same_for_any_order_of_the_machine():
    maps = np.linspace(0, 1, 35).reshape((5, 7))
    assert encode_maps(maps.astype(">f8")) == encode_maps(maps)
    assert encode_maps(np.asfortranarray(maps)) == encode_maps(maps)
    assert encode_maps(maps.tolist(), 0.01) == encode_maps(maps, 0.01)


def test_any_flipped_bit_and_any_cut_is_noticed():
    content = encode_maps(np.eye(40, dtype="float32"), 0.1)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ValueError, match="`content` must be the bytes"):
            decode_maps(bytes(damaged))
        with pytest.raises(ValueError, match=f"Received: {position} bytes"):
            decode_maps(content[:position])
    with pytest.raises(ValueError, match="Encode the maps again"):
        decode_maps(content + b"\0")


@pytest.mark.parametrize(
    "body",
    [
        b"no archive",
        zlib.compress(b"no header"),
        zlib.compress(HEAD + np.array([99, 99]).tobytes() + b"\0"),
        zlib.compress(b"O8" + HEAD[2:] + np.array([1, 1]).tobytes() + b"\0"),
        zlib.compress(HEAD + np.array([1 << 40, 1 << 40]).tobytes() + b"\0"),
    ],
)
def test_what_another_program_wrote_is_refused_too(body):
    content = struct.pack("<4sI", b"xmp1", zlib.crc32(body)) + body
    with pytest.raises(ValueError, match="`content` must be the bytes"):
        decode_maps(content)


def test_what_is_no_map_is_refused_by_name():
    maps = np.ones((2, 4, 4))
    maps[0, 0, 0], maps[1, 1, 1] = np.nan, -np.inf
    with pytest.raises(ValueError, match="Received: 2 of 32 values") as caught:
        encode_maps(maps, 0.1)
    assert "np.nan_to_num(maps)" in str(caught.value)
    encode_maps(np.nan_to_num(maps), 0.1)
    for shape in ((4,), (), (3, 0, 4), (3, 4, 0)):
        with pytest.raises(ValueError, match=r"Received: maps.shape=\("):
            encode_maps(np.ones(shape))
    for tolerance in (-0.1, np.nan, np.inf, "small", True):
        with pytest.raises(ValueError, match="Received: tolerance="):
            encode_maps(np.ones((4, 4)), tolerance)
    with pytest.raises(ValueError, match="Received: relative=1"):
        encode_maps(np.ones((4, 4)), 0.1, 1)
    with pytest.raises(TypeError, match="Received: maps.dtype=complex"):
        encode_maps(np.ones((4, 4), "complex64"))
    if np.dtype("longdouble").itemsize > 8:
        with pytest.raises(TypeError, match="Received: maps.dtype=float128"):
            encode_maps(np.ones((4, 4), "longdouble"))
    with pytest.raises(TypeError, match="Received: str"):
        decode_maps("maps.bin")
