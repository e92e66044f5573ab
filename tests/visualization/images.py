"""Images of every kind, of the same content."""

import numpy as np
import pytest

GRAY = np.array([[0.0, 0.2], [0.6, 1.0]])
GRAY_UINT8 = np.array([[0, 51], [153, 255]], "uint8")
RGB_UINT8 = np.stack([GRAY_UINT8] * 3, axis=-1)
COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 8, 7]]])

KINDS = {
    "float in 0..1": GRAY,
    "float32 in 0..1": GRAY.astype("float32"),
    "float in 0..255": 255 * GRAY,
    "float16 in 0..255": (255 * GRAY).astype("float16"),
    "uint8": GRAY_UINT8,
    "int64": GRAY_UINT8.astype("int64"),
    "uint16 in 0..255": GRAY_UINT8.astype("uint16"),
    "one channel": GRAY[..., None],
    "RGB float": np.stack([GRAY] * 3, axis=-1),
    "RGB uint8": RGB_UINT8,
    "opaque RGBA": np.dstack([RGB_UINT8, np.full((2, 2), 255, "uint8")]),
    "opaque RGBA float": np.dstack([GRAY] * 3 + [np.ones((2, 2))]),
    "nested lists": GRAY.tolist(),
}
all_kinds = pytest.mark.parametrize("image", KINDS.values(), ids=KINDS)
