from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_xmap._axes import check_data_format
from keras_xmap._axes import spatial_axes
from keras_xmap._checks import check_callable
from keras_xmap._checks import check_instance
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Tensor
from keras_xmap.datasets import check_images
from keras_xmap.datasets import check_pairs
from keras_xmap.datasets import inputs_of
from keras_xmap.regions import RegionStore


def erased(
    dataset: tf.data.Dataset,
    regions: RegionStore | Callable[[Any, tuple[int, int]], np.ndarray],
    erase: Callable[[list[Tensor]], Tensor],
    input_name: str | int | None = None,
    data_format: DataFormat | None = None,
) -> tf.data.Dataset:
    """Returns a dataset whose images lack what was mined from them.

    The originals stay as they are: regions are looked up, and erased, when a
    batch is made. What is added to the store therefore shows from the next
    pass over the dataset on. Three rules keep it so: the dataset ends
    (Keras starts a new pass every epoch then; one that repeats would hold
    batches made before the change); `cache()` stands before this function,
    never behind; shuffle, batch and map as you like before, but erase before
    you crop or flip.

    Give it pairs `(ids, element)`, as `enumerate` makes them:

    ```python
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    dataset = dataset.enumerate().cache().shuffle(1000).batch(32)
    erase = keras_xmap.layers.EraseRegions("mean", mean=mean, dtype="float32")
    training = keras_xmap.erasing.erased(dataset, store, erase).prefetch(2)
    ```

    Args:
        dataset: Finite `tf.data.Dataset` of pairs `(ids, element)`, an
            element being what `model.fit` takes: inputs, or a tuple of
            inputs, labels and weights. Batched, or single images that may
            differ in size; ids are integers or text.
        regions: `regions.RegionStore`, or a callable that takes a NumPy
            array of ids and a size `(height, width)`, and returns boolean
            masks `(batch, height, width)`: for example one that looks at
            certain rounds only.
        erase: Called with a list `[images, mask]`, returns images: an
            `EraseRegions` layer with `dtype="float32"`.
        input_name: Key or index of the images among the inputs, if there are
            several. Defaults to `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for that
            of `erase`, or else `keras.config.image_data_format()`. Defaults
            to `None`.

    Returns:
        `tf.data.Dataset` of the elements, without ids; images are float32,
        or what dtype they had if that was a float.

    Raises:
        ValueError: If the dataset does not end, does not hold pairs, has no
            images under `input_name`, or if `erase` computes in lower
            precision than the images have.
        TypeError: If an argument is of another type.

    Example:

    >>> import tensorflow as tf
    >>> images = np.ones((2, 2, 2, 1), "float32")
    >>> dataset = tf.data.Dataset.from_tensor_slices(images).enumerate()
    >>> store = keras_xmap.regions.RegionStore()
    >>> store.add([1], [0], 1, [np.array([[True, False], [False, False]])])
    >>> erase = keras_xmap.layers.EraseRegions("zero", dtype="float32")
    >>> batches = keras_xmap.erasing.erased(dataset.batch(2), store, erase)
    >>> next(batches.as_numpy_iterator()).sum(axis=(1, 2, 3)).tolist()
    [4.0, 3.0]
    """
    check_instance("dataset", dataset, tf.data.Dataset, "a tf.data.Dataset")
    check_pairs(
        dataset,
        ", or batches made before an erasure would be trained on after it",
        "Remove `repeat()` and `steps_per_epoch`.",
    )
    look_up = getattr(regions, "mask", regions)
    check_callable("regions", look_up, "Or give a RegionStore.")
    _check_erase(erase)
    check_images(dataset, input_name)
    if data_format is None:
        data_format = getattr(erase, "data_format", None)
    data_format = check_data_format(data_format)

    def without_regions(ids, element):
        inputs = inputs_of(element)
        images = inputs if input_name is None else inputs[input_name]
        images = _erase(images, ids, look_up, erase, data_format)
        if input_name is not None:
            images = _replaced(inputs, input_name, images)
        if isinstance(element, tuple):
            return (images, *element[1:])
        return images

    # What draws must do so in the order of the batches, to be repeatable.
    draws = bool(getattr(erase, "variables", ()))
    return dataset.map(
        without_regions,
        num_parallel_calls=None if draws else tf.data.AUTOTUNE,
    )


def _check_erase(erase):
    check_callable("erase", erase)
    if isinstance(erase, type):
        raise TypeError(
            f"`erase` must be a function or a layer. Received: erase={erase!r}"
            ", a class. Call it with its arguments."
        )


def _erase(images, ids, look_up, erase, data_format):
    if images.shape.rank not in (3, 4) or ids.shape.rank != (
        images.shape.rank - 3
    ):
        raise ValueError(
            "Images must have the axes (batch, height, width, channels) and "
            "ids the axis (batch,), or both lack the batch. Received: "
            f"images.shape={images.shape}, ids.shape={ids.shape}."
        )
    single = images.shape.rank == 3
    batch, ids = (images[None], ids[None]) if single else (images, ids)
    first, _ = spatial_axes(4, data_format)
    size = tf.shape(batch)[first : first + 2]
    mask = tf.numpy_function(
        lambda ids, size: np.asarray(look_up(ids, tuple(size)), "bool"),
        [ids, size],
        tf.bool,
    )
    mask = tf.ensure_shape(
        mask, [batch.shape[0], *batch.shape[first : first + 2]]
    )
    result = as_tensor("erase(...)", erase([batch, mask]), tf.convert_to_tensor)
    expected = images.dtype if images.dtype.is_floating else tf.float32
    if result.dtype.size < expected.size:
        raise ValueError(
            "`erase` must not compute in lower precision than the images "
            f"have. Received: {result.dtype.name} for {expected.name}. Give "
            'the layer `dtype="float32"`.'
        )
    result = tf.ensure_shape(tf.cast(result, expected), batch.shape)
    return result[0] if single else result


def _replaced(inputs, name, images):
    if isinstance(inputs, dict):
        return {**inputs, name: images}
    inputs = list(inputs)
    inputs[name] = images
    return tuple(inputs)
