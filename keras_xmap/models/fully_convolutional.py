from typing import Literal

import keras

from keras_xmap._axes import channel_axis
from keras_xmap._axes import spatial_axes
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_string
from keras_xmap.models._convolutional_head import Map
from keras_xmap.models._convolutional_head import converted
from keras_xmap.models._convolutional_head import is_start
from keras_xmap.models._convolutional_head import started
from keras_xmap.models._data_format import DataFormats
from keras_xmap.models._given import check_graph
from keras_xmap.models._surgery import Recording
from keras_xmap.models._surgery import Replay
from keras_xmap.models._surgery import tensors_in


def fully_convolutional(
    model: keras.Model,
    pooling: Literal["window", "position"] = "window",
    name: str | None = None,
) -> keras.Model:
    """Makes an equal model that takes images of any size.

    A classifier that ends in `Flatten` or global pooling and `Dense` layers
    takes images of one size and tells what is in them. The new model slides
    it over larger images: the layers of its head become convolutions with the
    same weights, and its output a map of scores, one vector of classes for
    each place where the image fits. For an image of the original size there
    is one such place, and the scores are those of the original.

    Weights are copied; `model` stays as it is. Inner models are opened up:
    their layers become layers of the new model.

    Args:
        model: A functional or built sequential `keras.Model` of images
            `(batch, height, width, channels)`, or channels first, as those of
            `keras.applications` with their top. It may hold further models.
        pooling: What global poolings become: `"window"`, a pooling of the
            size that they had, so that every score sees as much of the image
            as before; `"position"`, nothing, so that every position of the
            last map is scored by itself. Then, where global average pooling
            and a linear layer follow each other, the mean of the scores
            before the activation is the score of the original, for global
            maximum pooling behind the last layer with weights their maximum
            is. Defaults to `"window"`.
        name: Name of the new model, or `None` for that of `model`. Defaults
            to `None`.

    Returns:
        A `keras.Model` on images of any height and width from the original
        ones on, and with `pooling="position"` also smaller ones; its output
        has shape `(batch, rows, columns, classes)`, channels last always.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If `model` is subclassed or not built, if it has no head
            to convert, or a layer that cannot be converted.

    References:
        - [Long et al., 2014](https://arxiv.org/abs/1411.4038)

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(5, activation="softmax")])
    >>> sliding = keras_xmap.models.fully_convolutional(model)
    >>> sliding(np.ones((1, 8, 8, 3))).shape, sliding(
    ...     np.ones((1, 16, 12, 3))).shape
    (TensorShape([1, 1, 1, 5]), TensorShape([1, 9, 5, 5]))
    """
    check_one_of("pooling", pooling, ("window", "position"))
    check_optional(check_string, "name", name)
    recording = Recording(check_graph("model", model))
    formats = DataFormats(recording)
    inputs = keras.tree.map_structure(
        lambda x: _any_size(x, formats.of(x)), recording.inputs
    )
    outputs = _Conversion(recording, pooling).outputs(inputs)
    return keras.Model(inputs, outputs, name=name or model.name)


class _Conversion(Replay):
    """The calls of a model, repeated on images of unknown size."""

    def __init__(self, recording, pooling):
        super().__init__(recording)
        self._pooling = pooling
        self._starts = _heads(recording)

    def repeated(self, call):
        values = [self.value(x) for x in call.inputs]
        if id(call) in self._starts:
            name = self.name(call)
            return started(call, values[0], self._pooling, name)
        if not any(isinstance(value, Map) for value in values):
            return self._repeated_in_body(call)

        def copy(**config):
            return self.called(call, lambda x: self.value(x).tensor, **config)

        return converted(call, values, self.name(call), copy)

    def output(self, tensor):
        value = self.value(tensor)
        if not isinstance(value, Map):
            return value
        if value.window != (1, 1):
            raise ValueError(
                "A Flatten must have a Dense behind it. Received: a model "
                f"that puts out a flattened map of shape {tuple(tensor.shape)}."
            )
        return value.tensor

    def _repeated_in_body(self, call):
        layer = call.operation
        shapes = [tuple(x.shape) for x in call.inputs]
        if isinstance(layer, keras.layers.Reshape) and any(
            len(shape) > 2 and set(shape[1:-1]) != {1} for shape in shapes
        ):
            raise _of_one_size(layer, shapes)
        try:
            return self.called(call)
        except (TypeError, ValueError) as error:
            raise _of_one_size(layer, shapes) from error


def _heads(recording):
    """Returns the ids of the calls that the heads of a model begin with.

    A head leads to outputs only. What meets the map it was made of again, as
    in a squeeze-and-excitation block, is none.
    """
    no_heads = set()
    while True:
        starts, origins, wrong = set(), {}, set()
        for call in recording.calls:
            of_inputs = [
                origins.get(id(recording.source(x)), set()) for x in call.inputs
            ]
            of_call = set().union(*of_inputs)
            if is_start(call) and _has_positions(call):
                wrong |= of_call  # a map again
                of_call = set()
            elif not all(of_inputs):
                wrong |= of_call
            if is_start(call) and not of_call and id(call) not in no_heads:
                starts.add(id(call))
                of_call = {id(call)}
            for output in keras.tree.flatten(call.outputs):
                origins[id(output)] = of_call
        if not wrong:
            break
        no_heads |= wrong
    if not starts:
        shapes = [tuple(x.shape) for x in tensors_in(recording.outputs)]
        raise ValueError(
            "`model` must have a head: Flatten or global pooling, and behind "
            "it only layers that lead to its outputs. Received: a model "
            f"without one, which puts out shapes {shapes}."
        )
    return starts


def _has_positions(call):
    """Whether a first layer of a head sees a map of several positions."""
    shape = list(call.inputs[0].shape)
    shape.pop(channel_axis(call.operation.data_format))
    return shape[1:] != [1, 1]


def _any_size(tensor, data_format):
    """Returns an input like the old one, of unknown height and width."""
    shape = list(tensor.shape)
    if len(shape) == 4:
        for axis in spatial_axes(4, data_format):
            shape[axis] = None
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)


def _of_one_size(layer, shapes):
    return ValueError(
        "The layers of the model must run on maps of any size. Received: "
        f"{type(layer).__name__} {layer.name!r} on shapes {shapes}, which "
        "needs their size."
    )
