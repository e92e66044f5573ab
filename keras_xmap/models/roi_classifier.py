import keras

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap.layers import ROIAttention
from keras_xmap.models._region_copy import RegionCopy
from keras_xmap.models._region_copy import is_graph
from keras_xmap.models._region_copy import last_operation
from keras_xmap.models._region_copy import leaves

_MERGES = ("multiply", "add", "hard_image", "hard_features")
_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
_PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)


def roi_classifier(
    backbone,
    num_classes=None,
    merge_layer=None,
    merge="multiply",
    activation="softmax",
    name=None,
):
    """Makes a classifier of a region out of a classifier of images.

    The model takes an image and the mask of a region and tells what is
    there. A `layers.ROIAttention` behind the first convolution, or behind
    the layers you name, lets it look at the region and still see what
    surrounds it, which blackening the surroundings does not. It starts
    without effect: before training, the output for any mask is that of the
    backbone, exactly.

    `backbone` is copied, weights included, and stays as it is: training the
    new model does not move it, and it may have been made outside of the
    scope of a `tf.distribute` strategy in which the new one is made. Layers
    that are frozen in it are frozen in the copy; `ROIAttention` always
    trains. Where weight decay is used, exempt the attention from it, which
    it would hold near its start:

    `optimizer.exclude_from_weight_decay(var_names=["roi_attention"])`

    Args:
        backbone: A functional or built sequential `keras.Model` of one image
            input, with or without its top, such as those of
            `keras.applications`; it may hold further models as layers. The
            inputs of the new model want the same preprocessing.
        num_classes: Integer >= 1, for a new `Dense` on the features of a
            backbone without its top, which are averaged over positions where
            they have any; or `None` to keep the backbone's own outputs.
            Defaults to `None`.
        merge_layer: Name of the layer whose output meets the mask, or in an
            inner model its path, such as `"base/Conv1"`; a list of names,
            for attention of its own at each; or `None` for the first
            convolution. Defaults to `None`.
        merge: `"multiply"` or `"add"`, see `ROIAttention`. Or what it is
            compared with, which keeps only what is inside of the mask:
            `"hard_image"` of the image, the rest of which becomes 0, and
            `"hard_features"` of the output of `merge_layer`. Defaults to
            `"multiply"`.
        activation: Activation of the new `Dense`. Defaults to `"softmax"`.
        name: Name of the model, or `None` for `"roi_"` and that of the
            backbone. Defaults to `None`.

    Returns:
        A `keras.Model` to call on `{"image": images, "mask": masks}`: images
        as the backbone takes them, masks `(batch, rows, columns)` or `(batch,
        rows, columns, 1)` of any size, 0 and 1 of any type (but floats for
        `fit` under `tf.distribute`, where Keras adds booleans up). The
        attention of a layer `conv1` is the layer `conv1_roi_attention`,
        whose method `attention` shows what it learned.

    Raises:
        TypeError: If `backbone` is not a Keras model.
        ValueError: If `backbone` is subclassed, has several inputs or none
            that is an image; if `merge_layer` is not in it, is called several
            times or does not return a feature map; or if a new `Dense` would
            stand on class probabilities or on anything but features.

    References:
        - [Eppel, 2018](https://arxiv.org/abs/1812.00291)

    Example:

    >>> backbone = keras.applications.MobileNetV2(
    ...     (64, 64, 3), alpha=0.35, include_top=False, weights=None
    ... )
    >>> model = keras_xmap.models.roi_classifier(backbone, num_classes=5)
    >>> model.get_layer("Conv1_roi_attention").merge
    'multiply'
    >>> images, masks = np.ones((2, 64, 64, 3)), np.ones((2, 64, 64), bool)
    >>> tuple(model({"image": images, "mask": masks}).shape)
    (2, 5)
    """
    check_one_of("merge", merge, _MERGES)
    if num_classes is not None:
        num_classes = check_positive_integer("num_classes", num_classes)
    _check_backbone(backbone)
    paths = _paths(backbone, merge_layer, merge)
    data_format = _data_format(backbone)
    image = keras.Input(
        batch_shape=backbone.inputs[0].shape,
        dtype=backbone.inputs[0].dtype,
        name="image",
    )
    mask = keras.Input((None, None), name="mask")
    seen = image
    if merge == "hard_image":
        seen = _attention("image", merge, data_format)([image, mask])

    def meet(layer, outputs, mask):
        _check_features(layer, outputs)
        attention = _attention(
            layer.name,
            merge,
            getattr(layer, "data_format", None) or data_format,
            dtype=layer.dtype_policy,
        )
        return attention([outputs, mask])

    outputs = RegionCopy(paths, meet).outputs(backbone, image, mask, seen)
    if num_classes is not None:
        outputs = _classify(
            backbone, outputs, num_classes, activation, data_format
        )
    return keras.Model(
        {"image": image, "mask": mask},
        outputs,
        name=name or f"roi_{backbone.name}",
    )


def _attention(of, merge, data_format, **kwargs):
    return ROIAttention(
        "hard" if merge in ("hard_image", "hard_features") else merge,
        data_format=data_format,
        name=f"{of}_roi_attention",
        **kwargs,
    )


def _check_backbone(backbone):
    if not isinstance(backbone, keras.Model):
        raise TypeError(
            "`backbone` must be a Keras model. Received: "
            f"backbone={type(backbone).__name__}."
        )
    if not is_graph(backbone):
        raise ValueError(
            "`backbone` must be functional or sequential, so that a layer can "
            f"be put into it. Received: {backbone.name!r} of the class "
            f"{type(backbone).__name__}. A subclassed model can call "
            "`keras_xmap.layers.ROIAttention` itself."
        )
    if not backbone.built:
        raise ValueError(
            "`backbone` must be built. Received: the sequential model "
            f"{backbone.name!r} of unknown input. Start it with `keras.Input`."
        )
    shapes = [tuple(x.shape) for x in backbone.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "`backbone` must have one input, an image (batch, height, width, "
            f"channels). Received: inputs of shapes {shapes}."
        )


def _paths(backbone, merge_layer, merge):
    """Returns the paths of the layers whose outputs meet the mask."""
    layers = dict(leaves(backbone))
    convolutions = [
        path
        for path, layer in layers.items()
        if isinstance(layer, _CONVOLUTIONS)
    ]
    if merge == "hard_image":
        if merge_layer is not None:
            raise ValueError(
                "`merge_layer` must be None where the image is masked. "
                f"Received: merge_layer={merge_layer!r} with "
                "merge='hard_image'. For the output of a layer use "
                "merge='hard_features'."
            )
        return []
    if merge_layer is None:
        if not convolutions:
            raise ValueError(
                "`merge_layer` must be given for a model without a 2-D "
                f"convolution. Received: merge_layer=None for the layers "
                f"{list(layers)}."
            )
        return convolutions[:1]
    names = [merge_layer] if isinstance(merge_layer, str) else merge_layer
    if (
        not isinstance(names, (list, tuple))
        or not names
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(
            "`merge_layer` must be the name of a layer, a list of names or "
            f"None. Received: merge_layer={merge_layer!r}."
        )
    paths = [_path(name, list(layers), convolutions) for name in names]
    if len(set(paths)) < len(paths):
        raise ValueError(
            "`merge_layer` must name each layer once. Received: "
            f"merge_layer={merge_layer!r}."
        )
    return paths


def _path(name, paths, convolutions):
    if name in paths:
        return name
    found = [path for path in paths if path.endswith(f"/{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            "`merge_layer` must name one layer. Received: "
            f"merge_layer={name!r}, which is the name of {found}. Give the "
            "path."
        )
    raise ValueError(
        "`merge_layer` must be a layer of the backbone that is not a model "
        f"itself. Received: merge_layer={name!r}. Its convolutions are "
        f"{convolutions or 'none'}."
    )


def _data_format(backbone):
    for _, layer in leaves(backbone):
        if isinstance(layer, _CONVOLUTIONS):
            return layer.data_format
    return keras.config.image_data_format()


def _check_features(layer, outputs):
    shapes = [tuple(x.shape) for x in keras.tree.flatten(outputs)]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "`merge_layer` must return one feature map (batch, height, width, "
            f"channels). Received: merge_layer={layer.name!r}, which returns "
            f"shapes {shapes}."
        )


def _classify(backbone, outputs, num_classes, activation, data_format):
    shapes = [tuple(x.shape) for x in keras.tree.flatten(outputs)]
    if len(shapes) != 1 or len(shapes[0]) not in (2, 4):
        raise ValueError(
            "A backbone for `num_classes` must return one output of features, "
            "(batch, height, width, channels) or (batch, channels). Received: "
            f"num_classes={num_classes} for outputs of shapes {shapes}. With "
            "num_classes=None they are kept."
        )
    last = last_operation(backbone)
    if isinstance(last, keras.layers.Softmax) or (
        getattr(last, "activation", None) in _PROBABILITIES
    ):
        raise ValueError(
            "A backbone for `num_classes` must end in features, not in class "
            f"probabilities. Received: num_classes={num_classes} for a model "
            f"that ends in {last.name!r}. Give it without its top, or "
            "num_classes=None to keep its own classes."
        )
    # The last steps in full precision, under mixed precision too.
    dtype = keras.config.floatx()
    if len(shapes[0]) == 4:
        outputs = keras.layers.GlobalAveragePooling2D(
            data_format=data_format, dtype=dtype, name="roi_pooling"
        )(outputs)
    dense = keras.layers.Dense(
        num_classes, activation=activation, dtype=dtype, name="roi_classes"
    )
    return dense(outputs)
