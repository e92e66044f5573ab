"""Batches of inputs: where they come from, and what is checked of them."""

import os
import reprlib

import keras
import numpy as np
from keras import ops

from keras_xmap._checks import check_positive_integer
from keras_xmap.engine.given import given
from keras_xmap.engine.given import map_given

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
                f"{_KINDS} Received: the text or path {part!r}. Read the image "
                "first: `datasets.read_photo(path)[np.newaxis]`, then "
                "prepare it as in training. Texts for a model that takes "
                "strings go in as an array: `np.array(texts)[:, np.newaxis]`."
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
        _check_is_array(part)
    _check_no_numbers(data)


def _check_no_numbers(data):
    """Refuses images as lists of lists of numbers."""
    is_list = isinstance(data, (list, tuple))
    if is_list and any(
        isinstance(part, (int, float)) for part in keras.tree.flatten(data)
    ):
        raise TypeError(
            f"{_KINDS} Received: numbers in lists. Pass `np.array(images)`."
        )


def _check_is_array(x):
    """Refuses sparse and ragged tensors."""
    # Told by what only these kinds of tensors can.
    for way, kind in (("to_tensor", "ragged"), ("dense_shape", "sparse")):
        if hasattr(x, way):
            how = "x.to_tensor()" if kind == "ragged" else "tf.sparse.to_dense"
            raise TypeError(
                f"{_KINDS} Received: a {kind} tensor. Make it dense, by "
                f"`{how}`."
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
    return map_given(_as_tensor, inputs)


def _as_tensor(x):
    # Strings are tensors as well, which models that take texts are given.
    try:
        if not isinstance(x, keras.KerasTensor):
            return ops.convert_to_tensor(x)
    except Exception as error:
        raise _no_tensor(x) from error
    raise _no_tensor(x)


def _no_tensor(x):
    symbol = isinstance(x, keras.KerasTensor)
    remedy = " It has no values yet: call the explainer on those of a batch."
    return TypeError(
        "`inputs` must be arrays or tensors, or a structure of them. Received: "
        f"{reprlib.repr(x)} of type {type(x).__name__}."
        f"{remedy if symbol else ''}"
    )


def _as_input(x):
    _check_is_array(x)
    tensor = as_tensors(x)
    if "complex" in str(tensor.dtype):
        raise TypeError(
            f"{_KINDS} Received: complex numbers. Pass their magnitude, or "
            "their real and imaginary parts as channels."
        )
    return tensor


def as_inputs(model, inputs):
    """Returns the structure `inputs` as tensors of the dtypes a model takes.

    As in `model.predict`, integers, booleans and NumPy's float64 become the
    floats that the model declares. One that declares nothing gets images of
    integers, which have four axes or more, as floats.
    """
    _check_no_numbers(inputs)
    tensors = map_given(_as_input, inputs)
    flat = keras.tree.flatten(tensors)
    declared = getattr(model, "inputs", None) or ()
    if len(declared) == len(flat):
        dtypes = [x.dtype for x in declared]
    else:
        image = getattr(model, "compute_dtype", None) or "float32"
        dtypes = [image if _is_integer_image(x) else None for x in flat]
    cast = [
        None if x is None else _as_declared(x, dtype)
        for x, dtype in zip(flat, dtypes, strict=True)
    ]
    return keras.tree.pack_sequence_as(tensors, cast)


def _as_declared(x, dtype):
    own = keras.backend.standardize_dtype(x.dtype)
    # Half precision is raised by the explainers; what it lost is lost.
    is_cast = own == "float64" or own == "bool" or "int" in own
    if dtype is None or "float" not in dtype or not is_cast:
        return x
    return ops.cast(x, dtype)


def _is_integer_image(x):
    if x is None or len(x.shape) < 4:
        return False
    dtype = keras.backend.standardize_dtype(x.dtype)
    return "int" in dtype or dtype == "bool"


def num_images(inputs):
    """Returns how many images there are, the same in all `inputs`."""
    sizes = {x.shape[0] if len(x.shape) else None for x in given(inputs)}
    if len(sizes) != 1 or None in sizes:
        shapes = map_given(lambda x: tuple(x.shape), inputs)
        raise ValueError(
            "All inputs must have the batch as first axis, of one size. "
            f"Received: shapes {shapes}."
        )
    return sizes.pop()


def check_batch(inputs, parts):
    """Checks what is known of a batch before the model sees it."""
    flat = given(inputs)
    for x in [*flat, *keras.tree.flatten(parts)]:
        _check_rank_is_known(x)
    shapes = map_given(lambda x: tuple(x.shape), inputs)
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
    sizes = {x.shape[0] for x in flat} - {None}
    if len(sizes) > 1:
        raise ValueError(
            "All inputs must have the batch as first axis, of one size. "
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


def _check_rank_is_known(x):
    try:
        len(x.shape)
    except ValueError:
        raise ValueError(
            "The number of axes of inputs and targets must be known. Received: "
            f"{x!r} inside of a compiled function. Tell its shape by "
            "`x.set_shape(...)`, such as (None, 224, 224, 3) for images."
        ) from None


def conditions_of_batch(model, inputs, parts):
    """Returns what must hold of a batch that has no sizes yet.

    Inside of a function that the user compiles, sizes are known when it runs.

    Returns:
        List of triples: a scalar boolean tensor, a message, and values that
        are printed behind it.
    """
    flat = given(inputs)
    size = ops.shape(flat[0])[0]
    found = [
        (
            ops.convert_to_tensor(size > 0),
            "There is nothing to explain. Expected: at least one image. "
            "Received: images =",
            [size],
        )
    ]
    for x in flat[1:]:
        other = ops.shape(x)[0]
        message = (
            "All inputs must have the batch as first axis, of one size. "
            "Received: sizes ="
        )
        found.append((ops.equal(other, size), message, [size, other]))
    for part in keras.tree.flatten(parts):
        if len(part.shape):
            entries = ops.shape(part)[0]
            message = (
                "`target` must have one entry per image. Received: (entries, "
                "images) ="
            )
            found.append((ops.equal(entries, size), message, [entries, size]))
    return found + _conditions_of_sizes(model, inputs)


def _conditions_of_sizes(model, inputs):
    declared = getattr(model, "inputs", None) or ()
    flat = keras.tree.flatten(inputs)
    if len(declared) != len(flat):
        return []
    found = []
    for number, (expected, x) in enumerate(zip(declared, flat, strict=True)):
        if x is None or len(expected.shape) != len(x.shape):
            continue
        for axis, length in enumerate(expected.shape):
            if axis and length is not None and x.shape[axis] is None:
                message = (
                    f"Input {number} must have the shape that the model "
                    f"declares, {tuple(expected.shape)}. Received: size along "
                    f"axis {axis} ="
                )
                actual = ops.shape(x)[axis]
                found.append((ops.equal(actual, length), message, [actual]))
    return found
