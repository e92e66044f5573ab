"""What is measured of the maps of a method, each a column of the table."""

import keras
import numpy as np

from keras_xmap import metrics
from keras_xmap import ops
from keras_xmap._checks import MISTAKES
from keras_xmap._checks import message
from keras_xmap._description import describe
from keras_xmap._files import checksum
from keras_xmap._numeric import as_array

# Forward passes from one end of a curve to the other.
NUM_STEPS = 16
# By the order of its pixels, which no map gains in by being wide.
ORDERS = ("insertion", "deletion", "road")
OF_THE_MODEL = {
    "insertion": metrics.Insertion,
    "deletion": metrics.Deletion,
    "road": metrics.ROAD,
    "average_drop": metrics.AverageDrop,
    "increase_in_confidence": metrics.IncreaseInConfidence,
}
OF_MASKS = {
    "pointing_game": metrics.PointingGame,
    "energy_in_mask": metrics.EnergyInMask,
    "pixel_average_precision": metrics.PixelAveragePrecision,
    "mean_iou": metrics.MeanIoU,
}
OF_BOXES = {"max_box_accuracy": metrics.MaxBoxAccuracy}
SANITY = "sanity"
# Not among "all": it solves for the value of each pixel that is gone.
EXPENSIVE = ("road",)
KNOWN = (*OF_THE_MODEL, "sparseness", SANITY, *OF_MASKS, *OF_BOXES)


class Measure:
    """A metric, and what it is told of a batch.

    Args:
        name: String, the column.
        metric: `keras.metrics.Metric`.
        arguments: Function of the inputs, the maps, the target and the
            numbers of a batch that returns the arguments of `update_state`.

    Attributes:
        higher_is_better: Boolean, or `None` if that is not known.
        is_of_model: Boolean: whether it asks the model, and no mask.
    """

    def __init__(self, name, metric, arguments, is_of_model=False):
        self.name = name
        self.metric = metric
        self._arguments = arguments
        self.is_of_model = is_of_model
        # Metrics of masks and boxes are shares of what is right.
        self.higher_is_better = getattr(
            metric, "higher_is_better", None if is_of_model else True
        )
        self.refusal = None

    def described(self, names):
        """Returns what decides the values, see `describe`."""
        return describe(self.metric, names)

    def reset(self):
        self.metric.reset_state()
        self.refusal = None

    def update(self, inputs, maps, target, rows):
        """Adds a batch; what the metric refuses is kept as `refusal`."""
        if self.refusal is not None:
            return
        arguments = self._arguments(inputs, maps, target, rows)
        try:
            self.metric.update_state(*arguments)
        except MISTAKES as error:
            self.refusal = " ".join(str(error).split())

    def result(self):
        """Returns a float, or `None` where it is not known."""
        if self.refusal is not None:
            return None
        value = float(self.metric.result())
        return value if np.isfinite(value) else None


class Truth:
    """Masks or boxes of the images, cut along with them.

    Args:
        masks: See `compare`.
        boxes: See `compare`.
    """

    def __init__(self, masks, boxes):
        self.masks = _cuttable("masks", masks, (3,), "(n, height, width)")
        expected = "(n, 4) or (n, objects, 4)"
        self.boxes = _cuttable("boxes", boxes, (2, 3), expected)

    def check(self, number):
        """Raises unless there is one for each of so many images."""
        for name in ("masks", "boxes"):
            value = getattr(self, name)
            if value is not None and len(value) != number:
                raise ValueError(
                    f"`{name}` must have one entry for each image. Received: "
                    f"{len(value)} {name} for {number} images."
                )

    def described(self, number):
        """Returns checksums of the entries for so many images."""
        return {
            name: value if value is None else _checksum(value, number)
            for name, value in vars(self).items()
        }

    def masks_of(self, maps, rows):
        """Returns masks `(rows, height, width)`, those of boxes filled."""
        if self.masks is not None:
            return np.asarray(self.masks[rows[0] : rows[-1] + 1])
        masks = np.zeros(maps.shape, "float32")
        for mask, boxes in zip(masks, self.boxes_of(rows), strict=True):
            for x0, y0, x1, y1 in boxes:
                if x1 > x0:  # -1 stands for no box
                    mask[
                        int(np.floor(y0)) : int(np.ceil(y1)),
                        int(np.floor(x0)) : int(np.ceil(x1)),
                    ] = 1
        return masks

    def boxes_of(self, rows):
        """Returns boxes `(rows, objects, 4)`."""
        boxes = np.asarray(self.boxes[rows[0] : rows[-1] + 1], "float64")
        return boxes[:, None] if boxes.ndim == 2 else boxes


def _cuttable(name, value, ranks, expected):
    """Returns an array, or what is cut like one as it is needed."""
    own_kind = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    known = (list, tuple, dict, str, bytes, np.generic)
    if value is None or (
        own_kind and not isinstance(value, known) and not _is_array(value)
    ):
        return value
    array = value if isinstance(value, np.ndarray) else as_array(name, value)
    if array.ndim not in ranks:
        raise ValueError(
            f"`{name}` must have the shape {expected}. Received: "
            f"{name}.shape={array.shape}."
        )
    return array


def _is_array(value):
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _checksum(values, number):
    found = 0
    for row in range(number):
        entry = np.ascontiguousarray(values[row : row + 1])
        found = checksum(entry.tobytes(), found)
    return found


def measures_of(chosen, model, truth, input_name, batch_size):
    """Returns the list of `Measure`s that a user means.

    Args:
        chosen: See `compare`.
        model: The model.
        truth: `Truth`.
        input_name: See `compare`.
        batch_size: Integer, images in a forward pass.
    """
    if isinstance(chosen, str) and chosen == "all":
        chosen = [
            x for x in KNOWN if x not in EXPENSIVE and _has_truth(x, truth)
        ]
    if not isinstance(chosen, (list, tuple)):
        raise ValueError(_expected(chosen))
    found = []
    for one in chosen:
        if isinstance(one, keras.metrics.Metric):
            found.append(_of_metric(one, model, truth, chosen))
        elif isinstance(one, str) and one in KNOWN:
            if not _has_truth(one, truth):
                lacking = "boxes" if one in OF_BOXES else "masks"
                raise ValueError(
                    f"`metrics` must be of what is known. Received: {one!r} "
                    f"without {lacking}. Pass `{lacking}=...`."
                )
            if one != SANITY:
                metric = _made(one, model, input_name, batch_size)
                found.append(_of_metric(metric, model, truth, chosen))
        else:
            raise ValueError(_expected(chosen))
    names = [measure.name for measure in found]
    if len(set(names)) < len(names):
        raise ValueError(message("metrics", "of different names", chosen))
    return found


def _expected(chosen):
    expected = "'all', or a list of metrics or their names: "
    return message("metrics", expected + ", ".join(KNOWN), chosen)


def _has_truth(name, truth):
    if name in OF_BOXES:
        return truth.boxes is not None
    if name in ("pixel_average_precision", "mean_iou"):
        return truth.masks is not None
    if name in OF_MASKS:
        return truth.masks is not None or truth.boxes is not None
    return True


def _made(name, model, input_name, batch_size):
    if name in OF_THE_MODEL:
        options = {"input_name": input_name, "batch_size": batch_size}
        if name in ("insertion", "deletion"):
            options["num_steps"] = NUM_STEPS
        return OF_THE_MODEL[name](model, **options)
    if name == "sparseness":
        return metrics.Sparseness()
    return {**OF_MASKS, **OF_BOXES}[name]()


def _of_metric(metric, model, truth, chosen):
    """Returns the `Measure` of a metric by what it asks for."""
    name = metric.name
    if hasattr(metric, "explainer"):
        raise ValueError(
            "`metrics` must ask the maps of any method. Received: "
            f"{metric!r}, which asks one explainer. Call it by itself."
        )
    if hasattr(metric, "model"):
        if metric.model is not model:
            raise ValueError(
                "`metrics` must be of `model`. Received: "
                f"{metric!r} of another model. Make it of the same one."
            )
        seen = _between_0_and_1 if _is_seen_through(metric) else _as_they_are
        return Measure(
            name,
            metric,
            lambda inputs, maps, target, rows: (inputs, seen(maps), target),
            is_of_model=True,
        )
    if isinstance(metric, metrics.Sparseness):
        measure = Measure(name, metric, lambda _, maps, *others: (maps,))
        # A number, not a verdict.
        measure.higher_is_better = None
        return measure
    is_of_boxes = isinstance(metric, metrics.MaxBoxAccuracy)
    lacking = truth.boxes is None and (is_of_boxes or truth.masks is None)
    if lacking:
        expected = "of what is known: pass `masks` or `boxes`"
        raise ValueError(message("metrics", expected, chosen))
    if is_of_boxes:
        return Measure(
            name,
            metric,
            lambda inputs, maps, target, rows: (truth.boxes_of(rows), maps),
        )
    # A share of a total: what speaks against the class has no part in it.
    is_share = isinstance(metric, metrics.EnergyInMask)
    seen = _positive if is_share else _as_they_are
    return Measure(
        name,
        metric,
        lambda inputs, maps, target, rows: (
            truth.masks_of(maps, rows),
            seen(maps),
        ),
    )


def _is_seen_through(metric):
    kinds = metrics.AverageDrop, metrics.IncreaseInConfidence
    return isinstance(metric, kinds)


def _as_they_are(maps):
    return maps


def _positive(maps):
    return np.maximum(maps, 0)


def _between_0_and_1(maps):
    """What speaks against the class shows nothing; the highest is 1."""
    axes = tuple(range(1, maps.ndim))
    return np.asarray(ops.normalize(_positive(maps), "max", axis=axes))
