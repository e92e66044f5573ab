"""What plots have in common: matplotlib, and the scale of their colours."""

import numpy as np

from keras_xmap.visualization._colors import colormap_of


def pyplot():
    """Returns `matplotlib.pyplot`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which is not installed. Run pip install "
            '"keras-xmap[plots]". Received: an import of matplotlib. Without '
            "it, `overlay` and `panel` make pictures of maps."
        ) from error
    return pyplot


def check_titles(titles, number, of_each):
    """Raises unless `titles` is `None` or so many strings."""
    if titles is None:
        return
    is_list = isinstance(titles, (list, tuple))
    if (
        not is_list
        or len(titles) != number
        or not all(isinstance(title, str) for title in titles)
    ):
        kind = type(titles).__name__
        received = f"{len(titles)} in a {kind}" if is_list else f"a {kind}"
        raise ValueError(
            f"`titles` must be {number} strings, one for each {of_each}, or "
            f"None. Received: titles of {received}."
        )


def as_matplotlib(colormap, signed):
    """Returns the colour map that is meant, as one of matplotlib."""
    from matplotlib.colors import Colormap
    from matplotlib.colors import ListedColormap

    found = colormap_of(colormap, signed)
    if isinstance(found, Colormap):
        return found
    values = np.linspace(0, 1, 256)[np.newaxis]
    return ListedColormap(np.asarray(found(values))[0])


def add_color_bar(figure, axes, colormap, signed):
    """Adds what the colours mean, beside the axes."""
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(
        ScalarMappable(cmap=as_matplotlib(colormap, signed)),
        ax=axes,
        ticks=[0, 0.5, 1] if signed else [0, 1],
        shrink=0.8,
    )
    words = ["against", "0", "for"] if signed else ["lowest", "highest"]
    bar.ax.set_yticklabels(words)
    bar.set_label("of each map")
