"""What is checked of a batch of inputs, and what it becomes."""

import reprlib

import keras
from keras import ops

from keras_xmap.engine.given import given
from keras_xmap.engine.given import map_given

KINDS = (
    "`data` must be what `model.predict` takes: an array, a tensor, a "
    "structure of them, a tf.data.Dataset or keras.utils.PyDataset of "
    "batches, or a generator of batches."
)


def check_no_numbers(data):
    """Refuses images as lists of lists of numbers."""
    is_list = isinstance(data, (list, tuple))
    if is_list and any(
        isinstance(part, (int, float)) for part in keras.tree.flatten(data)
    ):
        raise TypeError(
            f"{KINDS} Received: numbers in lists. Pass `np.array(images)`."
        )


def check_is_array(x):
    """Refuses sparse and ragged tensors."""
    # Told by what only these kinds of tensors can.
    for way, kind in (("to_tensor", "ragged"), ("dense_shape", "sparse")):
        if hasattr(x, way):
            how = "x.to_tensor()" if kind == "ragged" else "tf.sparse.to_dense"
            raise TypeError(
                f"{KINDS} Received: a {kind} tensor. Make it dense, by `{how}`."
            )


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
    check_is_array(x)
    tensor = as_tensors(x)
    if "complex" in str(tensor.dtype):
        raise TypeError(
            f"{KINDS} Received: complex numbers. Pass their magnitude, or "
            "their real and imaginary parts as channels."
        )
    return tensor


def as_inputs(model, inputs):
    """Returns the structure `inputs` as tensors of the dtypes a model takes.

    As in `model.predict`, integers, booleans and NumPy's float64 become the
    floats that the model declares. One that declares nothing gets images of
    integers, which have four axes or more, as floats.
    """
    check_no_numbers(inputs)
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
