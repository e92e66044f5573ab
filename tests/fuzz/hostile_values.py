"""What somebody may pass where something else belongs."""

import keras
import numpy as np

NAN = float("nan")


class Plain:
    def __repr__(self):
        return "<Plain>"


# By name, each made anew for every call.
VALUES = {
    "None": lambda: None,
    "true": lambda: True,
    "no text": lambda: "",
    "text": lambda: "hostile",
    "bytes": lambda: b"hostile",
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "-0.5": lambda: -0.5,
    "nan": lambda: NAN,
    "inf": lambda: float("inf"),
    "2**63": lambda: 2**63,
    "complex": lambda: 1j,
    "object": Plain,
    "class": lambda: Plain,
    "function": lambda: lambda *arguments: None,
    "no list": lambda: [],
    "list": lambda: [1, 2, 3],
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "texts": lambda: ["a", "b"],
    "dictionary": lambda: {"a": 1},
    "set": lambda: {1, 2},
    "scalar": lambda: np.float32(-3.0),
    "no array": lambda: np.zeros(0, "float32"),
    "vector": lambda: np.array([1.0, NAN, -2.0]),
    "rank 5": lambda: np.zeros((2, 1, 3, 2, 2), "float32"),
    "nan array": lambda: np.full((2, 4, 4), NAN, "float32"),
    "integers": lambda: np.ones((2, 4, 4, 3), "int64"),
    "array of text": lambda: np.array(["a", "b"]),
    "objects": lambda: np.array([None, {}], "object"),
    "tensor": lambda: keras.ops.ones((2, 3)),
    "symbol": lambda: keras.KerasTensor((None, 4, 4, 3)),
}

# What is no number, whatever a number is for.
NO_NUMBERS = ("nan", "text", "bytes", "complex", "object", "list", "no array")
