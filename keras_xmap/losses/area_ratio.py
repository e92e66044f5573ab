import keras
from keras import ops

from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_single_map
from keras_xmap._numeric import as_tensor
from keras_xmap._saving import registered
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor


@keras.saving.register_keras_serializable(package="keras_xmap")
def area_ratio(
    y_true: Tensor, y_pred: Tensor, area_ratio: Number | None = None
) -> Tensor:
    """Computes how far the area of each map is from the area wanted.

    The area of a map is its mean over all positions, the share of the image
    that a map in `[0, 1]` covers:

    `loss = (mean(y_pred) - area_ratio)^2`

    Each map is held to its own area, not the batch to an average one.

    Args:
        y_true: The wanted area of each image if `area_ratio` is `None`:
            numbers `(batch,)` or `(batch, 1)`, or masks of any spatial shape
            whose mean it is. Otherwise it is ignored and may be `None`.
        y_pred: Maps of shape `(batch, height, width)`,
            `(batch, height, width, 1)` or `(batch, 1, height, width)`.
        area_ratio: Float strictly between 0 and 1, the area wanted of every
            map, or `None` to read it from `y_true`. Defaults to `None`.

    Returns:
        Tensor of shape `(batch,)`, computed in float32 for half precision.

    Raises:
        ValueError: If `y_pred` is not one map an image, or if neither
            `y_true` nor `area_ratio` gives the area.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression" (the area term of its loss).

    Example:

    >>> maps = np.array([[[1.0, 1.0], [1.0, 0.0]]])
    >>> loss = keras_xmap.losses.area_ratio(None, maps, area_ratio=0.5)
    >>> float(loss[0])  # (0.75 - 0.5)^2
    0.0625
    """
    y_pred = as_tensor("y_pred", y_pred)
    check_single_map("y_pred", y_pred.shape)
    if area_ratio is None and y_true is None:
        raise ValueError(
            "The wanted area must come from `y_true` or `area_ratio`. "
            "Received: y_true=None, area_ratio=None. Pass `area_ratio`, the "
            "share of the image that a map is to cover."
        )
    area = _area(y_pred)
    wanted = check_optional(check_fraction, "area_ratio", area_ratio)
    if wanted is None:
        wanted = _wanted(as_tensor("y_true", y_true), area)
    return ops.square(area - wanted)


@registered
class AreaRatio(keras.losses.Loss):
    """Holds every map to one share of its image; see `area_ratio`.

    Compile it on the output that holds the map. With `area_ratio` given, the
    labels of that output are ignored, yet `fit` asks for some: pass any
    array with one row an image, such as `np.zeros(len(images))`. To add the
    term inside a model, without labels, use `layers.AreaRatioLoss`.

    Args:
        area_ratio: Float strictly between 0 and 1, the area wanted of every
            map, or `None` if the labels give it. Defaults to `None`.
        name: String. Defaults to `"area_ratio"`.
        reduction: See `keras.losses.Loss`. Defaults to
            `"sum_over_batch_size"`.
        dtype: See `keras.losses.Loss`. Defaults to `None`.

    Raises:
        ValueError: If `area_ratio` is not strictly between 0 and 1.

    Example:

    >>> loss = keras_xmap.losses.AreaRatio(area_ratio=0.5)
    >>> float(loss(np.zeros(1), np.ones((1, 2, 2))))
    0.25
    """

    def __init__(
        self,
        area_ratio: Number | None = None,
        name: str = "area_ratio",
        reduction: str | None = "sum_over_batch_size",
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.area_ratio = check_optional(
            check_fraction, "area_ratio", area_ratio
        )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return area_ratio(y_true, y_pred, area_ratio=self.area_ratio)

    def get_config(self):
        return {**super().get_config(), "area_ratio": self.area_ratio}


def _wanted(y_true, area):
    """Returns the areas that labels want, one an image."""
    shape = tuple(y_true.shape)
    batch = area.shape[0]
    if not shape or (None not in (batch, shape[0]) and shape[0] != batch):
        raise ValueError(
            "`y_true` must have one entry for each map. Received: "
            f"y_true.shape={shape} for {batch} maps."
        )
    return ops.cast(_area(y_true), area.dtype)


def _area(maps):
    # Half precision cannot count the pixels of one image.
    maps = ops.cast(maps, keras.backend.result_type(maps.dtype, "float32"))
    return ops.mean(maps, axis=tuple(range(1, len(maps.shape))))
