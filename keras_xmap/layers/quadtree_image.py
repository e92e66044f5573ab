from typing import Any

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.layers._quadtree_inputs import check_leaves
from keras_xmap.layers._quadtree_inputs import check_shapes
from keras_xmap.layers._quadtree_nodes import rows_at


@registered
class QuadtreeImage(keras.layers.Layer):
    """Paints values of leaves as images: where a network on leaves ends.

    Each pixel has the value of its leaf, and 0 where there is none. Paint
    what has few channels, such as the maps of the classes: an image of
    features is what leaves save.

    Args:
        data_format: Where channels go: `"channels_last"`, `"channels_first"`
            or `None` for `keras.config.image_data_format()`. Defaults to
            `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[values, table]`, see `QuadtreeLeaves`.

    Output shape:
        `(batch, height, width, channels)`, under `"channels_first"` `(batch,
        channels, height, width)`.

    Raises:
        ValueError: If the layer is called on anything else.

    Example:

    >>> images = np.array([[[[5.0], [5.0], [1.0]], [[5.0], [5.0], [2.0]]]])
    >>> leaves = keras_xmap.layers.QuadtreeLeaves(0.0, num_levels=2)(images)
    >>> y = keras_xmap.layers.QuadtreeImage()(leaves)
    >>> np.asarray(y)[0, ..., 0].tolist()
    [[5.0, 5.0, 1.0], [5.0, 5.0, 2.0]]
    """

    def __init__(
        self, data_format: DataFormat | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format)

    def build(self, input_shape):
        check_shapes(input_shape)
        self.built = True

    def call(self, inputs: Structure) -> Tensor:
        values, table = check_leaves(inputs)
        images = rows_at(values, table["numbers"])
        # Leaves without a slot have no values, which is not to pass for 0.
        is_whole = table["is_whole"][:, None, None, None]
        images = ops.where(is_whole, images, float("nan"))
        images = ops.cast(images, self.compute_dtype)
        if self.data_format == "channels_first":
            return ops.moveaxis(images, -1, 1)
        return images

    def compute_mask(self, inputs, previous_mask):
        return None

    def compute_output_shape(self, input_shape):
        (batch, _, channels), table = input_shape
        size = tuple(table["numbers"])[1:]
        if self.data_format == "channels_first":
            return (batch, channels, *size)
        return (batch, *size, channels)

    def compute_output_spec(self, inputs):
        values, table = check_leaves(inputs)
        shapes = tuple(values.shape), {"numbers": tuple(table["numbers"].shape)}
        shape = self.compute_output_shape(shapes)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}
