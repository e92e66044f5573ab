"""Batches of inputs: where they come from, and what is checked of them."""

import os

import keras
import numpy as np
from keras import ops

from keras_xmap._checks import check_positive_integer

_KINDS = (
    "`data` must be what `model.predict` takes: an array, a tensor, a "
    "structure of them, a tf.data.Dataset or keras.utils.PyDataset of "
    "batches, or a generator of batches."
)


class Source:
    """Batches of inputs and labels, once and in order.

    Iterating gives pairs: the inputs of a batch, in the structure that the
    model takes, and its labels, `None` where the data has none.

    Args:
        data: See `Explainer.explain`.
        batch_size: Integer, for arrays.

    Attributes:
        size: Integer: how many images there are, `None` if not known.
        num_batches: Integer, `None` if not known.
    """

    def __init__(self, data, batch_size):
        self._data = data
        self.size = self.num_batches = None
        _check_kind(data)
        if _is_dataset(data):
            self._batches = self._of_dataset
            count = int(data.cardinality())
            # -1 is infinite, -2 unknown.
            if count == -1:
                raise ValueError(
                    "`data` must end. Received: a tf.data.Dataset of infinite "
                    "cardinality. Remove `repeat()` or add `take(count)`."
                )
            self.num_batches = count if count >= 0 else None
        elif isinstance(data, keras.utils.PyDataset):
            self._batches = self._of_py_dataset
            self.num_batches = data.num_batches
            if self.num_batches is None:
                raise ValueError(
                    "`data` must end. Received: a keras.utils.PyDataset "
                    "without a number of batches. Define its `__len__`."
                )
        elif hasattr(data, "__next__"):
            self._batches = self._of_dataset
        else:
            self._batches = self._of_arrays
            self._data = keras.tree.map_structure(_as_array, data)
            self.size = num_images(self._data)
            self._batch_size = check_positive_integer("batch_size", batch_size)
            self.num_batches = -(-self.size // batch_size)

    def __iter__(self):
        return self._batches()

    def _of_dataset(self):
        for element in self._data:
            yield _inputs_and_labels(element)

    def _of_py_dataset(self):
        for number in range(self.num_batches):
            yield _inputs_and_labels(self._data[number])

    def _of_arrays(self):
        for start in range(0, self.size, self._batch_size):
            stop = start + self._batch_size
            yield (
                keras.tree.map_structure(
                    lambda x, start=start, stop=stop: x[start:stop], self._data
                ),
                None,
            )


def _check_kind(data):
    for part in keras.tree.flatten(data):
        if isinstance(part, (str, bytes, os.PathLike)):
            raise TypeError(
                f"{_KINDS} Received: the text or path {part!r}. Read the image "
                "first: `np.asarray(PIL.Image.open(path))[np.newaxis]`, then "
                "prepare it as in training."
            )
        if type(part).__module__.partition(".")[0] == "PIL":
            raise TypeError(
                f"{_KINDS} Received: a PIL image of size {part.size}. Pass "
                "`np.asarray(image)[np.newaxis]`, prepared as in training."
            )
        if callable(part) and not hasattr(part, "shape"):
            raise TypeError(
                f"{_KINDS} Received: {type(part).__name__}. Call it, and pass "
                "what it returns."
            )


def _is_dataset(data):
    """Whether this is a `tf.data.Dataset`, without importing TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "cardinality")


def _inputs_and_labels(element):
    if isinstance(element, tuple):
        inputs, labels, _ = keras.utils.unpack_x_y_sample_weight(element)
        return inputs, labels
    return element, None


def _as_array(x):
    return x if hasattr(x, "shape") else np.asarray(x)


def as_tensors(inputs):
    """Returns the structure `inputs` with tensors in it."""
    return keras.tree.map_structure(ops.convert_to_tensor, inputs)


def as_inputs(model, inputs):
    """Returns the structure `inputs` as tensors of the dtypes a model takes.

    As in `model.predict`, integers, booleans and NumPy's float64 become the
    floats that the model declares. One that declares nothing gets images of
    integers, which have four axes or more, as floats.
    """
    tensors = as_tensors(inputs)
    flat = keras.tree.flatten(tensors)
    declared = getattr(model, "inputs", None) or ()
    if len(declared) == len(flat):
        dtypes = [x.dtype for x in declared]
    else:
        image = getattr(model, "compute_dtype", None) or "float32"
        is_image = [len(x.shape) > 3 and not _is_float(x) for x in flat]
        dtypes = [image if known else None for known in is_image]
    cast = [
        _as_declared(x, dtype) for x, dtype in zip(flat, dtypes, strict=True)
    ]
    return keras.tree.pack_sequence_as(tensors, cast)


def _as_declared(x, dtype):
    own = keras.backend.standardize_dtype(x.dtype)
    # Half precision is raised by the explainers; what it lost is lost.
    is_cast = own == "float64" or own == "bool" or "int" in own
    if dtype is None or "float" not in dtype or not is_cast:
        return x
    return ops.cast(x, dtype)


def _is_float(x):
    return keras.backend.is_float_dtype(x.dtype)


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


def check_batch(inputs, parts):
    """Checks what is known of a batch before the model sees it."""
    flat = keras.tree.flatten(inputs)
    shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
    if not flat or any(len(x.shape) == 0 for x in flat):
        raise ValueError(
            "Inputs must be arrays with the batch as first axis. Received: "
            f"shapes {shapes}."
        )
    if any(0 in tuple(x.shape) for x in flat):
        raise ValueError(
            "There is nothing to explain. Expected: at least one image. "
            f"Received: shapes {shapes}."
        )
    for part in keras.tree.flatten(parts):
        if len(part.shape) and part.shape[0] != flat[0].shape[0]:
            if None in (part.shape[0], flat[0].shape[0]):
                continue
            raise ValueError(
                "`target` must have one entry per image. Received: a target "
                f"of shape {tuple(part.shape)} for {flat[0].shape[0]} images."
            )
