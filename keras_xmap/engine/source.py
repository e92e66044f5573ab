"""Where batches of inputs come from."""

import os

import keras
import numpy as np

from keras_xmap._checks import check_positive_integer
from keras_xmap.engine._batches import KINDS
from keras_xmap.engine._batches import check_is_array
from keras_xmap.engine._batches import check_no_numbers
from keras_xmap.engine._batches import num_images
from keras_xmap.engine.given import map_given


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
            self.num_batches = _num_batches(data)
            if self.num_batches is None:
                raise ValueError(
                    "`data` must end. Received: a keras.utils.PyDataset "
                    "without a number of batches. Define its `__len__`."
                )
        elif hasattr(data, "__next__"):
            self._batches = self._of_dataset
        else:
            self._batches = self._of_arrays
            self._data = map_given(_as_array, data)
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
                map_given(
                    lambda x, start=start, stop=stop: x[start:stop], self._data
                ),
                None,
            )


def _num_batches(dataset):
    try:
        return dataset.num_batches
    except NotImplementedError:  # by Keras, of one that says no length
        return None


def _check_kind(data):
    for part in keras.tree.flatten(data):
        if isinstance(part, (str, bytes, os.PathLike)):
            raise TypeError(
                f"{KINDS} Received: the text or path {part!r}. Read the image "
                "first: `datasets.read_photo(path)[np.newaxis]`, then "
                "prepare it as in training. Texts for a model that takes "
                "strings go in as an array: `np.array(texts)[:, np.newaxis]`."
            )
        if type(part).__module__.partition(".")[0] == "PIL":
            raise TypeError(
                f"{KINDS} Received: a PIL image of size {part.size}. Pass "
                "`np.asarray(image)[np.newaxis]`, prepared as in training."
            )
        if callable(part) and not hasattr(part, "shape"):
            raise TypeError(
                f"{KINDS} Received: {type(part).__name__}. Call it, and pass "
                "what it returns."
            )
        check_is_array(part)
    check_no_numbers(data)


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
