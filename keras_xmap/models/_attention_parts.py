"""The parts of pixel attention, and what is checked of them."""

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import spatial_shape
from keras_xmap._checks import check_positive
from keras_xmap._warnings import warn_user
from keras_xmap.layers import MaskNoise
from keras_xmap.models._chosen_noise import ChosenNoise
from keras_xmap.models._data_format import DataFormats
from keras_xmap.models._given import check_image_model
from keras_xmap.models._surgery import Recording
from keras_xmap.models.attention_network import attention_network


def attention_and_noise(
    predictor, attention, area_ratio, noise, may_choose=False
):
    """Checks the parts, and makes those that were not given.

    Args:
        predictor, attention: Models, the second one or `None`.
        area_ratio: Float, what a new attention model starts at.
        noise: Number or `MaskNoise`, or `None` for `ChosenNoise`.
        may_choose: Boolean, whether it may be `None`.

    Returns:
        The attention model, and the `MaskNoise`.
    """
    check_image_model("predictor", predictor)
    shape = tuple(predictor.inputs[0].shape[1:])
    noise = _noise_layer(noise, predictor, may_choose)
    if attention is None:
        attention = attention_network(
            shape, area_ratio, data_format=noise.data_format
        )
    _check_attention(attention, predictor, shape, noise.data_format)
    return attention, noise


def _noise_layer(noise, predictor, may_choose):
    if isinstance(noise, MaskNoise):
        return noise
    if isinstance(noise, keras.layers.Layer):
        raise TypeError(
            "`noise` must be a number or a `keras_xmap.layers.MaskNoise`. "
            f"Received: noise={noise!r}."
        )
    is_chosen = may_choose and noise is None
    stddev = None if is_chosen else check_positive("noise", noise)
    recording = Recording(predictor)
    (image,) = keras.tree.flatten(recording.inputs)
    data_format = DataFormats(recording).of(image)
    if is_chosen:
        return ChosenNoise(data_format)
    return MaskNoise(stddev, data_format=data_format)


def as_images(x, predictor, data_format):
    """Returns the one input that `fit` takes, as the predictor takes it."""
    (images,) = keras.tree.flatten(x)
    if len(images.shape) == 3:  # Keras lets them lack their one channel.
        images = ops.expand_dims(images, channel_axis(data_format))
    return ops.cast(images, predictor.inputs[0].dtype)


def _check_attention(attention, predictor, shape, data_format):
    check_image_model("attention", attention)
    if tuple(attention.inputs[0].shape[1:]) != shape:
        raise ValueError(
            "`predictor` and `attention` must take the same images. Received: "
            f"predictor.input_shape={predictor.input_shape}, "
            f"attention.input_shape={attention.input_shape}."
        )
    sizes = spatial_shape((None, *shape), data_format)
    with_channel = (
        (*sizes, 1) if data_format == "channels_last" else (1, *sizes)
    )
    maps = attention.output_shape
    if not isinstance(maps, tuple) or maps[1:] not in (sizes, with_channel):
        raise ValueError(
            "`attention` must end in one map of the size of the images, "
            f"{(None, *with_channel)} under data_format={data_format!r}. "
            f"Received: attention.output_shape={maps}."
        )
    if attention.name == predictor.name:
        raise ValueError(
            "`predictor` and `attention` must have different names. "
            f"Received: predictor.name=attention.name={predictor.name!r}."
        )


def check_normalization(predictor):
    for layer in _layers_within(predictor):
        if isinstance(layer, keras.layers.BatchNormalization):
            if not layer.trainable:
                continue
            warn_user(
                "Batch normalization of the predictor is trained on clean "
                "and noisy images mixed, and its statistics fit neither: "
                f"layer {layer.name!r}. Predictions outside training may be "
                "useless. Set `trainable=False` on such layers, or build the "
                "predictor with `GroupNormalization`."
            )
            return


def _layers_within(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers_within(layer)
        else:
            yield layer
