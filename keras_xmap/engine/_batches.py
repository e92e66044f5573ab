"""Batches of inputs: where they come from, and what is checked of them."""

import keras
import numpy as np
import tensorflow as tf

from keras_xmap._checks import check_positive_integer
from keras_xmap.engine.tensorflow.checks import require


class Source:
    """Batches of inputs, out of arrays or of a dataset, once and in order."""

    def __init__(self, data, batch_size):
        self._data = data
        if isinstance(data, tf.data.Dataset):
            count = int(data.cardinality())
            if count == tf.data.INFINITE_CARDINALITY:
                raise ValueError(
                    "`data` must end. Received: a tf.data.Dataset of infinite "
                    "cardinality. Remove `repeat()` or add `take(count)`."
                )
            self.num_batches = count if count >= 0 else None
            self.size = None
            return
        if hasattr(data, "__next__") or callable(data):
            raise TypeError(
                "`data` must be an array, a tensor, a structure of them, or a "
                f"tf.data.Dataset. Received: {type(data).__name__}."
            )
        self._data = keras.tree.map_structure(_as_array, data)
        self.size = num_images(self._data)
        self._batch_size = check_positive_integer("batch_size", batch_size)
        self.num_batches = -(-self.size // batch_size)

    def __iter__(self):
        if isinstance(self._data, tf.data.Dataset):
            for element in self._data:
                if isinstance(element, tuple):
                    element, _, _ = keras.utils.unpack_x_y_sample_weight(
                        element
                    )
                yield element
            return
        for start in range(0, self.size, self._batch_size):
            stop = start + self._batch_size
            yield keras.tree.map_structure(
                lambda x, start=start, stop=stop: x[start:stop], self._data
            )


def _as_array(x):
    if isinstance(x, (np.ndarray, tf.Tensor)):
        return x
    return np.asarray(x)


def as_tensors(inputs):
    """Returns the structure `inputs` with tensors in it."""
    return keras.tree.map_structure(tf.convert_to_tensor, inputs)


def num_images(inputs):
    """Returns how many images there are, the same in all `inputs`."""
    sizes = {
        x.shape[0] if len(x.shape) else None for x in keras.tree.flatten(inputs)
    }
    if len(sizes) != 1 or None in sizes:
        shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
        raise ValueError(
            "All inputs must have the batch as first axis, of one size. "
            f"Received: shapes {shapes}."
        )
    return sizes.pop()


def check_batch(model, inputs, parts):
    """Checks what is known of a batch before the model sees it."""
    flat = keras.tree.flatten(inputs)
    shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
    if not flat or any(x.shape.rank == 0 for x in flat):
        raise ValueError(
            "Inputs must be arrays with the batch as first axis. Received: "
            f"shapes {shapes}."
        )
    if any(0 in tuple(x.shape) for x in flat):
        raise ValueError(
            "There is nothing to explain. Expected: at least one image. "
            f"Received: shapes {shapes}."
        )
    if not _takes_integers(model, flat) and (
        not any(x.dtype.is_floating for x in flat)
        or any(
            x.dtype.is_integer and x.shape.rank >= 4 and x.shape[-1] != 1
            for x in flat
        )
    ):
        dtypes = keras.tree.map_structure(lambda x: x.dtype.name, inputs)
        raise TypeError(
            "Images must be floating-point, with the scaling the model was "
            f"trained on. Received: dtype {dtypes}, shapes {shapes}. Convert "
            'them by `images.astype("float32")`, and scale them as in '
            "training."
        )
    for part in keras.tree.flatten(parts):
        if part.shape.rank and part.shape[0] != flat[0].shape[0]:
            if None in (part.shape[0], flat[0].shape[0]):
                continue
            raise ValueError(
                "`target` must have one entry per image. Received: a target "
                f"of shape {tuple(part.shape)} for {flat[0].shape[0]} images."
            )


def _takes_integers(model, flat):
    """Whether the model says itself that its inputs are these integers."""
    declared = getattr(model, "inputs", None) or ()
    return len(declared) == len(flat) and all(
        x.dtype.is_floating or "int" in x_declared.dtype
        for x, x_declared in zip(flat, declared, strict=True)
    )


def value_checks(inputs):
    """Returns operations that stop a step on values that are not finite."""
    return [
        require(
            tf.reduce_all(tf.math.is_finite(x)),
            "Images must be finite. Received: an input with NaN or infinite "
            "values. Find them by `numpy.isfinite`.",
        )
        for x in keras.tree.flatten(inputs)
        if x.dtype.is_floating
    ]
