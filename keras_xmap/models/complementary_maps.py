import keras

from keras_xmap.layers import ComplementaryHead


def complementary_maps(model):
    """Makes the model of the fused maps of a model with complementary heads.

    It shares the weights of `model`, so that it can be made before or after
    training. What the maps are, `layers.ComplementaryHead` tells.

    Args:
        model: A model as `complementary` makes, or any functional model with
            one `layers.ComplementaryHead` of its own.

    Returns:
        A `keras.Model` with the inputs of `model` and one output, the fused
        maps `(batch, height, width, num_classes)`, at the size of the
        features; under `"channels_first"` `(batch, num_classes, height,
        width)`. Resize them with `ops.resize`.

    Raises:
        ValueError: If `model` has none or several such heads.

    Example:

    >>> inputs = keras.Input((8, 8, 4))
    >>> head = keras_xmap.layers.ComplementaryHead(num_classes=3, filters=8)
    >>> model = keras.Model(inputs, head(inputs)[:2])
    >>> keras_xmap.models.complementary_maps(model).output.shape
    (None, 8, 8, 3)
    """
    heads = [x for x in model.layers if isinstance(x, ComplementaryHead)]
    if len(heads) != 1:
        raise ValueError(
            "`model` must have one ComplementaryHead among its layers. "
            f"Received: {len(heads)} of them in model {model.name!r}."
        )
    return keras.Model(
        model.input, heads[0].output[2], name=f"{model.name}_maps"
    )
