"""The layers of a classifier's head, as layers of a map of positions."""

import math

import keras
from keras import layers

from keras_xmap._axes import spatial_shape

# Of one tensor, alike in each of its numbers.
_ELEMENTWISE = (
    layers.Activation,
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.ELU,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.LeakyReLU,
    layers.ReLU,
    layers.Rescaling,
)
# Along one axis, which must be that of the features.
_ALONG_FEATURES = (
    layers.BatchNormalization,
    layers.Concatenate,
    layers.LayerNormalization,
    layers.Softmax,
    layers.UnitNormalization,
)
_OF_SEVERAL = (
    layers.Add,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Subtract,
)
_ELEMENTWISE_OPERATIONS = (
    "Identity",
    "LogSigmoid",
    "Relu",
    "Relu6",
    "Sigmoid",
    "Tanh",
)
_OPERATIONS_ALONG_FEATURES = ("LogSoftmax", "Softmax")
_AVERAGES = (layers.GlobalAveragePooling2D,)
_MAXIMA = (layers.GlobalMaxPooling2D,)
STARTS = (*_AVERAGES, *_MAXIMA, layers.Flatten)


class Map:
    """What stands for a vector of features: one at every position.

    Attributes:
        tensor: Tensor `(batch, height, width, channels)`.
        window: Tuple: how many positions of the tensor a vector is made of,
            flattened row by row; `(1, 1)` where it is one position.
    """

    def __init__(self, tensor, window=(1, 1)):
        self.tensor = tensor
        self.window = window


def is_start(call):
    """Returns whether a call makes a vector of a map, as heads begin."""
    shape = call.inputs[0].shape if call.inputs else ()
    return isinstance(call.operation, STARTS) and len(shape) == 4


def started(call, tensor, pooling, name):
    """Returns the `Map` that stands for the vector of a first layer.

    Args:
        call: `Call` of a flattening or a global pooling.
        tensor: What it is called on in the new model.
        pooling: See `fully_convolutional`.
        name: String for the new layer.
    """
    layer = call.operation
    size = spatial_shape(call.inputs[0].shape, layer.data_format)
    if layer.data_format == "channels_first":
        tensor = layers.Permute((2, 3, 1))(tensor)
    flat = isinstance(layer, layers.Flatten)
    if pooling == "position" and not flat:
        return Map(tensor)
    if None in size:
        raise ValueError(
            "The size of the images of a model must be known for windows of "
            f"that size. Received: layer {layer.name!r} behind a map of shape "
            f"{tuple(call.inputs[0].shape)}. Use pooling='position', or build "
            "the model with a size."
        )
    if flat:
        return Map(tensor, size)
    kind = layers.MaxPooling2D
    if isinstance(layer, _AVERAGES):
        kind = layers.AveragePooling2D
    pool = kind(
        size,
        strides=1,
        data_format="channels_last",
        name=name,
        dtype=layer.dtype_policy,
    )
    return Map(pool(tensor))


def converted(call, maps, name, copy):
    """Returns the `Map` that a call of the head makes of other maps.

    Args:
        call: `Call` behind a first layer.
        maps: List of `Map`, one per tensor it is called on.
        name: String for the new layer.
        copy: Function that calls a copy of the layer or operation, its
            config updated by keyword arguments, on the maps' tensors.

    Raises:
        ValueError: If it is none that can be converted.
    """
    layer, window = call.operation, maps[0].window
    if any(x.window != window for x in maps):
        raise _refusal(call, "it joins maps of different windows")
    if type(layer) is layers.Dense:
        return Map(_convolution(call, maps[0], name))
    if isinstance(layer, _ELEMENTWISE) and not _is_softmax(layer):
        return Map(copy(), window)
    if type(layer).__name__ in _ELEMENTWISE_OPERATIONS or isinstance(
        layer, _OF_SEVERAL
    ):
        return Map(copy(), window)
    if window != (1, 1):
        raise _refusal(call, "it stands between a Flatten and its Dense")
    if isinstance(layer, layers.Activation):
        return Map(copy())
    if (
        isinstance(layer, _ALONG_FEATURES)
        or type(layer).__name__ in _OPERATIONS_ALONG_FEATURES
    ):
        _check_axis(call)
        return Map(copy(axis=-1))
    if isinstance(layer, layers.Conv2D) and set(layer.kernel_size) == {1}:
        return Map(copy(data_format="channels_last", strides=(1, 1)))
    if isinstance(layer, (*STARTS, layers.Reshape)):
        before, after = call.inputs[0].shape[1:], call.outputs.shape[1:]
        if _longer_than_one(before) == _longer_than_one(after):
            return maps[0]
    raise _refusal(call, "it is none that means the same at every position")


def _convolution(call, of, name):
    dense = call.operation
    kernel = (*of.window, of.tensor.shape[-1], dense.units)
    if math.prod(kernel) != math.prod(dense.kernel.shape):
        raise _refusal(call, "it does not look at all features of a vector")
    layer = layers.Conv2D(
        dense.units,
        of.window,
        data_format="channels_last",
        activation=dense.activation,
        use_bias=dense.use_bias,
        kernel_regularizer=dense.kernel_regularizer,
        bias_regularizer=dense.bias_regularizer,
        activity_regularizer=dense.activity_regularizer,
        trainable=dense.trainable,
        dtype=dense.dtype_policy,
        name=name,
    )
    outputs = layer(of.tensor)
    weights = dense.get_weights()
    layer.set_weights([weights[0].reshape(kernel), *weights[1:]])
    return outputs


def _longer_than_one(shape):
    return [length for length in shape if length != 1]


def _is_softmax(layer):
    softmaxes = (keras.activations.softmax, keras.activations.log_softmax)
    return getattr(layer, "activation", None) in softmaxes


def _check_axis(call):
    layer, shape = call.operation, call.inputs[0].shape
    axis = getattr(layer, "axis", -1)
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    features = len(shape) - 1
    if len(shape) == 4 and shape[1] != 1:
        features = 1  # channels first
    if not isinstance(axis, int) or axis % len(shape) != features:
        raise _refusal(call, f"its axis {axis!r} is not that of the features")


def _refusal(call, reason):
    shapes = [tuple(x.shape) for x in call.inputs]
    return ValueError(
        "The head of the model must be made of layers that can become "
        f"convolutions. Received: {type(call.operation).__name__} "
        f"{call.operation.name!r} on shapes {shapes}: {reason}."
    )
