import keras

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._checks import check_string
from keras_xmap.models._data_format import DataFormats
from keras_xmap.models._given import check_feature_model
from keras_xmap.models._surgery import Recording
from keras_xmap.models._surgery import Replay

_LAYERS = (
    "context",
    "mask_scores",
    "masks",
    "class_scores",
    "mean_score",
    "classes",
)


def segmentation_network(
    backbone: keras.Model,
    num_classes: int,
    filters: int = 256,
    dilation_rate: int = 2,
    classify: bool = False,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Makes a network that says for each position of a map what is there.

    A 3x3 convolution that looks `dilation_rate` positions around itself, one
    of 1x1 that scores the classes and the background, and a softmax: the head
    of DeepLab-LargeFOV. The maps are those of the backbone's positions, eight
    times smaller than the photo in the papers; take one that reduces no more
    than that or 16 times, such as a layer in the middle of a classifier.

    It trains on whatever is known of photos, see `keras_xmap.losses`.

    Args:
        backbone: `keras.Model` of one image input, whose output is a map of
            features `(batch, height, width, channels)`, or channels first. It
            is copied, weights included, its layers becoming layers of the new
            model; what is frozen in it is frozen in the copy.
        num_classes: Integer >= 1, the background left out.
        filters: Integer >= 1, channels of the first convolution. Defaults to
            `256`.
        dilation_rate: Integer >= 1. Defaults to `2`.
        classify: Boolean: whether a branch also says which classes are in the
            photo, as `losses.ProhibitiveSegmentationLoss` needs it. Defaults
            to `False`.
        seed: Integer or `None`: the new weights. Defaults to `None`.
        name: Name of the model. Defaults to `None`.

    Returns:
        A `keras.Model` on the backbone's images. Its output are probabilities
        `(batch, rows, columns, 1 + num_classes)`, the background first, in
        the data format of the features; with `classify=True` a dict of these,
        `"masks"`, and of `"classes"`, probabilities `(batch, num_classes)`.

    Raises:
        TypeError: If `backbone` is not a Keras model.
        ValueError: If the backbone does not map one image to one map of
            features, or if an argument is out of its range.

    References:
        - [Chen et al., 2016](https://arxiv.org/abs/1606.00915)

    Example:

    >>> backbone = keras.Sequential([keras.Input((None, None, 3)),
    ...     keras.layers.Conv2D(8, 3, strides=4, padding="same")])
    >>> model = keras_xmap.models.segmentation_network(backbone, 20)
    >>> tuple(model(np.ones((1, 48, 64, 3))).shape)
    (1, 12, 16, 21)
    """
    check_positive_integer("num_classes", num_classes)
    check_positive_integer("filters", filters)
    check_positive_integer("dilation_rate", dilation_rate)
    check_boolean("classify", classify)
    seed = check_optional(check_seed, "seed", seed)
    check_optional(check_string, "name", name)
    recording = Recording(check_feature_model("backbone", backbone))
    inputs = keras.Input(
        batch_shape=backbone.inputs[0].shape,
        dtype=backbone.inputs[0].dtype,
        name="images",
    )
    replay = Replay(recording, taken=(inputs.name, *_LAYERS))
    (features,) = keras.tree.flatten(replay.outputs([inputs]))
    (output,) = keras.tree.flatten(recording.outputs)
    data_format = DataFormats(recording).of(output)
    outputs = _masks(
        features, num_classes, filters, dilation_rate, data_format, seed
    )
    if classify:
        classes = _classes(features, num_classes, data_format, seed)
        outputs = {"masks": outputs, "classes": classes}
    return keras.Model(inputs, outputs, name=name)


def _masks(features, num_classes, filters, dilation_rate, data_format, seed):
    """Returns the probabilities of the classes at each position."""
    context = keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        dilation_rate=dilation_rate,
        activation="relu",
        kernel_initializer=keras.initializers.HeNormal(seed),
        data_format=data_format,
        name="context",
    )
    scores = _scores("mask_scores", num_classes + 1, data_format, seed)
    masks = keras.layers.Softmax(
        axis=-1 if data_format == "channels_last" else 1,
        dtype=keras.config.floatx(),
        name="masks",
    )
    return masks(scores(context(features)))


def _classes(features, num_classes, data_format, seed):
    """Returns the probabilities that the classes are in the photo."""
    scores = _scores("class_scores", num_classes, data_format, seed)
    mean = keras.layers.GlobalAveragePooling2D(
        data_format=data_format, dtype=keras.config.floatx(), name="mean_score"
    )
    sigmoid = keras.layers.Activation(
        "sigmoid", dtype=keras.config.floatx(), name="classes"
    )
    return sigmoid(mean(scores(features)))


def _scores(name, count, data_format, seed):
    # The last steps in full precision, under mixed precision too.
    return keras.layers.Conv2D(
        count,
        1,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        data_format=data_format,
        dtype=keras.config.floatx(),
        name=name,
    )
