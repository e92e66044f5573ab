from typing import Any
from typing import Literal

import keras
from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import known_integer
from keras_xmap._saving import registered
from keras_xmap._typing import Structure
from keras_xmap.layers._quadtree_inputs import MaskedSlots
from keras_xmap.layers._quadtree_inputs import check_leaves
from keras_xmap.layers._quadtree_inputs import check_shapes
from keras_xmap.layers._quadtree_inputs import table_shapes
from keras_xmap.layers._quadtree_inputs import table_spec
from keras_xmap.layers._quadtree_nodes import areas
from keras_xmap.layers._quadtree_nodes import maxima_at
from keras_xmap.layers._quadtree_nodes import slots_at_half
from keras_xmap.layers._quadtree_nodes import sums_at
from keras_xmap.ops import halves
from keras_xmap.ops import quadtree_table


@registered
class QuadtreePooling2D(keras.layers.Layer):
    """Pools leaves of single pixels in fours; the image is half as large.

    What follows sees an image of `(height + 1) // 2` times `(width + 1) // 2`
    pixels and a tree of one level less: leaves of one pixel become one with
    their neighbors, and all others keep their values, at half their side. On
    trees of pixels alone this is the pooling of Keras with `padding="same"`.
    `QuadtreeUnpooling2D` leads back to the finer tree.

    Args:
        pooling: `"max"` or `"mean"`, that over the pixels of the image.
            Defaults to `"max"`.
        capacity: Integer: the slots of an image from here on. `None` makes as
            many as are wanted, or as before where that has to be known
            beforehand; see `QuadtreeLeaves`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[values, table]`, see `QuadtreeLeaves`.

    Output shape:
        A tuple `(values, table)` of the smaller image.

    Raises:
        ValueError: If an argument is unknown, or an image has more leaves
            than `capacity`.

    Example:

    >>> images = np.array([[[[1.0], [2.0]], [[3.0], [6.0]]]])
    >>> leaves = keras_xmap.layers.QuadtreeLeaves(0.0, num_levels=2)(images)
    >>> leaves = keras_xmap.layers.QuadtreePooling2D("mean")(leaves)
    >>> np.asarray(keras_xmap.layers.QuadtreeImage()(leaves)).tolist()
    [[[[3.0]]]]
    """

    def __init__(
        self,
        pooling: Literal["max", "mean"] = "max",
        capacity: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pooling = check_one_of("pooling", pooling, ("max", "mean"))
        self.capacity = check_optional(
            check_positive_integer, "capacity", capacity
        )
        self._masked = MaskedSlots(dtype=self.dtype_policy)

    def build(self, input_shape):
        check_shapes(input_shape)
        self.built = True

    def call(self, inputs: Structure) -> Structure:
        values, table = check_leaves(inputs)
        pooled_table = quadtree_table(
            _levels_at_half(table),
            max(1, len(table["parents"]) - 1),
            round(table["neighbors"].shape[-1] ** 0.5),
            self._capacity_after(table),
        )
        numbers = slots_at_half(table, pooled_table)
        slots = ops.shape(pooled_table["filled"])[1]
        if self.pooling == "max":
            pooled = maxima_at(values, numbers, slots)
        else:
            area = ops.cast(areas(table), values.dtype)[..., None]
            pooled = sums_at(values * area, numbers, slots)
            pooled = pooled / ops.maximum(sums_at(area, numbers, slots), 1)
        pooled = ops.where(pooled_table["filled"][..., None], pooled, 0)
        is_whole = ops.logical_and(table["is_whole"], pooled_table["is_whole"])
        pooled = ops.where(is_whole[:, None, None], pooled, float("nan"))
        pooled = ops.cast(pooled, self.compute_dtype)
        return self._masked([pooled, pooled_table["filled"]]), pooled_table

    def _capacity_after(self, table):
        slots = table["filled"].shape[1]
        if self.capacity is not None or slots is None:
            return self.capacity
        is_traced = known_integer(ops.max(table["leaves"])) is None
        return slots if is_traced else None

    def compute_mask(self, inputs, previous_mask):
        return None  # that of the other slots is on the values

    def compute_output_shape(self, input_shape):
        (batch, _, channels), table = input_shape
        size = tuple(table["numbers"])[1:]
        shapes = table_shapes(
            batch,
            [None if x is None else (x + 1) // 2 for x in size],
            self.capacity,
            max(1, len(table["parents"]) - 1),
            table["neighbors"][-1],
        )
        return (batch, self.capacity, channels), shapes

    def compute_output_spec(self, inputs):
        check_leaves(inputs)
        shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
        values, table = self.compute_output_shape(shapes)
        values = keras.KerasTensor(values, self.compute_dtype)
        return values, table_spec(table)

    def get_config(self):
        config = {"pooling": self.pooling, "capacity": self.capacity}
        return {**super().get_config(), **config}


def _levels_at_half(table):
    """Returns the levels of the tree of the image of half the size."""
    levels = ops.where(table["filled"], table["leaves"][..., 2], -1)
    levels = ops.pad(levels, ((0, 0), (0, 1)), constant_values=-1)
    batch, height, width = ops.shape(table["numbers"])
    numbers = ops.reshape(table["numbers"], (batch, -1))
    levels = ops.take_along_axis(levels, numbers, axis=1)
    levels = ops.reshape(levels, (batch, height, width))
    for axis, length in enumerate((height, width), 1):
        levels = ops.maximum(*halves(levels, axis, length))
    return ops.where(levels < 0, -1, ops.maximum(levels - 1, 0))
