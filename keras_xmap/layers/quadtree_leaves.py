from typing import Any

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import check_data_format
from keras_xmap._axes import spatial_shape
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_integer
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_odd
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Structure
from keras_xmap.layers._quadtree_inputs import MaskedSlots
from keras_xmap.layers._quadtree_inputs import check_features
from keras_xmap.layers._quadtree_inputs import check_images
from keras_xmap.layers._quadtree_inputs import described
from keras_xmap.layers._quadtree_inputs import table_shapes
from keras_xmap.layers._quadtree_inputs import table_spec
from keras_xmap.layers._quadtree_nodes import means_of_leaves
from keras_xmap.ops import quadtree
from keras_xmap.ops import quadtree_table

_MOST_LEVELS = 31


@registered
class QuadtreeLeaves(keras.layers.Layer):
    """Divides images into the leaves of quadtrees, for layers on leaves.

    Where a network on leaves begins: it returns `values`, the mean colour of
    each leaf, and the `table` of what lies around them, made once and shared
    by all layers that follow:

    ```python
    values, table = QuadtreeLeaves(threshold=32.0)(images)
    x = QuadtreeConv2D(32, activation="relu")([values, table])
    x = QuadtreeConv2D(32, activation="relu")([x, table])
    maps = QuadtreeImage()([x, table])
    ```

    Values are `(batch, slots, channels)`: any layer of Keras that works on
    the last axis may stand between, a `Dense` as a convolution of size 1,
    `BatchNormalization` (empty slots are masked), `Concatenate`. The table is
    a dict, see `ops.quadtree_table`; hand it on as it is.

    The network sees how large a leaf is only if it is told:
    `with_level=True` adds the level as a channel. In a first trial, on scenes
    of digits, a segmentation network on leaves learnt nothing without it, and
    as much as a dense one with it.

    Args:
        threshold: Float >= 0, in the unit of the images: the most by which a
            channel may vary within a leaf, see `ops.quadtree`. `None` if the
            layer is called on `[features, levels]`. Defaults to `None`.
        num_levels: Integer from 1 to 31: how many sizes of leaves there are,
            1, 2, 4, ... pixels. Defaults to `6`, up to 32 pixels.
        kernel_size: Odd integer: the largest kernel of the layers that
            follow. Defaults to `3`.
        capacity: Integer: the slots of an image. `None` makes as many as the
            image with the most leaves wants; it has to be given where a model
            is compiled by XLA, as with `jit_compile=True`. Images with more
            leaves are an error, or become NaN in what is compiled. Defaults to
            `None`.
        with_level: Boolean: whether the level of each leaf, from 0 to 1, is
            added as the last channel. Defaults to `False`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        Images `(batch, height, width, channels)`, or under `"channels_first"`
        `(batch, channels, height, width)`; or a list `[features, levels]` of
        such features and the levels `(batch, height, width)` of other trees,
        of `ops.quadtree` or with -1 where there is nothing.

    Output shape:
        A tuple `(values, table)`: values `(batch, slots, channels)`.

    Raises:
        ValueError: If an argument is out of range, `threshold` is missing or
            given besides levels, or an image has more leaves than `capacity`.

    Example:

    >>> images = np.zeros((1, 4, 4, 1))
    >>> images[0, 0, 0] = 9.0
    >>> layer = keras_xmap.layers.QuadtreeLeaves(1.0, num_levels=3, capacity=8)
    >>> values, table = layer(images)
    >>> np.asarray(values)[0, :, 0].tolist()  # four pixels, three squares
    [9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> int(table["filled"].numpy().sum())
    7
    """

    def __init__(
        self,
        threshold: Number | None = None,
        num_levels: int = 6,
        kernel_size: int = 3,
        capacity: int | None = None,
        with_level: bool = False,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.threshold = check_optional(
            check_non_negative, "threshold", threshold
        )
        self.num_levels = check_integer(
            "num_levels", num_levels, 1, _MOST_LEVELS
        )
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.capacity = check_optional(
            check_positive_integer, "capacity", capacity
        )
        self.with_level = check_boolean("with_level", with_level)
        self.data_format = check_data_format(data_format)
        # XLA wants to know sizes beforehand.
        self.supports_jit = capacity is not None
        self._masked = MaskedSlots(dtype=self.dtype_policy)

    def build(self, input_shape):
        self.built = True

    def call(self, inputs: Structure) -> Structure:
        features, levels = self._given(inputs)
        table = quadtree_table(
            levels, self.num_levels, self.kernel_size, self.capacity
        )
        values = means_of_leaves(features, table)
        if self.with_level:
            level = ops.cast(table["leaves"][..., 2:], values.dtype)
            level = level / max(1, self.num_levels - 1)
            values = ops.concatenate([values, level], axis=-1)
        # Too few slots cannot stop what is compiled, but nothing comes of it.
        is_whole = table["is_whole"][:, None, None]
        values = ops.where(is_whole, values, float("nan"))
        values = ops.cast(values, self.compute_dtype)
        return self._masked([values, table["filled"]]), table

    def _given(self, inputs):
        """Returns features, channels last, and levels."""
        if (self.threshold is None) != isinstance(inputs, (list, tuple)):
            raise ValueError(
                "`threshold` must be given for a layer that is called on "
                "images, and for none that is called on `[features, levels]`. "
                f"Received: threshold={self.threshold} and a call on "
                f"{described(inputs)}."
            )
        if self.threshold is None:
            features, levels = check_features(inputs, self.data_format)
        else:
            features = check_images("inputs", inputs)
        if self.data_format == "channels_first":
            features = ops.moveaxis(features, 1, -1)
        if self.threshold is not None:
            levels = quadtree(features, self.threshold, self.num_levels)
        return features, levels

    def compute_output_shape(self, input_shape):
        shape = input_shape
        if isinstance(input_shape[0], (list, tuple)):
            shape = input_shape[0]
        channels = shape[channel_axis(self.data_format)]
        if channels is not None and self.with_level:
            channels += 1
        table = table_shapes(
            shape[0],
            spatial_shape(shape, self.data_format),
            self.capacity,
            self.num_levels,
            self.kernel_size**2,
        )
        return (shape[0], self.capacity, channels), table

    def compute_output_spec(self, inputs):
        shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
        values, table = self.compute_output_shape(shapes)
        values = keras.KerasTensor(values, self.compute_dtype)
        return values, table_spec(table)

    def get_config(self):
        config = {
            "threshold": self.threshold,
            "num_levels": self.num_levels,
            "kernel_size": self.kernel_size,
            "capacity": self.capacity,
            "with_level": self.with_level,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}
