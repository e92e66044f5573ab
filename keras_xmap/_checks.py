"""Checks of arguments that end in an error a reader can act on.

Every message says what was expected, what was received and, where there is
one, the remedy. Each check returns the value, so that a constructor reads
`self.rate = check_share("rate", rate)`. NumPy's scalars count as numbers,
booleans do not, and NaN is in no range.

An argument that is out of its range raises `ValueError`, whatever its type;
one that is no model, no layer or nothing to call raises `TypeError`.
"""

import numbers

import keras

_INFINITY = float("inf")
_MAX_SEED = 2**31 - 1
# How Python stops code that does not fit what it is given. What else a user's
# code raises, it raises on purpose, and that stays as it is.
MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
)


def is_number(value):
    """Returns whether `value` is a real number, and no boolean."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_integer(value):
    """Returns whether `value` is an integer, and no boolean."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def message(name, expected, value, remedy=""):
    """Returns the text of an error about one argument."""
    text = f"`{name}` must be {expected}. Received: {name}={value!r}."
    return f"{text} {remedy}" if remedy else text


def check_positive(name, value, remedy=""):
    """Returns `value` as a float, which must be a finite number above 0."""
    if not is_number(value) or not 0 < value < _INFINITY:
        raise ValueError(message(name, "a positive number", value, remedy))
    return float(value)


def check_non_negative(name, value, remedy=""):
    """Returns `value` as a float, which must be a finite number >= 0."""
    if not is_number(value) or not 0 <= value < _INFINITY:
        raise ValueError(message(name, "a number >= 0", value, remedy))
    return float(value)


def check_real(name, value, remedy=""):
    """Returns `value` as a float, which may also be NaN or infinite."""
    if not is_number(value):
        raise ValueError(message(name, "a number", value, remedy))
    return float(value)


def check_finite(name, value, remedy=""):
    """Returns `value` as a float, which must be finite, of any sign."""
    if not is_number(value) or not -_INFINITY < value < _INFINITY:
        raise ValueError(message(name, "a finite number", value, remedy))
    return float(value)


def check_fraction(name, value, remedy=""):
    """Returns `value` as a float, which must be strictly between 0 and 1."""
    if not is_number(value) or not 0 < value < 1:
        raise ValueError(
            message(name, "strictly between 0 and 1", value, remedy)
        )
    return float(value)


def check_share(name, value, remedy=""):
    """Returns `value` as a float, which must be from 0 to 1, both allowed."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(message(name, "a number from 0 to 1", value, remedy))
    return float(value)


def check_threshold(name, value, remedy=""):
    """Returns `value` as a float, which must be from 0 to below 1."""
    if not is_number(value) or not 0 <= value < 1:
        expected = "a number from 0 to below 1"
        raise ValueError(message(name, expected, value, remedy))
    return float(value)


def check_positive_integer(name, value, remedy=""):
    """Returns `value` as an int, which must be an integer >= 1."""
    return check_integer(name, value, 1, remedy=remedy)


def check_non_negative_integer(name, value, remedy=""):
    """Returns `value` as an int, which must be an integer >= 0."""
    return check_integer(name, value, 0, remedy=remedy)


def check_odd(name, value):
    """Returns `value` as an int, which must be positive and odd."""
    value = check_positive_integer(name, value)
    if value % 2 == 0:
        remedy = f"A kernel of {value + 1} has a middle."
        raise ValueError(message(name, "an odd integer", value, remedy))
    return value


def check_integer(name, value, low=None, high=None, remedy=""):
    """Returns `value` as an int, from `low` to `high` where these are given."""
    expected = "an integer"
    if low is not None:
        expected += f" >= {low}" if high is None else f" from {low} to {high}"
    elif high is not None:
        expected += f" <= {high}"
    if (
        not is_integer(value)
        or (low is not None and value < low)
        or (high is not None and value > high)
    ):
        raise ValueError(message(name, expected, value, remedy))
    return int(value)


def check_seed(name, value, remedy=""):
    """Returns `value` as an int, which must fit a positive int32."""
    return check_integer(name, value, 0, _MAX_SEED, remedy)


def check_optional(check, name, value, *args, **kwargs):
    """Returns `None` for `None`, and what `check` makes of any other value."""
    return None if value is None else check(name, value, *args, **kwargs)


def check_boolean(name, value, remedy=""):
    """Returns `value` as a bool, which must be `True` or `False`."""
    # NumPy's booleans are equal to these, but so are the numbers 0 and 1.
    if not isinstance(value, bool) and type(value).__name__ not in (
        "bool",
        "bool_",
    ):
        raise ValueError(message(name, "True or False", value, remedy))
    return bool(value)


def check_one_of(name, value, options, remedy=""):
    """Returns `value`, which must be one of `options`."""
    for option in options:
        # True is no 1 here, and arrays, of no single truth, are nothing.
        alike = isinstance(value, bool) == isinstance(option, bool)
        known = alike and isinstance(value, (str, numbers.Number))
        if value is option or (known and value == option):
            return option
    expected = "one of " + ", ".join(repr(option) for option in options)
    raise ValueError(message(name, expected, value, remedy))


def check_pair(name, value, check, remedy=""):
    """Returns `value` as a tuple of two entries that `check` lets pass.

    One value that is no list stands for both.
    """
    pair = value if isinstance(value, (list, tuple)) else (value, value)
    if len(pair) != 2:
        raise ValueError(message(name, "one value or two", value, remedy))
    return tuple(check(name, entry, remedy) for entry in pair)


def check_string(name, value, remedy=""):
    """Returns `value`, which must be a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(message(name, "a string", value, remedy))
    return value


def check_names(name, value, remedy=""):
    """Returns `value` as a list: one string, or a list of different ones."""
    names = [value] if isinstance(value, str) else value
    if (
        not isinstance(names, (list, tuple))
        or not names
        or not all(isinstance(entry, str) and entry for entry in names)
    ):
        expected = "a name or a list of names"
        raise ValueError(message(name, expected, value, remedy))
    if len(set(names)) < len(names):
        raise ValueError(message(name, "different names", value, remedy))
    return list(names)


def check_callable(name, value, remedy=""):
    """Returns `value`, which must be a function or another callable."""
    if not callable(value):
        raise TypeError(message(name, "callable", value, remedy))
    return value


def check_model(name, value, remedy=""):
    """Returns `value`, which must be a `keras.Model`."""
    return check_instance(
        name, value, keras.Model, "a keras.Model", remedy=remedy
    )


def check_layer(name, value, remedy=""):
    """Returns `value`, which must be a `keras.Model` or another layer."""
    expected = "a keras.Model or a Keras layer"
    return check_instance(name, value, keras.layers.Layer, expected, remedy)


def check_instance(name, value, kind, expected, remedy=""):
    """Returns `value`, which must be of `kind`, a class or a tuple of them."""
    if not isinstance(value, kind):
        received = f"{name}={value!r} (of type {type(value).__name__})"
        text = f"`{name}` must be {expected}. Received: {received}."
        raise TypeError(f"{text} {remedy}" if remedy else text)
    return value


def check_single_map(name, shape, remedy="Use one loss for each channel."):
    """Checks that `shape` is that of one map an image."""
    shape = tuple(shape)
    single = len(shape) == 3 or (
        len(shape) == 4 and any(shape[axis] in (1, None) for axis in (1, 3))
    )
    if not single:
        raise ValueError(
            f"`{name}` must hold one map an image: (batch, height, width), "
            "or with one channel (batch, height, width, 1). Received: "
            f"{name}.shape={shape}. {remedy}"
        )


def check_image_and_scores(image, scores):
    """Raises unless the shapes, channels last, are of one batch and size."""
    image, scores = tuple(image), tuple(scores)
    if (
        len(image) != 4
        or len(scores) != 4
        or any(
            None not in pair and pair[0] != pair[1]
            for pair in zip(image[:3], scores[:3], strict=True)
        )
    ):
        raise ValueError(
            "`image` must be (batch, height, width, channels) and `scores` "
            "(batch, height, width, classes), of one batch and size. "
            f"Received: image.shape={image}, scores.shape={scores}. Resize "
            "one of them with `keras_xmap.ops.resize`."
        )
