from typing import Any

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._axes import spatial_shape
from keras_xmap._checks import check_odd
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.layers._mask import check_mask_pair
from keras_xmap.layers._mask import shapes_of
from keras_xmap.layers._mask import with_channel
from keras_xmap.layers._quadtree_nodes import place
from keras_xmap.layers._quadtree_nodes import rows_at
from keras_xmap.ops import quadtree_table


@registered
class BlockSparseConv2D(keras.layers.Layer):
    """2D convolution in the blocks of an image that a mask touches.

    The image is covered by squares of `block_size` pixels. Where a mask is
    true anywhere in a square, the whole of it has what `Conv2D` with
    `padding="same"` has there, exactly: what lies around the square is read
    too. All other squares are 0 and cost nothing. The weights are those of
    `Conv2D`.

    Features come in and go out as images, so that the layer stands between
    any others. It is for masks that cover a part of the image in few pieces,
    such as a region of interest; see the docs for what it saves. Where few
    pixels change, but everywhere, `QuadtreeConv2D` computes less.

    Args:
        filters: Integer >= 1, the channels of the output.
        kernel_size: Odd integer, the side of the square kernel. Defaults to
            `3`.
        block_size: Integer >= 1, the side of the squares. Defaults to `16`.
        kernel_initializer: What `Conv2D` takes. Defaults to
            `"glorot_uniform"`.
        capacity: Integer: for how many squares of an image there is room.
            `None` makes it for as many as there are; it has to be given where
            a model is compiled by XLA. More are an error, or become NaN in
            what is compiled. Defaults to `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[features, mask]`: features `(batch, height, width,
        channels)`, mask `(batch, height, width)` or `(batch, height, width,
        1)`; under `"channels_first"` `(batch, channels, height, width)`, and
        the mask `(batch, height, width)` or `(batch, 1, height, width)`. The
        mask may be boolean, integer or float; all but 0 is true.

    Output shape:
        `(batch, height, width, filters)`, or with channels first.

    Raises:
        ValueError: If an argument is out of range, features and mask do not
            fit together, or more squares are touched than `capacity`.

    References:
        - [Ren et al., 2018](https://arxiv.org/abs/1801.02108)

    Example:

    >>> features, mask = np.ones((1, 4, 4, 1)), np.zeros((1, 4, 4))
    >>> mask[0, 0, 3] = 1.0
    >>> layer = keras_xmap.layers.BlockSparseConv2D(
    ...     1, block_size=2, kernel_initializer="ones"
    ... )
    >>> y = layer([features, mask])  # the square above right
    >>> np.asarray(y)[0, ..., 0].tolist()
    [[0.0, 0.0, 6.0, 4.0], [0.0, 0.0, 9.0, 6.0], [0.0, ...], [0.0, ...]]
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        block_size: int = 16,
        kernel_initializer: Structure = "glorot_uniform",
        capacity: int | None = None,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_positive_integer("filters", filters)
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.block_size = check_positive_integer("block_size", block_size)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.capacity = check_optional(
            check_positive_integer, "capacity", capacity
        )
        self.data_format = check_data_format(data_format)
        # XLA wants to know sizes beforehand.
        self.supports_jit = capacity is not None

    def build(self, input_shape):
        shape = self._checked(input_shape)
        channels = shape[-1 if self.data_format == "channels_last" else 1]
        if channels is None:
            raise ValueError(
                "The number of channels of `features` must be known. "
                f"Received: features.shape={shape}."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, channels, self.filters),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.filters,), initializer="zeros"
        )
        self.built = True

    def call(self, inputs: Structure) -> Tensor:
        self._checked(shapes_of(inputs, "features"))
        features, mask = inputs
        features = ops.cast(features, self.compute_dtype)
        mask = with_channel(mask, self.data_format, "bool")
        if self.data_format == "channels_first":
            features = ops.moveaxis(features, 1, -1)
            mask = ops.moveaxis(mask, 1, -1)
        touched = _squares(mask, self.block_size, fill=False)
        touched = ops.any(ops.any(touched, axis=4), axis=2)[..., 0]
        levels = ops.where(touched, 0, -1)
        table = quadtree_table(levels, 1, 1, self.capacity)
        y = ops.conv(
            self._windows(features, table),
            self.kernel,
            padding="valid",
            data_format="channels_last",
        )
        y = ops.add(y, self.bias)
        images = self._painted(y, table, ops.shape(features))
        if self.data_format == "channels_first":
            return ops.moveaxis(images, -1, 1)
        return images

    def _checked(self, input_shape):
        return check_mask_pair(
            input_shape, "features", self.data_format, same_size=True
        )

    def _windows(self, features, table):
        """Returns the touched squares with what the kernel reads around."""
        reach, size = self.kernel_size // 2, self.block_size
        batch, height, width, channels = ops.shape(features)
        after = reach - height % -size, reach - width % -size
        features = ops.pad(
            features, ((0, 0), (reach, after[0]), (reach, after[1]), (0, 0))
        )
        _, height, width, _ = ops.shape(features)
        rows = ops.reshape(features, (batch * height * width, channels))
        steps = ops.arange(size + 2 * reach, dtype="int32")
        first = table["leaves"][..., :2, None] * size + steps
        down, across = first[:, :, 0, :, None], first[:, :, 1, None, :]
        numbers = place(down * width + across, height * width)
        side = size + 2 * reach
        numbers = ops.reshape(numbers, (-1, side, side))
        return ops.take(rows, numbers, axis=0)

    def _painted(self, y, table, shape):
        """Returns images of squares, 0 where none was touched."""
        batch, height, width = shape[:3]
        slots = ops.shape(table["filled"])[1]
        entries = self.block_size**2 * self.filters
        squares = ops.reshape(y, (batch, slots, entries))
        squares = rows_at(squares, table["numbers"])
        is_whole = table["is_whole"][:, None, None, None]
        squares = ops.where(is_whole, squares, float("nan"))
        down, across = ops.shape(squares)[1:3]
        size = self.block_size
        squares = ops.reshape(
            squares, (batch, down, across, size, size, self.filters)
        )
        images = ops.reshape(
            ops.transpose(squares, (0, 1, 3, 2, 4, 5)),
            (batch, down * size, across * size, self.filters),
        )
        images = ops.cast(images, self.compute_dtype)
        return images[:, :height, :width]

    def compute_output_shape(self, input_shape):
        shape = self._checked(input_shape)
        size = spatial_shape(shape, self.data_format)
        if self.data_format == "channels_first":
            return (shape[0], self.filters, *size)
        return (shape[0], *size, self.filters)

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape([tuple(x.shape) for x in inputs])
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "block_size": self.block_size,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "capacity": self.capacity,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _squares(x, size, fill):
    """Returns `(batch, rows, size, columns, size, channels)` of an image."""
    batch, height, width, channels = ops.shape(x)
    after = (0, -height % size), (0, -width % size)
    x = ops.pad(x, ((0, 0), *after, (0, 0)), constant_values=fill)
    _, height, width, _ = ops.shape(x)
    down, across = height // size, width // size
    return ops.reshape(x, (batch, down, size, across, size, channels))
