from typing import Any

import keras
from keras import ops

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_odd
from keras_xmap._checks import check_positive_integer
from keras_xmap._saving import registered
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap._warnings import warn_user
from keras_xmap.layers._quadtree_inputs import check_leaves
from keras_xmap.layers._quadtree_inputs import check_shapes
from keras_xmap.layers._quadtree_nodes import convolve

# Leaves a pixel from which on dense convolutions train as fast; see docs.
CROSSING = 0.35
# Smaller images take no time anyway.
_LEAST_PIXELS = 4096


@registered
class QuadtreeConv2D(keras.layers.Layer):
    """2D convolution on the leaves of quadtrees, each at its own scale.

    A leaf of `s` pixels a side is convolved with the squares of `s` pixels
    around it: the leaf there, the one that covers the square, or the mean of
    those within it; 0 outside the image. Where all leaves are pixels this is
    `Conv2D` with `padding="same"`, and the weights are those of `Conv2D`; on
    larger leaves it is another operation, not one that approximates it, so
    networks are trained on leaves, not converted.

    Of `N` leaves the cost is `N / (height * width)` of the dense one, with
    what gathering adds, and on the way back a scatter. Values stay on leaves
    from layer to layer, and the table of neighbors is made once:

    ```python
    values, table = QuadtreeLeaves(threshold=32.0)(images)
    x = QuadtreeConv2D(32, activation="relu")([values, table])
    x = QuadtreeConv2D(32, activation="relu")([x, table])
    ```

    Training keeps the values of leaves alone: what is gathered around them is
    gathered anew on the way back. Four layers of 32 channels, on a photo of
    512 x 512 pixels and a busy CPU, beside `Conv2D`: at .06 leaves a pixel 8
    times faster forward, 6 times in training, and 16 times less is kept, 13
    with the table. As fast as dense is a forward pass at .43 leaves a pixel
    and a step of training at .37; the layer warns above .35 where it knows how
    many slots there are.

    Args:
        filters: Integer >= 1, the channels of the output.
        kernel_size: Odd integer, the side of the square kernel, at most that
            of the table. Defaults to `3`.
        activation: What `keras.layers.Activation` takes. Defaults to `None`.
        use_bias: Boolean. Defaults to `True`.
        kernel_initializer: What `Conv2D` takes. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer: What `Conv2D` takes. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[values, table]`: values `(batch, slots, channels)`, and the
        table of `QuadtreeLeaves` or `ops.quadtree_table`.

    Output shape:
        `(batch, slots, filters)`, values for the same table.

    Raises:
        ValueError: If an argument is out of range, the inputs are no such
            list, or the table was made for smaller kernels.

    References:
        - [Chitta et al., 2020](https://arxiv.org/abs/1907.11821)

    Example:

    >>> images = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> values, table = keras_xmap.layers.QuadtreeLeaves(0.0)(images)
    >>> layer = keras_xmap.layers.QuadtreeConv2D(1, kernel_initializer="ones")
    >>> y = layer([values, table])
    >>> float(y[0, 4, 0])  # the sum of all nine, around the fourth
    36.0
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        activation: Structure = None,
        use_bias: bool = True,
        kernel_initializer: Structure = "glorot_uniform",
        kernel_regularizer: Structure = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_positive_integer("filters", filters)
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.activation = keras.activations.get(activation)
        self.use_bias = check_boolean("use_bias", use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._has_warned = False

    def build(self, input_shape):
        shape = tuple(check_shapes(input_shape)[0])
        channels = shape[-1]
        if channels is None:
            raise ValueError(
                "The number of channels of `values` must be known. Received: "
                f"values.shape={shape}."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, channels, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.filters,), initializer="zeros"
            )
        self.built = True

    def call(self, inputs: Structure) -> Tensor:
        values, table = self._checked(inputs)
        self._warn_of_many_leaves(table)
        matrix = ops.reshape(self.kernel, (-1, self.filters))
        y = convolve(values, matrix, table)
        if self.bias is not None:
            y = ops.add(y, self.bias)
        return y if self.activation is None else self.activation(y)

    def _checked(self, inputs):
        values, table = check_leaves(inputs)
        side = round(table["neighbors"].shape[-1] ** 0.5)
        if self.kernel_size > side:
            raise ValueError(
                "`kernel_size` must be at most that of the table. Received: "
                f"kernel_size={self.kernel_size} for a table of "
                f"kernel_size={side}. Give QuadtreeLeaves or quadtree_table "
                f"kernel_size={self.kernel_size}."
            )
        return values, table

    def _warn_of_many_leaves(self, table):
        slots, size = table["filled"].shape[1], table["numbers"].shape[1:]
        if self._has_warned or None in (slots, *size):
            return
        pixels = size[0] * size[1]
        if pixels >= _LEAST_PIXELS and slots > CROSSING * pixels:
            self._has_warned = True
            warn_user(
                f"{self.name} has {slots} slots for leaves of images of "
                f"{pixels} pixels, {slots / pixels:.2f} a pixel. Above some "
                f"{CROSSING}, Conv2D is as fast. A higher threshold makes "
                "fewer leaves, and a smaller `capacity` fewer empty slots."
            )

    def compute_mask(self, inputs, previous_mask):
        return inputs[1]["filled"]

    def compute_output_shape(self, input_shape):
        return (*tuple(input_shape[0])[:2], self.filters)

    def compute_output_spec(self, inputs):
        values, _ = self._checked(inputs)
        shape = (*values.shape[:2], self.filters)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "kernel_regularizer": keras.regularizers.serialize(
                self.kernel_regularizer
            ),
        }
        return {**super().get_config(), **config}
