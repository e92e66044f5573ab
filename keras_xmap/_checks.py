"""Checks of arguments that end in an error a reader can act on.

Every message says what was expected, what was received and, where there is
one, the remedy. Each check returns the value, so that a constructor reads
`self.rate = check_fraction("rate", rate)`.
"""

import numbers

_MAX_SEED = 2**31 - 1


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _message(name, expected, value, remedy):
    message = f"`{name}` must be {expected}. Received: {name}={value!r}."
    return f"{message} {remedy}" if remedy else message


def check_positive(name, value, remedy=""):
    """Returns `value` as a float, which must be a number above 0."""
    if not _is_number(value) or not 0 < value < float("inf"):
        raise ValueError(_message(name, "a positive number", value, remedy))
    return float(value)


def check_non_negative(name, value, remedy=""):
    """Returns `value` as a float, which must be a finite number >= 0."""
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise ValueError(_message(name, "a number >= 0", value, remedy))
    return float(value)


def check_fraction(name, value, remedy=""):
    """Returns `value` as a float, which must be strictly between 0 and 1."""
    if not _is_number(value) or not 0 < value < 1:
        raise ValueError(
            _message(name, "strictly between 0 and 1", value, remedy)
        )
    return float(value)


def check_share(name, value, remedy=""):
    """Returns `value` as a float, which must be from 0 to below 1."""
    if not _is_number(value) or not 0 <= value < 1:
        expected = "a number from 0 to below 1"
        raise ValueError(_message(name, expected, value, remedy))
    return float(value)


def check_between(name, value, low, high, remedy=""):
    """Returns `value`, which must be a number from `low` to `high`."""
    if not _is_number(value) or not low <= value <= high:
        expected = f"a number from {low} to {high}"
        raise ValueError(_message(name, expected, value, remedy))
    return value


def check_boolean(name, value, remedy=""):
    """Returns `value` as a bool, which must be `True` or `False`."""
    if not isinstance(value, bool):
        raise TypeError(_message(name, "a boolean", value, remedy))
    return value


def check_positive_integer(name, value, remedy=""):
    """Returns `value` as an int, which must be an integer >= 1."""
    if (
        not isinstance(value, numbers.Integral)
        or isinstance(value, bool)
        or value < 1
    ):
        raise ValueError(_message(name, "an integer >= 1", value, remedy))
    return int(value)


def check_seed(name, value, remedy=""):
    """Returns `value` as an int, which must fit a positive int32."""
    if (
        not isinstance(value, numbers.Integral)
        or isinstance(value, bool)
        or not 0 <= value <= _MAX_SEED
    ):
        expected = f"an integer from 0 to {_MAX_SEED}"
        raise ValueError(_message(name, expected, value, remedy))
    return int(value)


def check_one_of(name, value, options, remedy=""):
    """Returns `value`, which must be one of `options`."""
    if value not in options:
        expected = "one of " + ", ".join(repr(option) for option in options)
        raise ValueError(_message(name, expected, value, remedy))
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
