from keras import ops

from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Returns the intersection over union of boxes, exactly.

    `iou = |A & B| / |A | B|`

    Unlike `keras.utils.bounding_boxes.compute_iou` it adds no epsilon to the
    union: a box has an overlap of 1 with itself, however small it is, also in
    parts of the image. And it pairs boxes as arrays broadcast: one with one,
    or all with all by `boxes1[:, None]`.

    Args:
        boxes1: Tensor `(..., 4)` of half-open boxes `(x0, y0, x1, y1)`, `x1`
            and `y1` outside, as Keras' `bounding_box_format="xyxy"`.
        boxes2: The same, of a shape that broadcasts with `boxes1`.

    Returns:
        Float32 tensor of the broadcast shape without its last axis. A box
        without extent overlaps with nothing: 0.

    Raises:
        ValueError: If a last axis is not of size 4.

    Example:

    >>> boxes = np.array([[0, 0, 4, 2], [2, 0, 4, 2]])
    >>> np.asarray(keras_xmap.ops.box_iou(boxes[:, None], boxes)).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    boxes1 = _as_float32("boxes1", boxes1)
    boxes2 = _as_float32("boxes2", boxes2)
    low = ops.maximum(boxes1[..., :2], boxes2[..., :2])
    high = ops.minimum(boxes1[..., 2:], boxes2[..., 2:])
    shared = _area(low, high)
    total = _area(boxes1[..., :2], boxes1[..., 2:])
    total = total + _area(boxes2[..., :2], boxes2[..., 2:])
    return ops.divide_no_nan(shared, total - shared)


def _as_float32(name, boxes):
    boxes = ops.cast(as_tensor(name, boxes), "float32")
    if not len(boxes.shape) or boxes.shape[-1] != 4:
        raise ValueError(
            f"`{name}` must hold boxes (x0, y0, x1, y1) on its last axis. "
            f"Received: {name}.shape={tuple(boxes.shape)}."
        )
    return boxes


def _area(low, high):
    return ops.prod(ops.relu(high - low), axis=-1)
