from collections.abc import Callable
from collections.abc import Sequence
from typing import Literal

import keras

from keras_xmap._checks import check_names
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_string
from keras_xmap.layers import ROIAttention
from keras_xmap.models._data_format import DataFormats
from keras_xmap.models._given import check_image_model
from keras_xmap.models._surgery import Recording
from keras_xmap.models._surgery import Replay

_MERGES = ("multiply", "add", "hard_image", "hard_features")
_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
_PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)


def roi_classifier(
    backbone: keras.Model,
    num_classes: int | None = None,
    merge_layer: str | Sequence[str] | None = None,
    merge: Literal[
        "multiply", "add", "hard_image", "hard_features"
    ] = "multiply",
    activation: str | Callable | None = "softmax",
    gain: float = 100.0,
    name: str | None = None,
) -> keras.Model:
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
    trains. One `compile` with one learning rate suits both: `gain` makes up
    for the attention's start at nothing.

    Args:
        backbone: A functional or built sequential `keras.Model` of one image
            input, with or without its top, such as those of
            `keras.applications`; it may hold further models, whose layers
            become layers of the new model. The inputs of the new model want
            the same preprocessing.
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
        gain: Float > 0: of how many times the learning rate of other weights
            the attention learns, see `ROIAttention`. Defaults to `100.0`.
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
    num_classes = check_optional(
        check_positive_integer, "num_classes", num_classes
    )
    gain = check_positive("gain", gain)
    check_optional(check_string, "name", name)
    check_image_model("backbone", backbone)
    recording = Recording(backbone)
    copy = _RegionReplay(
        recording, _paths(recording, merge_layer, merge), merge, gain
    )
    image = keras.Input(
        batch_shape=backbone.inputs[0].shape,
        dtype=backbone.inputs[0].dtype,
        name="image",
    )
    mask = keras.Input((None, None), name="mask")
    outputs = copy.outputs_of_region(image, mask)
    if num_classes is not None:
        outputs = _classify(recording, outputs, num_classes, activation)
    return keras.Model(
        {"image": image, "mask": mask},
        outputs,
        name=name or f"roi_{backbone.name}",
    )


class _RegionReplay(Replay):
    """The calls of a backbone, some of whose outputs meet a mask."""

    def __init__(self, recording, paths, merge, gain):
        super().__init__(
            recording, ("image", "mask", "roi_pooling", "roi_classes")
        )
        self._paths = paths
        self._merge = merge
        self._gain = gain
        self._formats = DataFormats(recording)

    def outputs_of_region(self, image, mask):
        """Returns the outputs on an image, one tensor where there is one."""
        self._mask = mask
        seen = image
        if self._merge == "hard_image":
            (old,) = keras.tree.flatten(self.recording.inputs)
            seen = self._attended("image", old, image)
        outputs = self.outputs([seen])
        flat = keras.tree.flatten(outputs)
        return flat[0] if len(flat) == 1 else outputs

    def repeated(self, call):
        outputs = self.called(call)
        if call.path not in self._paths:
            return outputs
        _check_features(call)
        (old,) = keras.tree.flatten(call.outputs)
        (new,) = keras.tree.flatten(outputs)
        dtype = call.operation.dtype_policy
        return self._attended(self.name(call), old, new, dtype=dtype)

    def _attended(self, name, old, new, **kwargs):
        hard = self._merge in ("hard_image", "hard_features")
        attention = ROIAttention(
            "hard" if hard else self._merge,
            gain=self._gain,
            data_format=self._formats.of(old),
            name=f"{name}_roi_attention",
            **kwargs,
        )
        return attention([new, self._mask])


def _paths(recording, merge_layer, merge):
    """Returns the paths of the layers whose outputs meet the mask."""
    calls = [
        call
        for call in recording.calls
        if isinstance(call.operation, keras.layers.Layer)
    ]
    paths = list(dict.fromkeys(call.path for call in calls))
    convolutions = [
        call.path for call in calls if isinstance(call.operation, _CONVOLUTIONS)
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
                f"{paths}."
            )
        return _called_once(convolutions[:1], calls)
    names = check_names(
        "merge_layer",
        merge_layer,
        f"Its convolutions are {convolutions or 'none'}.",
    )
    found = [_path(name, paths, convolutions) for name in names]
    if len(set(found)) < len(found):
        raise ValueError(
            "`merge_layer` must name each layer once. Received: "
            f"merge_layer={merge_layer!r}."
        )
    return _called_once(found, calls)


def _called_once(paths, calls):
    for path in paths:
        if sum(call.path == path for call in calls) > 1:
            raise ValueError(
                "A layer that meets the mask must be called once in the "
                f"model. Received: {path!r}, which is called several times. "
                "Choose a layer before or behind it as `merge_layer`."
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


def _check_features(call):
    shapes = [tuple(x.shape) for x in keras.tree.flatten(call.outputs)]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "`merge_layer` must return one feature map with a batch, two "
            "spatial and a channel axis. Received: merge_layer="
            f"{call.operation.name!r}, which returns shapes {shapes}."
        )


def _classify(recording, outputs, num_classes, activation):
    shapes = [tuple(x.shape) for x in keras.tree.flatten(outputs)]
    if len(shapes) != 1 or len(shapes[0]) not in (2, 4):
        raise ValueError(
            "A backbone for `num_classes` must return one output of features, "
            "(batch, height, width, channels) or (batch, channels). Received: "
            f"num_classes={num_classes} for outputs of shapes {shapes}. With "
            "num_classes=None they are kept."
        )
    (old,) = keras.tree.flatten(recording.outputs)
    maker = recording.maker(old)
    last = maker and maker.operation
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
            data_format=DataFormats(recording).of(old),
            dtype=dtype,
            name="roi_pooling",
        )(outputs)
    dense = keras.layers.Dense(
        num_classes, activation=activation, dtype=dtype, name="roi_classes"
    )
    return dense(outputs)
