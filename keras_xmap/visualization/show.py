from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.visualization._plots import add_color_bar
from keras_xmap.visualization._plots import check_titles
from keras_xmap.visualization._plots import pyplot
from keras_xmap.visualization.overlay import overlay
from keras_xmap.visualization.to_uint8 import to_uint8

_CELL = 2.4  # inches


def show(
    images: ArrayLike,
    maps: ArrayLike | Mapping[str, ArrayLike],
    titles: Sequence[str] | None = None,
    alpha: float | None = None,
    colormap: str | Callable[[np.ndarray], ArrayLike] | None = None,
    signed: bool = False,
    data_range: Sequence[float] | None = None,
) -> np.ndarray:
    """Shows images beside their maps, in a notebook or a window.

    A row an image: as it is, then under each of its maps. Needs matplotlib,
    which comes with `keras-xmap[plots]`; the figure is closed by a notebook
    when it has shown it, and elsewhere shown by `matplotlib.pyplot.show()`.

    Args:
        images: Batch `(batch, height, width, channels)`, or a list of images
            of any sizes.
        maps: What `explain` returns for them: `(batch, height, width)`, or
            `(batch, classes, height, width)` for several classes of each; or
            a dictionary of the first, by the name of the method.
        titles: List of strings, one for each image, or `None`. Defaults to
            `None`.
        alpha: See `overlay`.
        colormap: See `overlay`.
        signed: See `overlay`.
        data_range: See `to_uint8`.

    Returns:
        NumPy array `(batch, 1 + maps)` of `matplotlib.axes.Axes`, of which
        `axes[0, 0].figure.savefig("maps.png")` makes a file.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is no image, or not one map or title for each.

    Example:

    >>> images = np.zeros((2, 8, 8, 3))
    >>> maps = {"Grad-CAM": np.ones((2, 4, 4)), "CAM": np.ones((2, 4, 4))}
    >>> keras_xmap.visualization.show(images, maps, ["cat", "dog"]).shape
    (2, 3)
    """
    columns = _columns(maps)
    _check_lengths(images, columns)
    check_titles(titles, len(images), "image")
    pictures = [to_uint8(image, data_range) for image in images]
    plots = pyplot()
    figure, axes = plots.subplots(
        len(images),
        1 + len(columns),
        figsize=_figure_size(pictures, len(columns)),
        squeeze=False,
        layout="constrained",
    )
    for number, (row, picture) in enumerate(zip(axes, pictures, strict=True)):
        row[0].imshow(picture)
        if titles is not None:
            row[0].set_title(titles[number])
        for cell, of_images in zip(row[1:], columns.values(), strict=True):
            one = of_images[number]
            cell.imshow(overlay(picture, one, alpha, colormap, signed))
    for cell, name in zip(axes[0, 1:], columns, strict=True):
        cell.set_title(name)
    for cell in axes.flat:
        cell.set_axis_off()
    add_color_bar(figure, axes, colormap, signed)
    return axes


def _figure_size(pictures, num_maps):
    """Returns width and height in inches, without gaps between wide images."""
    shapes = [picture.shape for picture in pictures]
    tallest = max(shape[0] / shape[1] for shape in shapes)
    row = _CELL * min(tallest, 2.0) + 0.3  # for the title
    return _CELL * (1 + num_maps) + 1, row * len(shapes)


def _columns(maps):
    """Returns maps `(batch, height, width)` by what stands above them."""
    if isinstance(maps, Mapping):
        return {str(name): _maps(x, (3,)) for name, x in maps.items()}
    maps = _maps(maps, (3, 4))
    if maps.ndim == 3:
        return {"": maps}
    return {f"target {k + 1}": maps[:, k] for k in range(maps.shape[1])}


def _maps(maps, ranks):
    maps = as_array("maps", maps)
    if maps.ndim not in ranks:
        raise ValueError(
            "`maps` must be of shape (batch, height, width) or, outside of a "
            "dictionary, (batch, classes, height, width). Received: "
            f"maps.shape={maps.shape}. For one image pass images[:1] and "
            "maps[:1]; reduce the channels of an attribution, "
            "np.abs(maps).sum(axis=-1)."
        )
    return maps


def _check_lengths(images, columns):
    if not isinstance(images, (list, tuple)):
        images = as_array("images", images)
        if not images.ndim:
            raise ValueError(
                "`images` must be a batch or a list of images. Received: "
                f"images={images!r}."
            )
    counts = {name or "maps": len(x) for name, x in columns.items()}
    number = len(images)
    if not number or set(counts.values()) != {number}:
        raise ValueError(
            "`images` must hold at least one image, with one map for each. "
            f"Received: {number} images and "
            + (", ".join(f"{n} of {x}" for x, n in counts.items()) or "no maps")
            + "."
        )
