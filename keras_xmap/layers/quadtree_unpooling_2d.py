from typing import Any

import keras

from keras_xmap._saving import registered
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.layers._quadtree_inputs import check_leaves
from keras_xmap.layers._quadtree_inputs import check_shapes
from keras_xmap.layers._quadtree_nodes import rows_at
from keras_xmap.layers._quadtree_nodes import slots_at_half


@registered
class QuadtreeUnpooling2D(keras.layers.Layer):
    """Hands values of leaves to those of the tree of twice the size.

    The way back from `QuadtreePooling2D`: each leaf of the finer tree has the
    value of the one that it lies in, and 0 where there is none. On trees of
    pixels alone this is `UpSampling2D` of Keras. With tables of the cells of
    one level each, made by `ops.quadtree_table` of levels that are 0 or -1,
    it hands the features of a cell to those of its four that are divided
    further.

    ```python
    values, table = QuadtreeLeaves(threshold=32.0)(images)
    x, pooled_table = QuadtreePooling2D()([values, table])
    x = QuadtreeConv2D(64, activation="relu")([x, pooled_table])
    x = QuadtreeUnpooling2D()([x, pooled_table, table])
    x = keras.layers.Concatenate()([values, x])
    ```

    Args:
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[values, table, finer_table]`: values of the leaves of
        `table`, see `QuadtreeLeaves`, and the table of an image of twice the
        size.

    Output shape:
        `(batch, slots, channels)`, values of the leaves of `finer_table`.

    Raises:
        ValueError: If the layer is called on anything else, or the sizes of
            the images do not fit.

    Example:

    >>> images = np.array([[[[1.0], [2.0]], [[3.0], [6.0]]]])
    >>> x, table = keras_xmap.layers.QuadtreeLeaves(0.0, 2)(images)
    >>> x, pooled = keras_xmap.layers.QuadtreePooling2D()([x, table])
    >>> y = keras_xmap.layers.QuadtreeUnpooling2D()([x, pooled, table])
    >>> np.asarray(y)[0, :4, 0].tolist()
    [6.0, 6.0, 6.0, 6.0]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape):
        check_shapes(input_shape, "values", "table", "finer_table")
        self.built = True

    def call(self, inputs: Structure) -> Tensor:
        values, table, finer = _checked(inputs)
        return rows_at(values, slots_at_half(finer, table))

    def compute_mask(self, inputs, previous_mask):
        return inputs[2]["filled"]

    def compute_output_shape(self, input_shape):
        (batch, _, channels), _, finer = input_shape
        return (batch, tuple(finer["filled"])[1], channels)

    def compute_output_spec(self, inputs):
        values, _, finer = _checked(inputs)
        shape = (values.shape[0], finer["filled"].shape[1], values.shape[-1])
        return keras.KerasTensor(shape, self.compute_dtype)


def _checked(inputs):
    values, table, finer = check_leaves(
        inputs, "values", "table", "finer_table"
    )
    size, finer_size = (tuple(x["numbers"].shape[1:]) for x in (table, finer))
    if any(
        None not in pair and pair[0] != (pair[1] + 1) // 2
        for pair in zip(size, finer_size, strict=True)
    ):
        raise ValueError(
            "`finer_table` must be that of an image of twice the size. "
            f"Received: images of {finer_size} and {size} pixels. Give the "
            "table that went into QuadtreePooling2D."
        )
    return values, table, finer
