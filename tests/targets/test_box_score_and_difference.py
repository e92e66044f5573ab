"""Differences of targets, and scores of boxes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from keras_xmap import targets
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import Occlusion
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import SmoothGrad
from keras_xmap.targets import BoxScore
from keras_xmap.targets import Class
from keras_xmap.targets import Component
from keras_xmap.targets import Difference
from keras_xmap.targets import MaskedMean

pytestmark = pytest.mark.tensorflow

SCORES = np.array([[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]], "float32")
X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
KERNEL = np.arange(12, dtype="float32").reshape(4, 3) - 5


def scores(target, outputs=SCORES):
    """Calls a target as an explainer does."""
    target = targets.get(target)
    outputs = keras.tree.map_structure(ops.convert_to_tensor, outputs)
    parts = keras.tree.map_structure(ops.convert_to_tensor, target.parts)
    plain = target.scores(outputs, parts)
    resolved = target.scores(outputs, target.resolve(outputs, parts))
    np.testing.assert_array_equal(plain, resolved)
    assert target.is_single(parts) == (len(plain.shape) == 1)
    return np.asarray(plain)


def linear():
    """Three scores; the map of class k is `KERNEL[:, k]`."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.set_weights([KERNEL, np.zeros(3)])
    return model


def signed(model, target, x=X, **options):
    explainer = Saliency(model, channel_reduction=None)
    return explainer.explain(x, target, verbose=0, **options)


DIFFERENCES = {
    "classes": (Difference(1, 2), [2, -4]),
    "class per image": (Difference([1, 0], 2), [2, -2]),
    "both per image": (Difference([1, 0], [0, 1]), [4, 2]),
    "top class": (Difference(None, 0), [4, 2]),
    "one against several": (
        Difference(1, [[0, 2], [0, 2]]),
        [[4, 2], [-2, -4]],
    ),
    "several against one": (
        Difference([[0, 2], [1, 0]], 1),
        [[-4, -2], [0, 2]],
    ),
    "several against several": (
        Difference([[0, 2], [1, 0]], [[1, 1], [2, 2]]),
        [[-4, -2], [-4, -2]],
    ),
    "callable": (Difference(2, lambda o: ops.mean(o, axis=-1)), [0, 2]),
    "objects": (Difference(Component(1), Component(0, sign=-1)), [6, 6]),
    "of itself": (Difference(2, 2), [0, 0]),
    "nested": (Difference(Difference(1, 0), 2), [1, -8]),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_a_difference_is_one_score_less_another(case):
    target, expected = DIFFERENCES[case]
    np.testing.assert_array_equal(scores(target), expected)


def test_its_map_is_the_difference_of_the_maps():
    model = linear()
    maps = signed(model, Difference(2, 0))
    np.testing.assert_array_equal(
        maps, np.tile(KERNEL[:, 2] - KERNEL[:, 0], (3, 1))
    )
    several = signed(model, Difference([[1, 2]] * 3, 0))
    np.testing.assert_array_equal(
        several[:, 1], np.tile(KERNEL[:, 2] - KERNEL[:, 0], (3, 1))
    )


def test_classes_per_image_are_cut_along_with_the_images():
    model = linear()
    for batch_size in (1, 2, 3):
        maps = signed(
            model, Difference([2, 1, 0], [0, 0, 1]), batch_size=batch_size
        )
        expected = KERNEL.T[[2, 1, 0]] - KERNEL.T[[0, 0, 1]]
        np.testing.assert_array_equal(maps, expected)
    with pytest.raises(ValueError, match=r"1.index of shape \(2,\) for 3 im"):
        signed(model, Difference([2, 1, 0], [0, 0]))


def test_the_top_class_is_that_of_the_image_also_for_changed_copies():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    x = np.random.default_rng(1).normal(size=(20, 4)).astype("float32")
    top = model.predict(x, verbose=0).argmax(-1)
    explainer = SmoothGrad(model, 5, 2.0)
    np.testing.assert_allclose(
        explainer.explain(x, Difference(None, 1)),
        explainer.explain(x, Difference(top, 1)),
        atol=1e-6,
    )


def two_outputs():
    inputs = keras.Input((4,))
    outputs = {
        "class": layers.Dense(3, use_bias=False)(inputs),
        "place": layers.Dense(2, use_bias=False)(inputs),
    }
    model = keras.Model(inputs, outputs)
    for layer in model.layers:
        if layer.weights:
            kernel = KERNEL if layer.units == 3 else 10 * KERNEL[:, :2] + 1
            layer.set_weights([kernel])
    return model


def test_the_output_may_be_said_once_each_or_by_name():
    model, expected = two_outputs(), KERNEL[:, 2] - KERNEL[:, 0]
    for target in (
        Difference(2, 0, output="class"),
        {"class": Difference(2, 0)},
        Difference(Class(2, "class"), Class(0, "class")),
    ):
        maps = signed(model, target)
        np.testing.assert_array_equal(maps, np.tile(expected, (3, 1)))
    across = Difference(Class(2, "class"), Component(1, output="place"))
    expected = KERNEL[:, 2] - (10 * KERNEL[:, 1] + 1)
    np.testing.assert_array_equal(signed(model, across)[0], expected)
    with pytest.raises(ValueError, match="several outputs"):
        signed(model, Difference(2, 0))


def test_one_step_serves_all_differences_of_classes():
    explainer = Saliency(linear())
    for a, b in ((0, 1), (2, 1), (1, 0)):
        explainer.explain(X, Difference(a, b), verbose=0)
    assert explainer._runner.num_traces == 1
    explainer.explain(X, Difference(Component(0), 1), verbose=0)
    assert explainer._runner.num_traces == 2


def test_other_methods_take_differences():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    for explainer in (GradCAM(model), Occlusion(model, 4)):
        maps = explainer.explain(x, Difference(1, [[0, 2]] * 2))
        assert maps.shape == (2, 2, 8, 8)
        assert np.abs(maps).max() > 0


@pytest.mark.parametrize(
    "a, b, error, message",
    [
        (-1, 0, ValueError, "Received: target=-1"),
        (0, 1.5, TypeError, "Received: target=1.5"),
        ("cat", 0, TypeError, "Received: target='cat'"),
    ],
)
def test_what_is_no_class_is_refused_at_once(a, b, error, message):
    with pytest.raises(error, match=message):
        Difference(a, b)


def test_a_class_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"\(classes, target\) \[3\] \[3\]"):
        signed(linear(), Difference(0, 3))


# Boxes

BOXES = np.array(
    [
        [[0, 0, 4, 4], [0, 0, 4, 8], [10, 10, 12, 12]],
        [[0, 0, 1, 1], [2, 2, 6, 6], [2, 2, 6, 4]],
    ],
    "float32",
)
CLASSES = np.array(
    [[[0.1, 0.9], [0.8, 0.3], [0.5, 0.5]], [[0.2, 0.4], [0.6, 0.7], [1, 0]]],
    "float32",
)
OUTPUTS = {"boxes": BOXES, "classes": CLASSES}


def test_the_score_is_the_mean_weighted_by_the_overlap():
    """Of (0, 0, 4, 6): overlaps 2/3 and 3/4, then 2/5 and 4/20 for none."""
    expected = (2 / 3 * 0.9 + 3 / 4 * 0.3) / (2 / 3 + 3 / 4)
    values = scores(BoxScore([0, 0, 4, 6], index=1), OUTPUTS)
    np.testing.assert_allclose(values, [expected, 0], rtol=1e-6)


@pytest.mark.parametrize(
    "threshold, expected",
    [(0.1, (2 / 3 * 0.1 + 3 / 4 * 0.8) / (17 / 12)), (0.7, 0.8), (0.8, 0)],
)
def test_predictions_count_from_the_threshold_on(threshold, expected):
    target = BoxScore([0, 0, 4, 6], iou_threshold=threshold)
    values = scores(target, OUTPUTS)
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)


def test_an_overlap_of_the_threshold_itself_counts():
    values = scores(BoxScore([0, 0, 4, 8], 1, iou_threshold=0.5), OUTPUTS)
    np.testing.assert_allclose(values[0], (0.5 * 0.9 + 0.3) / 1.5, rtol=1e-6)


def rewritten(boxes, box_format):
    x0, y0, x1, y1 = np.moveaxis(np.asarray(boxes, "float32"), -1, 0)
    return np.stack(
        {
            "xyxy": (x0, y0, x1, y1),
            "yxyx": (y0, x0, y1, x1),
            "xywh": (x0, y0, x1 - x0, y1 - y0),
            "center_xywh": ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0),
        }[box_format],
        axis=-1,
    )


@pytest.mark.parametrize("box_format", ["xyxy", "yxyx", "xywh", "center_xywh"])
def test_every_format_of_boxes_has_the_same_score(box_format):
    box = [[0, 0, 4, 6], [2, 2, 6, 5]]
    expected = scores(BoxScore(box, 1), OUTPUTS)
    outputs = {"boxes": rewritten(BOXES, box_format), "classes": CLASSES}
    target = BoxScore(rewritten(box, box_format), 1, box_format=box_format)
    np.testing.assert_allclose(scores(target, outputs), expected, rtol=1e-6)
    assert expected.min() > 0


def test_boxes_and_classes_may_be_given_per_image_and_outputs_by_number():
    box = np.array([[0, 0, 4, 4], [2, 2, 6, 6]])
    target = BoxScore(box, [1, 0], boxes_output=1, scores_output=0)
    values = scores(target, [CLASSES, BOXES])
    weights = [[1, 0.5, 0], [0, 1, 0.5]]
    expected = [
        np.average(CLASSES[i, :, k], weights=weights[i])
        for i, k in enumerate((1, 0))
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_a_single_class_needs_no_axis():
    values = scores(
        BoxScore([0, 0, 4, 4], boxes_output=0, scores_output=1),
        [BOXES, CLASSES[..., 1]],
    )
    np.testing.assert_allclose(values[0], (0.9 + 0.15) / 1.5, rtol=1e-6)


def test_boxes_without_extent_overlap_with_nothing():
    outputs = {
        "boxes": np.zeros((1, 2, 4), "float32"),
        "classes": CLASSES[:1, :2],
    }
    assert scores(BoxScore([0, 0, 4, 4]), outputs) == 0


def detector():
    """Two predictions; both boxes and scores are linear in the input."""
    inputs = keras.Input((4,))
    boxes = layers.Reshape((2, 4))(layers.Dense(8, name="boxes")(inputs))
    classes = layers.Dense(6, use_bias=False, name="classes")(inputs)
    classes = layers.Activation("sigmoid")(layers.Reshape((2, 3))(classes))
    model = keras.Model(inputs, {"boxes": boxes, "classes": classes})
    kernel = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    model.get_layer("boxes").set_weights(
        [
            np.full((4, 8), 0.01, "float32"),
            np.array([0, 0, 4, 4, 0, 0, 4, 8], "float32"),
        ]
    )
    model.get_layer("classes").set_weights([kernel])
    return model, kernel.reshape(4, 2, 3)


def test_a_detector_is_explained_through_its_class_scores():
    model, kernel = detector()
    overlap = _overlaps(model, [0, 0, 4, 6])
    for target in (
        BoxScore([0, 0, 4, 6], 2),
        BoxScore([[0, 0, 4, 6]] * 3, [2, 2, 2]),
    ):
        for batch_size in (2, 3):
            maps = signed(model, target, batch_size=batch_size)
            expected = np.einsum(
                "fn,bn->bf", kernel[..., 2], overlap
            ) / overlap.sum(-1, keepdims=True)
            np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def _overlaps(model, box, x=X):
    return _overlaps_of(model.predict(x, verbose=0)["boxes"], box)


def _overlaps_of(boxes, box):
    boxes = boxes.astype("float64")
    low = np.maximum(boxes[..., :2], box[:2])
    high = np.minimum(boxes[..., 2:], box[2:])
    shared = (high - low).prod(-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return shared / (areas + whole - shared)


def test_the_predictions_are_those_of_the_image_also_for_changed_copies():
    """Covering features moves the predicted boxes; the weights stay."""
    model, kernel = detector()
    x, box = 10 * X, [0, 0, 4, 6]
    maps = Occlusion(model, 2).explain(x, BoxScore(box, 2))
    overlap = _overlaps(model, box, x)
    covered = np.concatenate([np.zeros((3, 2)), x[:, 2:]], -1)
    moved = _overlaps(model, box, covered)
    assert np.abs(overlap - moved).max() > 0.01
    effects = np.einsum("bf,fn->bfn", x, kernel[..., 2])
    effects = effects.reshape(3, 2, 2, 2).sum(2)  # of pairs of features
    expected = np.einsum("bpn,bn->bp", effects, overlap) / overlap.sum(
        -1, keepdims=True
    )
    np.testing.assert_allclose(maps, expected.repeat(2, 1), rtol=1e-3)


def test_one_step_serves_all_boxes_and_classes():
    explainer = Saliency(detector()[0])
    for size in (3, 4, 5):
        explainer.explain(X, BoxScore([0, 0, 4, size], size % 3), verbose=0)
    assert explainer._runner.num_traces == 1


def test_a_box_may_be_a_tensor_of_the_users_function():
    model, _ = detector()
    explainer = Saliency(model)

    @tf.function
    def mine(x, box):
        return explainer(x, BoxScore(box, 1))

    expected = explainer.explain(X, BoxScore([0, 0, 4, 6], 1))
    np.testing.assert_allclose(
        mine(X, tf.constant([0.0, 0.0, 4.0, 6.0])), expected, rtol=1e-5
    )


def test_no_prediction_on_the_box_means_a_map_of_zeros():
    with pytest.warns(UserWarning, match="or no predicted box lies on `box`"):
        maps = signed(detector()[0], BoxScore([50, 50, 60, 60]))
    np.testing.assert_array_equal(maps, np.zeros_like(X))


BAD = [
    (([0, 0, 4],), {}, ValueError, r"Received: box of shape \(3,\)"),
    (([[[0, 0, 4, 4]]],), {}, ValueError, r"Received: box of shape \(1, 1, 4"),
    (([4, 0, 0, 4],), {}, ValueError, "Received: box=.* in the format 'xyxy'"),
    (([0, 0, np.nan, 4],), {}, ValueError, "Received: box="),
    (([0, 0, 4, 4], 1.5), {}, TypeError, "Received: target=1.5"),
    (([0, 0, 4, 4], [[1]]), {}, ValueError, r"index of shape \(1, 1\)"),
    (
        ([0, 0, 4, 4],),
        {"box_format": "coco"},
        ValueError,
        "Received: box_format='coco'",
    ),
    (
        ([0, 0, 4, 4],),
        {"iou_threshold": 0},
        ValueError,
        "Received: iou_threshold=0",
    ),
]


@pytest.mark.parametrize("args, options, error, message", BAD)
def test_bad_boxes_are_refused_at_once(args, options, error, message):
    with pytest.raises(error, match=message):
        BoxScore(*args, **options)


OUTPUTS_THAT_DO_NOT_FIT = {
    "no such name": (
        {"box": BOXES, "classes": CLASSES},
        r"Received: boxes_output='boxes'. Outputs: 'box' \(2, 3, 4\)",
    ),
    "no boxes": (
        {"boxes": CLASSES, "classes": CLASSES},
        r"Received: boxes_output='boxes' of shape \(2, 3, 2\)",
    ),
    "another number": (
        {"boxes": BOXES, "classes": CLASSES[:, :2]},
        r"Received: scores_output='classes' of shape \(2, 2, 2\) for 3 boxes",
    ),
    "no such class": (
        {"boxes": BOXES, "classes": CLASSES[..., :1]},
        r"Received: \(classes, target\) 1",
    ),
}


@pytest.mark.parametrize("case", OUTPUTS_THAT_DO_NOT_FIT)
def test_outputs_that_do_not_fit_are_refused(case):
    outputs, message = OUTPUTS_THAT_DO_NOT_FIT[case]
    with pytest.raises(ValueError, match=message):
        scores(BoxScore([0, 0, 4, 4], 1), outputs)


# One output that holds boxes and scores


OBJECTNESS = np.array([[0.5, 0.9, 0.1], [1.0, 0.25, 0.75]], "float32")
ROWS = np.concatenate([BOXES, OBJECTNESS[..., None], CLASSES], axis=-1)
YOLO = ("boxes", "objectness", "classes")


def test_a_row_holds_box_objectness_and_classes():
    """Of (0, 0, 4, 6): overlaps 2/3 and 3/4, as above."""
    weights = np.array([2 / 3, 3 / 4]) / (2 / 3 + 3 / 4)
    expected = (weights * np.array([0.5 * 0.9, 0.9 * 0.3])).sum()
    values = scores(BoxScore([0, 0, 4, 6], 1, layout=YOLO), ROWS)
    np.testing.assert_allclose(values, [expected, 0], rtol=1e-6)


LAYOUTS = {
    "no objectness": (("boxes", "classes"), (BOXES, CLASSES)),
    "classes first": (("classes", "boxes"), (CLASSES, BOXES)),
    "objectness ignored": (
        ("boxes", "ignored", "classes"),
        (BOXES, OBJECTNESS[..., None], CLASSES),
    ),
    "two ignored": (
        ("ignored", "classes", "ignored", "boxes"),
        (OBJECTNESS[..., None], CLASSES, OBJECTNESS[..., None], BOXES),
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_the_columns_may_come_in_any_order(case):
    layout, arrays = LAYOUTS[case]
    rows = np.concatenate(arrays, axis=-1)
    box = [[0, 0, 4, 6], [2, 2, 6, 5]]
    values = scores(BoxScore(box, [1, 0], layout=layout), rows)
    expected = scores(BoxScore(box, [1, 0]), OUTPUTS)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_without_classes_the_objectness_is_the_score():
    rows = np.concatenate([BOXES, OBJECTNESS[..., None]], axis=-1)
    box = [0, 0, 4, 6]
    values = scores(BoxScore(box, layout=("boxes", "objectness")), rows)
    outputs = {"boxes": BOXES, "classes": OBJECTNESS}
    np.testing.assert_allclose(
        values, scores(BoxScore(box), outputs), rtol=1e-6
    )


def test_predictions_may_lie_on_a_grid_of_anchors():
    grid = ROWS.reshape(2, 1, 3, 1, 7)
    target = BoxScore([0, 0, 4, 6], 1, layout=YOLO)
    np.testing.assert_array_equal(scores(target, grid), scores(target, ROWS))


def test_the_output_of_rows_may_be_one_of_several():
    outputs = {"rows": ROWS, "other": SCORES}
    expected = scores(BoxScore([0, 0, 4, 6], 1, layout=YOLO), ROWS)
    for target in (
        BoxScore([0, 0, 4, 6], 1, boxes_output="rows", layout=YOLO),
        {"rows": BoxScore([0, 0, 4, 6], 1, layout=YOLO)},
    ):
        np.testing.assert_array_equal(scores(target, outputs), expected)


def yolo(activation="sigmoid"):
    """One tensor of two predictions: boxes, objectness and three classes."""
    model, kernel = detector()
    boxes = model.output["boxes"]
    inputs = model.inputs[0]
    objectness = layers.Dense(2, activation=activation, name="objectness")
    logits = model.get_layer("classes").output
    classes = layers.Activation(activation or "linear")(
        layers.Reshape((2, 3))(logits)
    )
    rows = layers.Concatenate()(
        [boxes, layers.Reshape((2, 1))(objectness(inputs)), classes]
    )
    rows = keras.Model(inputs, rows)
    return rows, kernel, objectness.get_weights()[0]


def test_one_tensor_is_explained_by_the_product_or_by_the_class():
    model, kernel, of_objects = yolo()
    box = [0, 0, 4, 6]
    explainer = Saliency(model, channel_reduction=None, score="output")
    maps = explainer.explain(X, BoxScore(box, 2, layout=YOLO), verbose=0)
    rows = model.predict(X, verbose=0)
    overlap = _overlaps_of(rows[..., :4], box)
    p, q = rows[..., 4], rows[..., 7]
    slopes = (q * p * (1 - p))[:, None] * of_objects + (p * q * (1 - q))[
        :, None
    ] * kernel[..., 2]
    expected = (slopes * overlap[:, None]).sum(-1)
    expected /= overlap.sum(-1, keepdims=True)
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-6)


def test_logits_are_not_multiplied_and_the_remedy_works():
    model, kernel, _ = yolo(activation=None)
    box = [0, 0, 4, 6]
    with pytest.raises(
        ValueError,
        match="no sigmoid has squashed.*'ignored'|"
        'no sigmoid has squashed.*"ignored"',
    ):
        signed(model, BoxScore(box, 2, layout=YOLO))
    maps = signed(
        model, BoxScore(box, 2, layout=("boxes", "ignored", "classes"))
    )
    overlap = _overlaps_of(model.predict(X, verbose=0)[..., :4], box)
    expected = np.einsum("fn,bn->bf", kernel[..., 2], overlap)
    expected /= overlap.sum(-1, keepdims=True)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "layout",
    ["boxes", ("boxes",), ("classes",), ("boxes", "boxes", "classes"),
     ("boxes", "class"), 5],
)  # fmt: skip
def test_a_layout_that_names_no_columns_is_refused(layout):
    with pytest.raises(ValueError, match="Received: layout="):
        BoxScore([0, 0, 4, 4], layout=layout)


@pytest.mark.parametrize(
    "layout, rows",
    [
        (("boxes", "objectness"), ROWS),
        (YOLO, ROWS[..., :5]),
        (YOLO, ROWS[:, 0]),
        (YOLO, np.moveaxis(ROWS, 1, 2)),
    ],
)
def test_columns_that_are_not_named_are_refused(layout, rows):
    with pytest.raises(ValueError, match="layout=.*for an output of shape"):
        scores(BoxScore([0, 0, 4, 4], layout=layout), rows)


@pytest.mark.parametrize("axis", [(2, 1), (2, 3, 1)])
def test_columns_that_come_first_are_told_by_where_boxes_lie(axis):
    """Of many columns, any number may be those of classes."""
    grid = len(axis) == 3
    rows = np.concatenate([ROWS] * 3, 1)
    turned = np.moveaxis(rows.reshape(2, 1, 9, 7) if grid else rows, -1, 1)
    target = BoxScore([0, 0, 4, 6], 1, layout=("boxes", "ignored", "classes"))
    with pytest.raises(
        ValueError, match=rf"Received: layout=.*Permute\(\({str(axis)[1:-1]}"
    ):
        scores(target, turned)
    right = keras.layers.Permute(axis)(turned)
    np.testing.assert_allclose(
        scores(target, right), scores(target, ROWS), rtol=1e-6
    )
    elsewhere = BoxScore([50, 50, 60, 60], layout=target.layout)
    np.testing.assert_array_equal(scores(elsewhere, turned), 0)


def test_masked_means_have_differences_too():
    """Why these pixels are one class and not another."""
    outputs = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    mask = np.random.default_rng(1).random((2, 3, 4)) > 0.5
    target = Difference(MaskedMean(1, mask), MaskedMean(3, mask))
    expected = ((outputs[..., 1] - outputs[..., 3]) * mask).sum((1, 2))
    np.testing.assert_allclose(
        scores(target, outputs.astype("float32")),
        expected / mask.sum((1, 2)),
        rtol=1e-5,
    )
