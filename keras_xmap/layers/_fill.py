"""What is put in place of pixels that a layer hides."""

import numbers

from keras import ops


def check_fill(name, fill):
    """Returns a number, or a number per channel, as float or list."""
    if hasattr(fill, "tolist"):
        fill = fill.tolist()
    values = fill if isinstance(fill, (list, tuple)) else (fill,)
    if not values or not all(
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and abs(value) < float("inf")
        for value in values
    ):
        raise ValueError(
            f"`{name}` must be a finite number, or a list of one for each "
            f"channel. Received: {name}={fill!r}."
        )
    if isinstance(fill, (list, tuple)):
        return [float(value) for value in fill]
    return float(fill)


def check_channels(name, fill, shape, data_format):
    """Checks that `fill` has as many entries as images have channels."""
    channels = shape[-1 if data_format == "channels_last" else 1]
    if isinstance(fill, list) and channels not in (None, len(fill)):
        raise ValueError(
            f"`{name}` must have one entry for each of the {channels} "
            f"channels. Received: {name}={fill}."
        )


def as_color(fill, dtype, data_format):
    """Returns `fill` as a tensor that broadcasts over images."""
    color = ops.convert_to_tensor(fill, dtype)
    if isinstance(fill, list) and data_format == "channels_first":
        return ops.reshape(color, (-1, 1, 1))
    return color
