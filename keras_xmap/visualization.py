"""Maps to pictures: RGB uint8 arrays `(height, width, 3)`, ready to save.

Explainers return numbers. What a number looks like is decided here, once:
bright means important, in every picture and with every colour map.
"""

import numpy as np
from skimage.transform import resize

from keras_xmap._validation import check_one_of

__all__ = ["overlay", "panel", "to_uint8"]

# Evenly spaced colours, interpolated in between. "viridis" is matplotlib's
# to within 0.021; "blue_orange" has equal steps of CIELAB lightness from a
# dark centre, so that strong evidence is bright whatever its sign.
_COLORMAPS = {
    "viridis": (
        "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c "
        "1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725"
    ),
    "blue_orange": (
        "b8e0f8 53aee7 007cbe 004b7e 1f1f1f 723515 b45d11 e9922d ffd48b"
    ),
}

# Rounding leaves values such as 1.0000001 or -1e-9, and a map whose spread
# is rounding noise is flat: stretched, the noise would look like evidence.
_RANGE_TOLERANCE = 1e-3
_FLAT_TOLERANCE = 1e-6


def to_uint8(image, data_range=None):
    """Converts any usual image to RGB of 8 bits per channel.

    The scale of the values is never stretched: a dark image stays dark. It
    is read off the dtype and the values where they leave no doubt, and asked
    for otherwise:

    - bool: `False` is black, `True` white;
    - integers: 0 is black, 255 white; values outside are an error;
    - floats within 0..1: 0 is black, 1 white;
    - floats within 0..255 with a maximum above 2: 0 is black, 255 white;
    - all else, such as images in -1..1, with their mean subtracted, or of 16
      bits, is an error that asks for `data_range`.

    Args:
        image: Array `(height, width)`, `(height, width, 1)` for grayscale,
            `(height, width, 3)` for RGB or `(height, width, 4)` for RGBA,
            which is laid on white. Finite values.
        data_range: Pair `(low, high)` of the values that mean black and
            white, or `None` for the rules above. Values outside are clipped.
            An alpha channel is scaled like the colours. Defaults to `None`.

    Returns:
        A new uint8 array `(height, width, 3)`.

    Raises:
        TypeError: If `image` does not hold real numbers.
        ValueError: If the shape is another, a value is NaN or infinite, or
            the scale of the values is in doubt.

    Example:

    >>> keras_xmap.visualization.to_uint8(np.array([[0.0, 0.5, 1.0]]))[0, :, 0]
    array([  0, 128, 255], dtype=uint8)
    """
    image = _check_image(image)
    low, high = _black_and_white(image, data_range)
    values = np.clip((image.astype("float64") - low) / (high - low), 0, 1)
    if values.shape[-1] == 4:
        alpha = values[..., 3:]
        values = alpha * values[..., :3] + (1 - alpha)
    return _quantize(np.broadcast_to(values, (*values.shape[:2], 3)))


def overlay(
    image, map, alpha=0.5, colormap=None, signed=False, data_range=None
):
    """Lays a map over its image in colour; bright is important.

    The map is brought to the image's size and scaled by its own extremes,
    so colours compare pixels of one map, not one map with another:

    - `signed=False`: the lowest value, also a negative one, is darkest and
      the highest brightest;
    - `signed=True`: zero is darkest; positive values brighten to orange and
      negative ones to blue, on one scale: `map / max(abs(map))`.

    A flat map, whose spread is below a millionth of its size, is no
    evidence. It is darkest throughout, never noise blown up to full colour.

    Args:
        image: Image of any kind that `to_uint8` takes.
        map: Real array `(map_height, map_width)`, finite. Resized linearly
            with half-pixel centres, and smoothed first when it shrinks.
        alpha: Float in [0, 1]: 0 shows the image alone, 1 the colours alone.
            Defaults to `0.5`.
        colormap: `None`; a name, `"viridis"` for unsigned and
            `"blue_orange"` for signed maps; or a callable that takes values
            in 0..1 of shape `(height, width)` and returns colours in 0..1 of
            shape `(height, width, 3 or 4)`, as the colour maps of matplotlib
            do. With `signed=True` a callable gets zero as 0.5. Defaults to
            `None`, the name that fits.
        signed: Boolean. Whether the sign of the map has a meaning. Defaults
            to `False`.
        data_range: See `to_uint8`. Concerns the image only.

    Returns:
        A uint8 array `(height, width, 3)` of the image's size.

    Raises:
        TypeError: If `image` or `map` does not hold real numbers.
        ValueError: If a shape, a value or an option is not as above.

    Example:

    >>> image = np.zeros((2, 2))
    >>> map = np.array([[0.0, 1.0], [0.0, 0.0]])
    >>> picture = keras_xmap.visualization.overlay(image, map)
    >>> picture.sum(axis=-1).tolist()  # brightness
    [[76, 260], [76, 76]]
    """
    image = to_uint8(image, data_range)
    if not isinstance(alpha, (int, float)) or not 0 <= alpha <= 1:
        raise ValueError(
            "`alpha` must be a number in [0, 1]. "
            f"Received: alpha={alpha!r}. 0 shows the image alone."
        )
    values = _resize(_check_map(map), image.shape[:2], "bilinear")
    colors = _colorize(_normalize(values, signed), colormap, signed)
    return _quantize((1 - alpha) * (image / 255) + alpha * colors)


def panel(rows, titles=None, cell_size=None, interpolation="nearest", gap=4):
    """Arranges images in a grid of equal cells on white.

    An image keeps its proportions: it is scaled to fit its cell and centred
    in it.

    Args:
        rows: List of lists of equal length. Each entry is an image of any
            kind that `to_uint8` takes, or `None` for an empty cell.
        titles: List of strings, one for each column, drawn above it, or
            `None`. Cells are widened where a title needs it. Defaults to
            `None`.
        cell_size: Pair `(height, width)` in pixels, or `None` for the
            largest height and the largest width among the images. Defaults
            to `None`.
        interpolation: `"nearest"`, which shows pixels as they are, or
            `"bilinear"`, the better one for shrinking photographs. Defaults
            to `"nearest"`.
        gap: Integer >= 0, pixels of white between the cells and around them.
            Defaults to `4`.

    Returns:
        A uint8 array `(height, width, 3)`.

    Raises:
        ValueError: If the rows are empty or differ in length, or another
            argument is not as above.

    Example:

    >>> black, white = np.zeros((8, 8)), np.ones((8, 8))
    >>> keras_xmap.visualization.panel([[black, white]], gap=2).shape
    (12, 22, 3)
    """
    check_one_of("interpolation", interpolation, ("nearest", "bilinear"))
    if not _is_integer(gap, 0):
        raise ValueError(
            f"`gap` must be an integer >= 0. Received: gap={gap!r}."
        )
    rows = _check_rows(rows)
    height, width = _cell_size(cell_size, rows)
    bars = _title_bars(titles, len(rows[0]))
    column_width = max(width, *(bar.shape[1] for bar in bars), 0)
    bar_height = max((bar.shape[0] + gap for bar in bars), default=0)
    canvas = np.full(
        (
            bar_height + len(rows) * (height + gap) + gap,
            len(rows[0]) * (column_width + gap) + gap,
            3,
        ),
        255,
        dtype="uint8",
    )
    lefts = [gap + k * (column_width + gap) for k in range(len(rows[0]))]
    for bar, left in zip(bars, lefts, strict=False):
        _paste(canvas, bar, gap, left, bar.shape[0], column_width)
    for row_index, row in enumerate(rows):
        top = bar_height + gap + row_index * (height + gap)
        for image, left in zip(row, lefts, strict=True):
            if image is not None:
                fitted = _fit(image, (height, width), interpolation)
                _paste(canvas, fitted, top, left, height, column_width)
    return canvas


def _quantize(values):
    return np.round(255 * values).astype("uint8")


def _is_integer(value, minimum):
    return (
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and value >= minimum
    )


def _check_numbers(name, array):
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        array = array.astype("float32")
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"`{name}` must hold real numbers. "
            f"Received: {name}.dtype={array.dtype}."
        )
    return array


def _check_finite(name, array):
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int(np.sum(~np.isfinite(array)))
        raise ValueError(
            f"`{name}` must hold finite values. Received: {name} with "
            f"{count} of {array.size} values NaN or infinite."
        )


def _check_image(image):
    image = _check_numbers("image", image)
    shape = image.shape
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or not image.size:
        remedy = ""
        if image.ndim == 4:
            remedy = " Index the batch: image[0]."
        elif image.ndim == 3 and shape[0] in (1, 3, 4):
            remedy = " For channels first pass np.moveaxis(image, 0, -1)."
        raise ValueError(
            "`image` must be one image of shape (height, width) or "
            "(height, width, 1, 3 or 4). "
            f"Received: image.shape={shape}.{remedy}"
        )
    _check_finite("image", image)
    return image


def _black_and_white(image, data_range):
    if data_range is not None:
        return _check_range(data_range)
    low, high = float(image.min()), float(image.max())
    if image.dtype.kind == "b":
        return 0, 1
    if image.dtype.kind in "ui":
        if low >= 0 and high <= 255:
            return 0, 255
        expected = "within 0..255"
    else:
        if low >= -_RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE:
            return 0, 1
        slack = 255 * _RANGE_TOLERANCE
        if low >= -slack and 2 < high <= 255 + slack:
            return 0, 255
        expected = "within 0..1, or within 0..255 with a maximum above 2"
    raise ValueError(
        f"`image` of dtype {image.dtype} must hold values {expected}. "
        f"Received: image with values from {low:.6g} to {high:.6g}. "
        "Pass data_range=(low, high), the values that mean black and white."
    )


def _check_range(data_range):
    try:
        low, high = (float(value) for value in data_range)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            "`data_range` must be a pair (low, high) of finite numbers with "
            f"low < high, or None. Received: data_range={data_range!r}."
        )
    return low, high


def _check_map(map):
    map = _check_numbers("map", map)
    if map.ndim != 2 or not map.size:
        raise ValueError(
            "`map` must be one map of shape (height, width). "
            f"Received: map.shape={map.shape}. Index a batch, map[0]; reduce "
            "the channels of an attribution, np.abs(map).sum(axis=-1)."
        )
    _check_finite("map", map)
    # Divided by the largest magnitude before any difference is taken: no
    # overflow, and tolerances are relative.
    map = map.astype("float64")
    peak = np.abs(map).max()
    return map / peak if peak > 0 else map


def _normalize(values, signed):
    """Returns values in 0..1, where 0.5 is zero if `signed`."""
    low, high = values.min(), values.max()
    if high - low <= _FLAT_TOLERANCE:
        return np.full(values.shape, 0.5 if signed else 0.0)
    if signed:
        return 0.5 + 0.5 * values / max(high, -low)
    return (values - low) / (high - low)


def _colorize(values, colormap, signed):
    """Returns colours `(height, width, 3)` in 0..1."""
    fitting = "blue_orange" if signed else "viridis"
    if not callable(colormap):
        check_one_of(
            "colormap",
            fitting if colormap is None else colormap,
            (fitting,),
            f"That is the one for signed={signed}; a callable is used as is.",
        )
        table = _COLORMAPS[fitting].split()
        table = np.array([list(bytes.fromhex(code)) for code in table]) / 255
        knots = np.linspace(0, 1, len(table))
        bands = [np.interp(values, knots, band) for band in table.T]
        return np.stack(bands, axis=-1)
    colors = np.asarray(colormap(values))
    if colors.shape not in [(*values.shape, 3), (*values.shape, 4)]:
        raise ValueError(
            "`colormap` must return colours of shape (height, width, 3 or 4) "
            f"for values of shape {values.shape}. "
            f"Received: colormap(values).shape={colors.shape}."
        )
    if not (colors.min() >= 0 and colors.max() <= 1):
        raise ValueError(
            "`colormap` must return colours in 0..1. Received: "
            f"colormap(values) from {colors.min():.4g} to {colors.max():.4g}."
        )
    return colors[..., :3]


def _resize(array, size, interpolation):
    if array.shape[:2] == tuple(size):
        return array
    linear = interpolation == "bilinear"
    return resize(
        array,
        (*size, *array.shape[2:]),
        order=1 if linear else 0,
        mode="edge",
        anti_aliasing=linear,
        preserve_range=True,
    )


def _check_rows(rows):
    if (
        not isinstance(rows, (list, tuple))
        or not rows
        or not all(isinstance(row, (list, tuple)) and row for row in rows)
    ):
        kind = type(rows).__name__
        if isinstance(rows, (list, tuple)) and rows:
            kind += " of " + type(rows[0]).__name__
        raise ValueError(
            "`rows` must be a list of lists of images. "
            f"Received: rows={kind}. For one row pass [[image, ...]]."
        )
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ValueError(
            "`rows` must be of equal length. "
            f"Received: rows of lengths {lengths}. "
            "None stands for an empty cell."
        )
    rows = [
        [None if image is None else to_uint8(image) for image in row]
        for row in rows
    ]
    if all(image is None for row in rows for image in row):
        raise ValueError(
            "`rows` must hold an image. Received: rows of None only."
        )
    return rows


def _cell_size(cell_size, rows):
    if cell_size is None:
        images = [image for row in rows for image in row if image is not None]
        return np.max([image.shape[:2] for image in images], axis=0)
    if (
        not isinstance(cell_size, (list, tuple))
        or len(cell_size) != 2
        or not all(_is_integer(length, 1) for length in cell_size)
    ):
        raise ValueError(
            "`cell_size` must be a pair (height, width) of integers >= 1. "
            f"Received: cell_size={cell_size!r}."
        )
    return cell_size


def _fit(image, size, interpolation):
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    fitted = [max(1, round(scale * length)) for length in image.shape[:2]]
    return np.round(_resize(image, fitted, interpolation)).astype("uint8")


def _paste(canvas, image, top, left, height, width):
    top += (height - image.shape[0]) // 2
    left += (width - image.shape[1]) // 2
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image


def _title_bars(titles, num_columns):
    """Returns one image of text for each title, all of one height."""
    if titles is None:
        return []
    if (
        not isinstance(titles, (list, tuple))
        or len(titles) != num_columns
        or not all(isinstance(title, str) for title in titles)
    ):
        raise ValueError(
            f"`titles` must be {num_columns} strings, one for each column. "
            f"Received: titles={titles!r}."
        )
    # Pillow comes with scikit-image and draws text only here.
    from PIL import Image
    from PIL import ImageDraw
    from PIL import ImageFont

    font = ImageFont.load_default(size=13)
    ruler = ImageDraw.Draw(Image.new("L", (1, 1)))
    # "Ag" gives every bar the height of a line with ascender and descender.
    boxes = [
        ruler.multiline_textbbox((0, 0), text, font=font)
        for text in ("Ag", *titles)
    ]
    height = int(np.ceil(max(box[3] for box in boxes)))
    bars = []
    for title, box in zip(titles, boxes[1:], strict=True):
        bar = Image.new("RGB", (max(1, int(np.ceil(box[2]))), height), "white")
        ImageDraw.Draw(bar).multiline_text(
            (0, 0), title, fill="black", font=font, align="center"
        )
        bars.append(np.asarray(bar))
    return bars
