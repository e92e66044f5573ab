import keras

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_model
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_string
from keras_xmap._typing import Number
from keras_xmap.layers import ComplementaryHead
from keras_xmap.models._data_format import DataFormats
from keras_xmap.models._given import check_feature_model
from keras_xmap.models._surgery import Recording


def complementary(
    backbone: keras.Model,
    num_classes: int,
    threshold: Number = 0.6,
    filters: int = 1024,
    label_input: bool = False,
    name: str = "complementary",
) -> keras.Model:
    """Makes a classifier of two heads that look at different parts.

    On the features of `backbone` stands a `layers.ComplementaryHead`: head B
    has to classify without what head A looks at, and the larger one of both
    class maps covers more of the object than one does. The model has two
    outputs, the logits of the heads, and is compiled and fitted as any other
    with the labels given for both; the loss is the sum over them:

    ```python
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss=[loss, loss])
    model.fit(images, [labels, labels])
    maps = keras_xmap.models.complementary_maps(model).predict(images)
    ```

    In the paper the labels also say which map erases while training; with
    `label_input=True` the model takes them, and zeros for an image without
    a label. Else it is the map of the top class of head A.

    `backbone` becomes a part of the model and trains with it, unless it is
    frozen. Its last feature map should be large: the paper gives VGG-16 one
    of 28 x 28 by strides of 1 in its last two poolings.

    Args:
        backbone: A `keras.Model` of one image input and one feature map, such
            as those of `keras.applications` with `include_top=False`.
        num_classes: Integer >= 1.
        threshold: Float strictly between 0 and 1, above which head A's map
            erases. Defaults to `0.6`.
        filters: Integer >= 1, of the convolutions of the heads. Defaults to
            `1024`.
        label_input: Boolean, whether the model takes `{"image": images,
            "label": labels}`, labels of 0 and 1 of shape `(batch,
            num_classes)`. Defaults to `False`.
        name: Name of the model. Defaults to `"complementary"`.

    Returns:
        A `keras.Model` with the outputs `head_a` and `head_b`, float32
        logits `(batch, num_classes)`.

    Raises:
        TypeError: If `backbone` is not a Keras model.
        ValueError: If `backbone` has several inputs or outputs, or does not
            end in a feature map, or if an argument is out of range.

    References:
        - [Zhang et al., 2018](https://arxiv.org/abs/1804.06962)

    Example:

    >>> backbone = keras.applications.MobileNetV2(
    ...     (64, 64, 3), alpha=0.35, include_top=False, weights=None
    ... )
    >>> model = keras_xmap.models.complementary(backbone, 5, filters=16)
    >>> images = np.ones((2, 64, 64, 3))
    >>> [tuple(logits.shape) for logits in model(images)]
    [(2, 5), (2, 5)]
    >>> maps = keras_xmap.models.complementary_maps(model)
    >>> tuple(maps(images).shape)
    (2, 5, 2, 2)
    """
    num_classes = check_positive_integer("num_classes", num_classes)
    label_input = check_boolean("label_input", label_input)
    check_string("name", name)
    recording = Recording(check_feature_model("backbone", backbone))
    (map_of_features,) = keras.tree.flatten(recording.outputs)
    image = keras.Input(
        batch_shape=backbone.inputs[0].shape,
        dtype=backbone.inputs[0].dtype,
        name="image",
    )
    (features,) = keras.tree.flatten(backbone(image))
    head = ComplementaryHead(
        num_classes,
        threshold,
        filters,
        data_format=DataFormats(recording).of(map_of_features),
        name="complementary_head",
    )
    if label_input:
        label = keras.Input((num_classes,), name="label")
        inputs, outputs = (
            {"image": image, "label": label},
            head([features, label]),
        )
    else:
        inputs, outputs = image, head(features)
    logits = [
        keras.layers.Activation("linear", dtype="float32", name=output)(x)
        for output, x in zip(("head_a", "head_b"), outputs, strict=False)
    ]
    return keras.Model(inputs, logits, name=name)


def complementary_maps(model: keras.Model) -> keras.Model:
    """Makes the model of the fused maps of a model with complementary heads.

    It shares the weights of `model`, so that it can be made before or after
    training. What the maps are, `layers.ComplementaryHead` tells.

    Args:
        model: A model as `complementary` makes, or any functional model with
            one `layers.ComplementaryHead` of its own.

    Returns:
        A `keras.Model` with the inputs of `model` and one output, the fused
        maps of the classes, `(batch, num_classes, height, width)` in every
        data format, at the size of the features. Resize them with
        `ops.resize(maps, size, data_format="channels_first")`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If `model` has none or several such heads.

    Example:

    >>> inputs = keras.Input((8, 8, 4))
    >>> head = keras_xmap.layers.ComplementaryHead(num_classes=3, filters=8)
    >>> model = keras.Model(inputs, head(inputs)[:2])
    >>> keras_xmap.models.complementary_maps(model).output.shape
    (None, 3, 8, 8)
    """
    check_model("model", model)
    heads = [x for x in model.layers if isinstance(x, ComplementaryHead)]
    if len(heads) != 1:
        raise ValueError(
            "`model` must have one ComplementaryHead among its layers. "
            f"Received: {len(heads)} of them in model {model.name!r}."
        )
    maps = heads[0].output[2]
    if heads[0].data_format == "channels_last":
        # Under its own dtype, whatever the policy is by now.
        move = keras.layers.Permute(
            (3, 1, 2), dtype=maps.dtype, name="class_maps"
        )
        maps = move(maps)
    return keras.Model(model.input, maps, name=f"{model.name}_maps")
