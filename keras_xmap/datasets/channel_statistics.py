from typing import TYPE_CHECKING

import numpy as np

from keras_xmap._axes import check_data_format
from keras_xmap._typing import DataFormat
from keras_xmap.datasets._pairs import check_images
from keras_xmap.datasets._pairs import check_pairs
from keras_xmap.datasets._pairs import inputs_of

if TYPE_CHECKING:
    import tensorflow as tf


def channel_statistics(
    dataset: "tf.data.Dataset",
    input_name: str | int | None = None,
    data_format: DataFormat | None = None,
) -> tuple[list[float], list[float]]:
    """Returns the mean and standard deviation of each channel of a dataset.

    One pass, in float64; every pixel counts the same.

    Args:
        dataset: Finite `tf.data.Dataset` of pairs `(ids, element)`, see
            `erasing.erased`.
        input_name: Key or index of the images among the inputs, if there
            are several. Defaults to `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.

    Returns:
        Two lists of floats, one entry a channel.

    Raises:
        ValueError: If the dataset does not end, is empty, does not hold such
            pairs, or has no images under `input_name`.
    """
    check_pairs(dataset)
    check_images(dataset, input_name)
    data_format = check_data_format(data_format)
    count, total, squares = 0, 0.0, 0.0
    for _, element in dataset:
        inputs = inputs_of(element)
        images = inputs if input_name is None else inputs[input_name]
        images = np.asarray(images, "float64")
        if data_format == "channels_first":
            images = np.moveaxis(images, -3, -1)
        pixels = images.reshape((-1, images.shape[-1]))
        count += len(pixels)
        total = total + pixels.sum(axis=0)
        squares = squares + np.square(pixels).sum(axis=0)
    if not count:
        raise ValueError(
            "`dataset` must have at least one image. Received: none in "
            f"{dataset}."
        )
    mean = np.asarray(total / count)
    variance = np.maximum(squares / count - mean**2, 0.0)
    return mean.tolist(), np.sqrt(variance).tolist()
