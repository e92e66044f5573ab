from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._typing import ArrayLike
from keras_xmap.visualization._arrays import resized
from keras_xmap.visualization.to_uint8 import to_uint8


def panel(
    rows: Sequence[Sequence[ArrayLike | None]],
    titles: Sequence[str] | None = None,
    cell_size: Sequence[int] | None = None,
    interpolation: str = "nearest",
    gap: int = 4,
) -> np.ndarray:
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


def _is_integer(value, minimum):
    return (
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and value >= minimum
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
    return np.round(resized(image, fitted, interpolation)).astype("uint8")


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
