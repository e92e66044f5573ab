import keras
import numpy as np
from keras import ops

from keras_xmap._boxes import region_boxes
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_xmap")
class MaxBoxAccuracy(keras.metrics.Metric):
    """Share of images whose map, cut at a threshold, boxes the object.

    A map is brought to [0, 1] by its own minimum and maximum and cut; the
    tight box of the largest connected region (8 neighbours, most pixels) is
    held against the object's boxes:

    `hit = IoU(box, object) >= iou`, `region = normalised map > t`

    The accuracy of each `t` is taken over all images, and the result is that
    of the best `t`: how well the maps localise, apart from how they are
    scaled. A `t` chosen per image has seen that image's box and inflates the
    result. Choose it on validation images, and quote `accuracies` at that `t`
    for the test images.

    A map without a region (a flat one) is a miss. Regions are found on the
    host: the metric cannot be compiled, so a model that is evaluated with it
    needs `run_eagerly=True`. A map of 224 x 224 takes 0.1 to 0.2 s.

    Args:
        iou: Float between 0 and 1: the overlap that is a hit; or a list of
            them, over whose best accuracies the mean is taken, as
            MaxBoxAccV2 does with `[0.3, 0.5, 0.7]`. Defaults to `0.5`.
        num_thresholds: Integer >= 1: thresholds `0`, `1 / num_thresholds`,
            ... are tried. Defaults to `100`.
        regions: `"largest"`, as MaxBoxAcc, or `"all"`: the box of any region
            may hit, as in MaxBoxAccV2. Defaults to `"largest"`.
        name: String. Defaults to `"max_box_accuracy"`.
        dtype: Dtype of the computation. Defaults to `None`, which is
            `keras.config.floatx()`.

    Call arguments:
        y_true: Boxes `(batch, 4)` or `(batch, objects, 4)`: `(x0, y0, x1,
            y1)` in pixels of the map, from 0. Column `x1` and row `y1` belong
            to the box (a box with an end outside, as Python slices have it,
            needs 1 subtracted). Rows of -1 fill up images with fewer objects;
            an image without any is left out of the mean.
        y_pred: Maps `(batch, height, width)`, finite, at the resolution of
            the boxes.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

    Raises:
        ValueError: If an argument is out of its range, the shapes do not
            fit, a box is not inside the map, or a map is not finite.

    References:
        - [Choe et al., 2020](https://arxiv.org/abs/2001.07437)

    Example:

    >>> metric = keras_xmap.metrics.MaxBoxAccuracy(iou=0.7)
    >>> map = np.array([[[0.0, 0.0, 0.1], [0.0, 0.9, 0.8]]])
    >>> metric.update_state(np.array([[1, 1, 2, 1]]), map)
    >>> float(metric.result()), metric.best_threshold
    (1.0, 0.12)
    """

    def __init__(
        self,
        iou=0.5,
        num_thresholds=100,
        regions="largest",
        name="max_box_accuracy",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        several = isinstance(iou, (list, tuple))
        ious = [check_fraction("iou", x) for x in (iou if several else [iou])]
        if not ious:
            raise ValueError(
                "`iou` must hold at least one overlap. Received: iou=[]."
            )
        self.iou = ious if several else ious[0]
        self.num_thresholds = check_positive_integer(
            "num_thresholds", num_thresholds
        )
        self.regions = check_one_of("regions", regions, ("largest", "all"))
        self._ious = np.array(ious)
        self._thresholds = np.arange(num_thresholds) / num_thresholds
        self.total = self.add_variable(
            (len(ious), num_thresholds), "zeros", dtype=self.dtype, name="total"
        )
        self.weight = self.add_variable(
            (), "zeros", dtype=self.dtype, name="weight"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        boxes, maps = _on_host(y_true), _on_host(y_pred)
        boxes = _checked_boxes(boxes, maps)
        weights = np.ones(len(maps))
        if sample_weight is not None:
            weights = np.reshape(_on_host(sample_weight), (-1,))
        weights = weights * (boxes[..., 0] >= 0).any(-1)
        total = np.zeros(self.total.shape)
        for objects, map, weight in zip(boxes, maps, weights, strict=True):
            if weight:
                total += weight * self._hits(objects, map)
        self.total.assign_add(ops.cast(total, self.dtype))
        self.weight.assign_add(ops.cast(weights.sum(), self.dtype))

    def result(self):
        return ops.mean(ops.max(self._means(), axis=1))

    @property
    def accuracies(self):
        """Array `(num_thresholds,)`, or `(len(iou), num_thresholds)`."""
        means = ops.convert_to_numpy(self._means())
        return means if isinstance(self.iou, list) else means[0]

    @property
    def best_threshold(self):
        """Float, or a list with one per `iou`; the lowest if several."""
        best = self._thresholds[self.accuracies.argmax(axis=-1)]
        return best.tolist()

    def _means(self):
        return ops.divide_no_nan(self.total, self.weight)

    def _hits(self, objects, map):
        """Returns hits of one image, `(len(iou), num_thresholds)`."""
        objects = objects[objects[:, 0] >= 0]
        low, high = map.min(), map.max()
        hits = np.zeros(self.total.shape)
        if not low < high:
            return hits
        levels = (map - low) / (high - low)
        overlap, before = 0.0, None
        for number, threshold in enumerate(self._thresholds):
            region = levels > threshold
            size = region.sum()
            if size != before:
                # Regions only shrink: one of the same size is the same.
                overlap = self._overlap(objects, region)
                before = size
            hits[:, number] = overlap >= self._ious
        return hits

    def _overlap(self, objects, region):
        boxes, _ = region_boxes(region, self.regions)
        return box_iou(boxes[:, None], objects).max()

    def get_config(self):
        config = {
            "iou": self.iou,
            "num_thresholds": self.num_thresholds,
            "regions": self.regions,
        }
        return {**super().get_config(), **config}


def box_iou(one, other):
    """Returns intersection over union of boxes whose ends are inside.

    Both are arrays `(..., 4)` of `(x0, y0, x1, y1)` that broadcast.
    """
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    shared = np.maximum(high - low + 1, 0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2] + 1).prod(-1) for x in (one, other)]
    return shared / (areas[0] + areas[1] - shared)


def _on_host(values):
    try:
        return ops.convert_to_numpy(values).astype("float64")
    except (AttributeError, NotImplementedError, TypeError) as error:
        raise ValueError(
            "MaxBoxAccuracy looks for regions on the host and cannot be "
            "compiled. Received: values inside a compiled function. Call it "
            "on arrays, or compile the model with `run_eagerly=True`."
        ) from error


def _checked_boxes(boxes, maps):
    """Returns boxes `(batch, objects, 4)`."""
    shapes = f"y_true.shape={boxes.shape}, y_pred.shape={maps.shape}"
    if boxes.ndim == 2:
        boxes = boxes[:, None]
    if (
        maps.ndim != 3
        or boxes.ndim != 3
        or boxes.shape[-1] != 4
        or len(boxes) != len(maps)
    ):
        raise ValueError(
            "Boxes must have the shape (batch, 4) or (batch, objects, 4), and "
            f"maps (batch, height, width). Received: {shapes}."
        )
    if not np.isfinite(maps).all():
        raise ValueError(
            "`y_pred` must hold finite maps. Received: y_pred with NaN or "
            "infinite values."
        )
    padding = (boxes == -1).all(-1)
    inside = (
        (boxes[..., :2] >= 0).all(-1)
        & (boxes[..., :2] <= boxes[..., 2:]).all(-1)
        & (boxes[..., 2:] < maps.shape[:0:-1]).all(-1)
    )
    wrong = boxes[~(padding | inside)]
    if len(wrong):
        raise ValueError(
            "`y_true` must hold boxes (x0, y0, x1, y1) inside the map, with "
            "x1 and y1 the last column and row, or rows of -1. Received: "
            f"{wrong[0].tolist()} for maps of width {maps.shape[2]} and "
            f"height {maps.shape[1]}. Scale boxes to the size of the maps; "
            "subtract 1 from ends that are outside the box."
        )
    return boxes
