import numpy as np
import pytest

from keras_xmap.regions import decode_run_lengths
from keras_xmap.regions import encode_run_lengths

# Counts, and by hand the characters: five bits each from the low end, 48
# more, 32 more where another follows; from the fourth on the difference to
# the one two before. pycocotools 2.0.11 writes the same.
STRINGS = [
    ([2, 2], "22"),
    ([40], "X1"),  # 40 = 8 + 32 * 1
    ([16], "`0"),  # bit 16 alone would be a sign
    ([1, 5, 1, 2], "151M"),  # 2 - 5 = -3, or 29 of 32
    ([0, 100, 1, 3], "0T31oL"),  # 3 - 100 = -97 = 31 - 32 * 4
]


def column(counts):
    """A mask of one column with these runs."""
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts)[:, None]


@pytest.mark.parametrize("counts, string", STRINGS)
def test_the_string_is_that_of_coco(counts, string):
    size = [sum(counts), 1]
    mask = column(counts)
    expected = {"size": size, "counts": string}
    assert encode_run_lengths(mask) == expected
    expected["counts"] = counts
    assert encode_run_lengths(mask, compressed=False) == expected
    for written in (string, string.encode(), counts):
        read = decode_run_lengths({"size": size, "counts": written})
        assert (read == mask).all() and read.dtype == bool


def test_columns_come_first_and_pixels_outside_are_counted_first():
    mask = np.array([[1, 0, 0], [1, 1, 0]])
    runs = encode_run_lengths(mask, compressed=False)
    assert runs == {"size": [2, 3], "counts": [0, 2, 1, 1, 2]}
    assert (decode_run_lengths(runs) == mask).all()


@pytest.mark.parametrize("compressed", [True, False])
def test_masks_of_every_size_and_density_come_back(compressed):
    rng = np.random.default_rng(0)
    for _ in range(200):
        mask = rng.uniform(size=rng.integers(1, 70, 2)) < rng.uniform(-0.1, 1.1)
        runs = encode_run_lengths(mask, compressed)
        assert (decode_run_lengths(runs) == mask).all()
    large = np.zeros((1000, 1000), "bool")
    large[300:700, 300:700] = True
    runs = encode_run_lengths(large, compressed)
    assert (decode_run_lengths(runs) == large).all()


def test_wrong_run_lengths_are_named():
    with pytest.raises(ValueError, match=r"Received: 2 counts of sum 5"):
        decode_run_lengths({"size": [2, 2], "counts": [2, 3]})
    with pytest.raises(ValueError, match="Received: -1 for 4 pixels"):
        decode_run_lengths({"size": [2, 2], "counts": [5, -1]})
    for wrong in ("a b", "2X", "~"):
        with pytest.raises(ValueError, match="Received: b'"):
            decode_run_lengths({"size": [2, 2], "counts": wrong})
    for counts, message in [
        ([2**70], "Received: 1180591620717411303424 for 4 pixels"),
        ([1.0, 3], "Received: 1.0"),
        (["1", 3], "Received: '1'"),
        ([True, 3], "Received: True"),
        (np.ones(4), "Received: dtype"),
        (None, "Received: None"),
        ("o" * 12 + "0", "at most 12 characters. Received: b'oooo"),
        ("ä", r"Received: b'\\xc3"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            decode_run_lengths({"size": [2, 2], "counts": counts})
    for size in (5, [2], [2.0, 2], ["2", 2], [-2, -2], [True, 4], None):
        with pytest.raises(ValueError, match="height and a width. Received: "):
            decode_run_lengths({"size": size, "counts": [4]})
    with pytest.raises(ValueError, match=r"Received: mask.shape=\(4,\)"):
        encode_run_lengths(np.ones(4))
    with pytest.raises(TypeError, match="Received: run_lengths='22'"):
        decode_run_lengths("22")
    with pytest.raises(ValueError, match="Received: compressed='yes'"):
        encode_run_lengths(np.ones((2, 2)), "yes")
