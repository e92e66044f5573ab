from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import as_array
from keras_xmap._saving import registered
from keras_xmap._typing import Numbers
from keras_xmap.metrics._image_mean import check_weights
from keras_xmap.metrics._metric_repr import metric_repr
from keras_xmap.ops import box_iou
from keras_xmap.ops import normalize
from keras_xmap.segmentation import boxes as boxes_of


@registered
class MaxBoxAccuracy(keras.metrics.Metric):
    """Share of images whose map, cut at a threshold, boxes the object.

    A map is cut at a share of its maximum, and the tight box of the largest
    8-connected component is held against the object's boxes:

    `hit = IoU(box, object) >= iou`, `region = map > t * max(map)`

    as `segmentation.boxes` finds them. Choe et al. bring maps to [0, 1] by
    their minimum first: pass `ops.normalize(maps)` for that.

    The accuracy of each `t` is taken over all images, and the result is that
    of the best `t`: how well the maps localise, apart from how they are
    scaled. A `t` chosen per image has seen that image's box and inflates the
    result. Choose it on validation images, and quote `accuracies` at that `t`
    for the test images.

    A map without a positive value has no box and is a miss. Components are
    found on the host, so the metric cannot be compiled: call it on arrays.
    `model.evaluate` takes it with `run_eagerly=True`, but on JAX, where Keras
    traces every metric. A map of 224 x 224 takes 0.1 to 0.2 s.

    Args:
        iou: Float between 0 and 1: the overlap that is a hit; or a list of
            them, over whose best accuracies the mean is taken, as
            MaxBoxAccV2 does with `[0.3, 0.5, 0.7]`. Defaults to `0.5`.
        num_thresholds: Integer >= 1: thresholds `0`, `1 / num_thresholds`,
            ... are tried. Defaults to `100`.
        components: `"largest"`, as MaxBoxAcc, or `"all"`: the box of any
            component may hit, as in MaxBoxAccV2. Defaults to `"largest"`.
        name: String. Defaults to `"max_box_accuracy"`.
        dtype: Dtype of the computation. Defaults to `None`, which is
            `keras.config.floatx()`.

    Call arguments:
        y_true: Half-open boxes `(batch, 4)` or `(batch, objects, 4)`: `(x0,
            y0, x1, y1)` in pixels of the map, `map[y0:y1, x0:x1]` inside, as
            Keras' `bounding_box_format="xyxy"`. (Boxes whose last column and
            row belong to them need 1 added to both.) A box without extent is
            never hit. Rows of -1 fill up images with fewer objects; an image
            without any is left out of the mean.
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
    >>> maps = np.array([[[0.0, 0.0, 0.1], [0.0, 0.9, 0.8]]])
    >>> metric.update_state(np.array([[1, 1, 3, 2]]), maps)
    >>> float(metric.result()), metric.best_threshold
    (1.0, 0.12)
    """

    higher_is_better = True

    def __init__(
        self,
        iou: Numbers = 0.5,
        num_thresholds: int = 100,
        components: str = "largest",
        name: str = "max_box_accuracy",
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        several = isinstance(iou, (list, tuple))
        given: Any = iou if several else [iou]
        ious = [check_fraction("iou", x) for x in given]
        if not ious:
            raise ValueError(
                "`iou` must hold at least one overlap. Received: iou=[]."
            )
        self.iou = ious if several else ious[0]
        self.num_thresholds = check_positive_integer(
            "num_thresholds", num_thresholds
        )
        self.components = check_one_of(
            "components", components, ("largest", "all")
        )
        self._ious = np.array(ious, "float32")  # as overlaps are
        self._thresholds = np.arange(num_thresholds) / num_thresholds
        self.total = self.add_variable(
            (len(ious), num_thresholds), "zeros", dtype=self.dtype, name="total"
        )
        self.weight = self.add_variable(
            (), "zeros", dtype=self.dtype, name="weight"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        boxes, maps = _on_host("y_true", y_true), _on_host("y_pred", y_pred)
        boxes = _checked_boxes(boxes, maps)
        weights = np.ones(len(maps))
        if sample_weight is not None:
            sample_weight = _on_host("sample_weight", sample_weight)
            sample_weight = check_weights(sample_weight, len(maps))
            weights = weights * ops.convert_to_numpy(sample_weight)
        weights = weights * (boxes[..., 0] >= 0).any(-1)
        total = np.zeros(self.total.shape)
        shares = normalize(maps, "max") if len(maps) else maps
        shares = ops.convert_to_numpy(shares)
        for objects, share, weight in zip(boxes, shares, weights, strict=True):
            if weight:
                total += weight * self._hits(objects, share)
        self.total.assign_add(ops.cast(total, self.dtype))
        self.weight.assign_add(ops.cast(weights.sum(), self.dtype))

    def result(self):
        return ops.mean(ops.max(self._means(), axis=1))

    @property
    def accuracies(self) -> np.ndarray:
        """Array `(num_thresholds,)`, or `(len(iou), num_thresholds)`."""
        means = ops.convert_to_numpy(self._means())
        return means if isinstance(self.iou, list) else means[0]

    @property
    def best_threshold(self) -> float | list[float]:
        """Float, or a list with one per `iou`; the lowest if several."""
        best = self._thresholds[self.accuracies.argmax(axis=-1)]
        return best.tolist()

    def _means(self):
        return ops.divide_no_nan(self.total, self.weight)

    def _hits(self, objects, shares):
        """Returns hits of one image, `(len(iou), num_thresholds)`."""
        objects = objects[objects[:, 0] >= 0]
        found, counts, before = [np.zeros((0, 4))], [], None
        for threshold in self._thresholds.astype(shares.dtype):
            region = shares > threshold
            size = region.sum()
            if size != before:
                # Regions only shrink: one of the same size is the same.
                found.append(boxes_of(region, components=self.components))
                counts.append(0)
                before = size
            counts[-1] += 1
        overlaps = box_iou(np.concatenate(found)[:, None], objects)
        overlaps = ops.convert_to_numpy(overlaps).max(axis=-1)
        ends = np.cumsum([len(boxes) for boxes in found[1:]])
        parts = np.split(overlaps, ends[:-1])
        best = [part.max(initial=0.0) for part in parts]
        return np.repeat(best, counts) >= self._ious[:, None]

    def __repr__(self):
        return metric_repr(self)

    def get_config(self):
        config = {
            "iou": self.iou,
            "num_thresholds": self.num_thresholds,
            "components": self.components,
        }
        return {**super().get_config(), **config}


def _on_host(name, values):
    try:
        if ops.is_tensor(values):
            values = ops.convert_to_numpy(values)
    except (AttributeError, NotImplementedError, TypeError) as error:
        raise ValueError(
            "MaxBoxAccuracy looks for components on the host and cannot be "
            "compiled. Received: values inside a compiled function. Call it "
            "on arrays; but on JAX, a model compiled with `run_eagerly=True` "
            "takes it too."
        ) from error
    return as_array(name, values).astype("float64")


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
        & (boxes[..., 2:] <= maps.shape[:0:-1]).all(-1)
    )
    wrong = boxes[~(padding | inside)]
    if len(wrong):
        raise ValueError(
            "`y_true` must hold boxes (x0, y0, x1, y1) inside the map, x1 and "
            "y1 just outside of the box, or rows of -1. Received: "
            f"{wrong[0].tolist()} for maps of width {maps.shape[2]} and "
            f"height {maps.shape[1]}. Scale boxes to the size of the maps; "
            "add 1 to ends that are the last column and row of the box."
        )
    return boxes
