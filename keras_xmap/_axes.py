"""Which axes of a tensor are positions, and which holds its channels."""

import keras

from keras_xmap._checks import check_one_of

DATA_FORMATS = ("channels_last", "channels_first")


def check_data_format(data_format):
    """Returns `data_format`, or that of the Keras configuration for `None`."""
    if data_format is None:
        return keras.config.image_data_format()
    return check_one_of("data_format", data_format, DATA_FORMATS)


def channel_axis(data_format):
    """Returns the axis of the channels."""
    return -1 if data_format == "channels_last" else 1


def spatial_axes(rank, data_format="channels_last"):
    """Returns the axes between batch and channels of a tensor of this rank."""
    first = 1 if data_format == "channels_last" else 2
    return tuple(range(first, first + rank - 2))


def spatial_shape(shape, data_format="channels_last"):
    """Returns the entries of `shape` that are sizes of positions."""
    return tuple(shape[axis] for axis in spatial_axes(len(shape), data_format))
