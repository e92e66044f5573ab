"""What layers on the leaves of quadtrees take and hand on."""

import reprlib

import keras

from keras_xmap._axes import spatial_shape
from keras_xmap._numeric import check_numeric

_DTYPES = {
    "leaves": "int32",
    "filled": "bool",
    "numbers": "int32",
    "neighbors": "int32",
    "parents": "int32",
    "shares": "float32",
    "is_whole": "bool",
}
_REMEDY = (
    "`layers.QuadtreeLeaves` makes both of images, `ops.quadtree_table` the "
    "table."
)


def check_leaves(inputs, *names):
    """Returns `[values, table]`, or what `names` call, of a layer's inputs."""
    names = names or ("values", "table")
    right = isinstance(inputs, (list, tuple)) and len(inputs) == len(names)
    if not right or not all(_is_table(table) for table in inputs[1:]):
        raise ValueError(
            f"The layer must be called on a list `[{', '.join(names)}]`. "
            f"Received: inputs={described(inputs)}. {_REMEDY}"
        )
    values, *tables = inputs
    check_numeric("values", values)
    check_values(values.shape, tables[0]["filled"].shape)
    return values, *tables


def check_shapes(input_shape, *names):
    """Returns the shapes of `[values, table]`, or what `names` call."""
    names = names or ("values", "table")
    right = isinstance(input_shape, (list, tuple))
    right = right and len(input_shape) == len(names)
    if not right or not all(_is_table(table) for table in input_shape[1:]):
        raise ValueError(
            f"The layer must be called on a list `[{', '.join(names)}]`. "
            f"Received: input_shape={reprlib.repr(input_shape)}. {_REMEDY}"
        )
    return input_shape


def check_values(shape, filled):
    """Raises unless a shape is that of values in the slots of a table."""
    shape, filled = tuple(shape), tuple(filled)
    if len(shape) != 3 or any(
        None not in pair and pair[0] != pair[1]
        for pair in zip(shape[:2], filled, strict=True)
    ):
        raise ValueError(
            "`values` must be (batch, slots, channels), with the batch and "
            "the slots of the table. Received: values.shape="
            f"{shape} for (batch, slots)={filled}. {_REMEDY}"
        )


def table_shapes(batch, size, slots, num_levels, cells):
    """Returns the shapes of a table, where they are known before the call."""
    levels = [(batch, slots), *[(batch, None)] * (num_levels - 1)]
    return {
        "leaves": (batch, slots, 3),
        "filled": (batch, slots),
        "numbers": (batch, *size),
        "neighbors": (batch, slots, cells),
        "parents": levels,
        "shares": list(levels),
        "is_whole": (batch,),
    }


def table_spec(shapes):
    """Returns symbolic tensors of the shapes of a table."""
    spec = {}
    for name, shape in shapes.items():
        dtype = _DTYPES[name]
        spec[name] = (
            [keras.KerasTensor(x, dtype) for x in shape]
            if isinstance(shape, list)
            else keras.KerasTensor(shape, dtype)
        )
    return spec


def check_images(name, images):
    """Returns a tensor, which must have a batch and channels."""
    if len(check_numeric(name, images).shape) != 4:
        raise ValueError(
            f"`{name}` must have a batch, two spatial and a channel axis. "
            f"Received: {name}.shape={tuple(images.shape)}."
        )
    return images


def check_features(inputs, data_format):
    """Returns `[features, levels]`, of one batch and size."""
    if len(inputs) != 2 or not all(hasattr(x, "shape") for x in inputs):
        raise ValueError(
            "The layer must be called on a list `[features, levels]` of "
            f"tensors. Received: inputs={described(inputs)}."
        )
    features, levels = check_images("features", inputs[0]), inputs[1]
    size = spatial_shape(features.shape, data_format)
    shapes = (features.shape[0], *size), tuple(levels.shape)
    if len(shapes[1]) != 3 or any(
        None not in pair and pair[0] != pair[1]
        for pair in zip(*shapes, strict=True)
    ):
        raise ValueError(
            "`levels` must be (batch, height, width), with the batch and the "
            f"size of the features. Received: levels.shape={shapes[1]} for "
            f"(batch, height, width)={shapes[0]}."
        )
    return features, levels


class MaskedSlots(keras.layers.Layer):
    """Marks values in empty slots for what computes statistics of values."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # JAX would run a model once more, uncompiled, to build what is not.
        self.built = True

    def call(self, inputs):
        return inputs[0]

    def compute_mask(self, inputs, previous_mask):
        return inputs[1]


def _is_table(value):
    return isinstance(value, dict) and _DTYPES.keys() <= value.keys()


def described(inputs):
    if isinstance(inputs, (list, tuple)):
        entries = ", ".join(described(entry) for entry in inputs)
        return f"[{entries}]"
    if hasattr(inputs, "shape"):
        return f"a tensor of shape {tuple(inputs.shape)}"
    return reprlib.repr(inputs)
