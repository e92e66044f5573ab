from typing import Literal

import keras

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_pair
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._checks import check_string
from keras_xmap._saving import registered
from keras_xmap._typing import Number
from keras_xmap.models._data_format import DataFormats
from keras_xmap.models._given import check_feature_model
from keras_xmap.models._surgery import Recording
from keras_xmap.models._surgery import Replay

_LAYERS = (
    "random_scale",
    "class_scores",
    "best_position",
    "mean_score",
    "probabilities",
)


_POOLINGS = {
    "max": (keras.layers.GlobalMaxPooling2D, "best_position"),
    "average": (keras.layers.GlobalAveragePooling2D, "mean_score"),
}


@registered(name="RandomScale")
class _RandomScale(keras.layers.RandomZoom):
    """RandomZoom in training alone; else it also runs in `model(images)`."""

    def call(self, data, training=False):
        return super().call(data, training=bool(training))


def multi_label_classifier(
    backbone: keras.Model,
    num_classes: int,
    scale_range: tuple[Number, Number] | None = (0.5, 1.0),
    seed: int | None = None,
    name: str | None = None,
    pooling: Literal["max", "average"] = "max",
) -> keras.Model:
    """Makes a classifier that scores every position and reports the best.

    For images that hold several classes, labelled by which they hold and not
    where. A 1x1 convolution scores each position of the backbone's map, the
    global maximum of a class is its score for the image, and a sigmoid makes
    it a probability of its own:

    `p_c = sigmoid(max_xy (w_c . f_xy + b_c))`

    So a class has to be found at one place only, of whatever size: in
    training, images are shrunk at random, each by a factor of its own, and
    mirrored beyond their border. Compile it with a binary cross-entropy and
    fit it to labels of 0 and 1, `(batch, classes)`. The scores of all
    positions are the output of the layer `class_scores`, and of the whole
    `keras_xmap.models.fully_convolutional(model, pooling="position")`, which
    also takes images of other sizes.

    Args:
        backbone: `keras.Model` of one image input, whose output is a map of
            features `(batch, height, width, channels)`, or channels first. It
            is copied, weights included, its layers becoming layers of the new
            model; what is frozen in it is frozen in the copy.
        num_classes: Integer >= 1.
        scale_range: Tuple of two floats, from 0.5 to 2: the smallest and the
            largest factor by which the objects of an image are scaled in
            training. What does not fit is cut off where it is above 1. `None`
            to leave images as they are. Defaults to `(0.5, 1.0)`.
        seed: Integer or `None`: the scales, and the new weights. Defaults to
            `None`.
        name: Name of the model. Defaults to `None`.
        pooling: `"max"`, the score of the best position; or `"average"`, the
            mean of all, as for class activation maps, which then show more of
            an object: positions that add nothing cost. Defaults to `"max"`.

    Returns:
        A `keras.Model` on the backbone's images, of output shape `(batch,
        num_classes)`: probabilities.

    Raises:
        TypeError: If `backbone` is not a Keras model.
        ValueError: If the backbone does not map one image to one map of
            features, or if an argument is out of its range.

    References:
        - [Oquab et al.,
          2015](https://doi.org/10.1109/CVPR.2015.7298668)

    Example:

    >>> backbone = keras.Sequential([keras.Input((None, None, 3)),
    ...     keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
    ...     keras.layers.Conv2D(16, 3, strides=2, activation="relu")])
    >>> model = keras_xmap.models.multi_label_classifier(backbone, 4)
    >>> model.compile("adam", "binary_crossentropy")
    >>> images, labels = np.ones((2, 64, 64, 3)), np.eye(4)[:2]
    >>> history = model.fit(images, labels, verbose=0)
    >>> tuple(model(images).shape)
    (2, 4)
    """
    num_classes = check_positive_integer("num_classes", num_classes)
    seed = check_optional(check_seed, "seed", seed)
    check_optional(check_string, "name", name)
    check_one_of("pooling", pooling, ("max", "average"))
    recording = Recording(check_feature_model("backbone", backbone))
    formats = DataFormats(recording)
    inputs = keras.Input(
        batch_shape=backbone.inputs[0].shape,
        dtype=backbone.inputs[0].dtype,
        name="images",
    )
    x = inputs
    if scale_range is not None:
        low, high = _checked_range(scale_range)
        zoom = _RandomScale(
            (1 / high - 1, 1 / low - 1),
            fill_mode="reflect",
            seed=seed,
            data_format=formats.of(keras.tree.flatten(recording.inputs)[0]),
            name="random_scale",
        )
        x = zoom(x)
    features = Replay(recording, taken=(inputs.name, *_LAYERS)).outputs([x])
    (x,) = keras.tree.flatten(features)
    (output,) = keras.tree.flatten(recording.outputs)
    pool = _POOLINGS[pooling]
    outputs = _pooled(x, num_classes, formats.of(output), pool, seed)
    return keras.Model(inputs, outputs, name=name)


def _pooled(features, num_classes, data_format, pool, seed):
    """Returns for each class the probability of its score, pooled."""
    # The last steps in full precision, under mixed precision too.
    dtype = keras.config.floatx()
    scores = keras.layers.Conv2D(
        num_classes,
        1,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        data_format=data_format,
        dtype=dtype,
        name="class_scores",
    )
    kind, name = pool
    pool = kind(data_format=data_format, dtype=dtype, name=name)
    probabilities = keras.layers.Activation(
        "sigmoid", dtype=dtype, name="probabilities"
    )
    return probabilities(pool(scores(features)))


def _checked_range(scale_range):
    low = high = 0.0
    if isinstance(scale_range, (list, tuple)):
        low, high = check_pair("scale_range", scale_range, check_positive)
    if not 0.5 <= low <= high <= 2:
        raise ValueError(
            "`scale_range` must be two numbers from 0.5 to 2, the smaller one "
            f"first, or None. Received: scale_range={scale_range!r}."
        )
    return low, high
