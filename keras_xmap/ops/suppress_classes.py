from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import check_data_format
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Tensor


def suppress_classes(
    maps: Tensor,
    classes: Tensor,
    data_format: DataFormat | None = "channels_last",
) -> Tensor:
    """Weighs maps of classes by how likely each class is in the image.

    `[1, v] * f`: the background, class 0, keeps its probability at every
    pixel, and class `c` takes that of the whole image, `v_c`, as a factor. A
    class that the image does not hold loses its pixels to those it does. It
    is what `losses.ProhibitiveSegmentationLoss` makes labels of while a
    network trains, and what its predictions pass through afterwards.

    Args:
        maps: Tensor `(batch, height, width, 1 + classes)` of probabilities,
            the background first; no logits, which a factor turns the wrong
            way where they are negative.
        classes: Tensor `(batch, classes)` of probabilities, or of 0 and 1:
            the classes that are known to be in the image.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `"channels_last"`.

    Returns:
        Tensor of the shape and dtype of `maps`. It no longer sums to 1: the
        label of a pixel is its `argmax`, and `segmentation.refine_with_crf`
        divides by the sum.

    Raises:
        ValueError: If the shapes do not fit.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)

    Example:

    >>> maps = np.reshape([0.3, 0.25, 0.45], (1, 1, 1, 3))
    >>> y = keras_xmap.ops.suppress_classes(maps, np.array([[0.9, 0.1]]))
    >>> np.asarray(y).ravel().round(3).tolist()
    [0.3, 0.225, 0.045]
    """
    axis = channel_axis(check_data_format(data_format))
    maps, classes = as_tensor("maps", maps), as_tensor("classes", classes)
    shapes = tuple(maps.shape), tuple(classes.shape)
    _check_shapes(*shapes, axis)
    classes = ops.cast(classes, maps.dtype)
    factors = ops.concatenate([ops.ones_like(classes[:, :1]), classes], axis=-1)
    positions = (1, 2) if axis == -1 else (2, 3)
    return maps * ops.expand_dims(factors, positions)


def _check_shapes(maps, classes, axis):
    fits = len(maps) == 4 and len(classes) == 2
    if fits and None not in (maps[axis], classes[1]):
        fits = maps[axis] == classes[1] + 1
    if not fits:
        raise ValueError(
            "`maps` must be (batch, height, width, 1 + classes), the "
            "background first, and `classes` (batch, classes), without the "
            f"background. Received: maps.shape={maps}, classes.shape="
            f"{classes}."
        )
