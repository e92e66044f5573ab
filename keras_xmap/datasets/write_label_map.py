import io

import numpy as np

from keras_xmap._files import check_path
from keras_xmap._files import write_atomically
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Path


def write_label_map(file: Path, labels: ArrayLike) -> None:
    """Writes a label map as PASCAL VOC has them: a PNG with a palette.

    The pixels are the numbers of the classes; programs that show images show
    them in the colours of VOC: the background black, 255, where nothing is
    known, nearly white. The file is there whole or not at all.

    Args:
        file: Path of the PNG, in a folder that exists.
        labels: Array `(height, width)` of integers from 0 to 255.

    Raises:
        ValueError: If `labels` is not as above.

    References:
        - [Everingham et al., 2010](
          http://host.robots.ox.ac.uk/pascal/VOC/voc2012/)

    Example:

    >>> from PIL import Image
    >>> labels = np.array([[0, 1, 255]])
    >>> keras_xmap.datasets.write_label_map("labels.png", labels)
    >>> Image.open("labels.png").convert("RGB").getpixel((1, 0))
    (128, 0, 0)
    """
    from PIL import Image

    file = check_path("file", file)
    labels = as_array("labels", labels)
    if labels.dtype.kind not in "bui" or labels.ndim != 2 or not labels.size:
        raise ValueError(
            "`labels` must be (height, width) of integers. Received: "
            f"labels.shape={labels.shape}, labels.dtype={labels.dtype}. Of "
            "probabilities, classes first, take labels.argmax(axis=0)."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > 255:
        raise ValueError(
            "`labels` must be from 0 to 255. Received: labels from "
            f"{low} to {high}. 255 stands for what is not known."
        )
    image = Image.fromarray(labels.astype("uint8"))
    image.putpalette(_palette())
    content = io.BytesIO()
    image.save(content, format="PNG")
    write_atomically(file, content.getvalue())


def _palette():
    """Returns the colours of VOC, 256 times red, green and blue.

    Three bits of the number at a time give each channel one bit, the highest
    first.
    """
    numbers = np.arange(256)
    colors = np.zeros((256, 3), "int64")
    for place in range(8):
        for channel in range(3):
            bit = (numbers >> (3 * place + channel)) & 1
            colors[:, channel] |= bit << (7 - place)
    return colors.astype("uint8").ravel().tolist()
