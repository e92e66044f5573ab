"""What every target scores, by hand, on arrays of any backend."""

import numpy as np
import pytest
from keras import ops

import keras_xmap
from keras_xmap import targets

OUTPUTS = np.array([[0.5, 5.0, 3.0], [7.0, -1.0, 2.0]], "float32")
BOXES = {
    "boxes": np.array([[[0, 0, 4, 4], [4, 4, 8, 8]]], "float32"),
    "classes": np.array([[[0.1, 0.9], [0.6, 0.4]]], "float32"),
}
# Two classes on two by two pixels, of one image.
SCORE_MAP = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)


def scored(target, outputs=OUTPUTS):
    target = targets.get(target)
    parts = {k: ops.convert_to_tensor(v) for k, v in target.parts.items()}
    outputs = (
        {name: ops.convert_to_tensor(x) for name, x in outputs.items()}
        if isinstance(outputs, dict)
        else ops.convert_to_tensor(outputs)
    )
    return ops.convert_to_numpy(target.scores(outputs, parts)).tolist()


CASES = [
    (1, OUTPUTS, [5.0, -1.0]),
    (None, OUTPUTS, [5.0, 7.0]),
    ([2, 0], OUTPUTS, [3.0, 7.0]),
    (np.array([[0, 1], [2, 2]]), OUTPUTS, [[0.5, 5.0], [2.0, 2.0]]),
    (lambda scores: scores[:, 0] - scores[:, 2], OUTPUTS, [-2.5, 5.0]),
    (targets.Class(2), OUTPUTS, [3.0, 2.0]),
    (targets.Component(1, sign=-1), OUTPUTS, [-5.0, 1.0]),
    (targets.Difference(1, 2), OUTPUTS, [2.0, -3.0]),
    (targets.Difference(None, [[0, 1], [1, 2]]), OUTPUTS, [[4.5, 0], [8, 5]]),
    (targets.MaskedMean(1), SCORE_MAP, [4.0]),
    (targets.MaskedMean(0, [[[1, 0], [0, 1]]]), SCORE_MAP, [3.0]),
    (targets.BoxScore([0, 0, 4, 4], index=1), BOXES, [0.9]),
    (targets.BoxScore([20, 20, 24, 24]), BOXES, [0.0]),
]


@pytest.mark.parametrize(
    "target, outputs, expected", CASES, ids=lambda x: type(x).__name__
)
def test_a_target_scores_as_it_says(target, outputs, expected):
    np.testing.assert_allclose(scored(target, outputs), expected, rtol=1e-6)


def test_a_target_for_each_output_is_their_sum():
    outputs = {"one": OUTPUTS, "two": 10 * OUTPUTS}
    target = {"one": 1, "two": targets.Class(0)}
    np.testing.assert_allclose(scored(target, outputs), [10.0, 69.0])


@pytest.mark.parametrize("target", [3, [0, 5]])
def test_a_class_that_the_model_lacks_is_refused(target):
    with pytest.raises(ValueError, match=r"Received: \(classes, target\) 3"):
        scored(target)


@pytest.mark.parametrize(
    "target, text",
    [
        (targets.get(3), "Class(index=3)"),
        (targets.get(None), "Class()"),
        (targets.Class([1, 2], output="place"),
         "Class(index=[1, 2], output='place')"),
        (targets.Component(2, sign=-1), "Component(index=2, sign=-1)"),
        (targets.Difference(1, None), "Difference(a=1, b=None)"),
        (targets.BoxScore([0, 0, 4, 4], iou_threshold=0.7),
         "BoxScore(box=array([0., 0., 4., 4.], dtype=float32), "
         "iou_threshold=0.7)"),
        (targets.get("labels"), "'labels'"),
    ],
)  # fmt: skip
def test_a_target_prints_as_the_call_that_makes_it(target, text):
    assert repr(target) == text


def test_the_labels_of_a_batch_are_its_classes():
    target = targets.get("labels").for_labels(np.array([2, 0]))
    assert scored(target) == [3.0, 7.0]
    one_hot = targets.get("labels").for_labels(np.eye(3)[[2, 0]])
    assert scored(one_hot) == [3.0, 7.0]
    with pytest.raises(ValueError, match="Received: a label of -1. Leave"):
        targets.get("labels").for_labels(np.array([[2], [-1]]))
    with pytest.raises(ValueError, match="Received: no labels"):
        targets.get("labels").for_labels(None)


def test_a_class_of_python_is_no_target():
    with pytest.raises(TypeError, match="Received: target=<class.*arguments"):
        targets.get(targets.Component)


@pytest.mark.parametrize("output", [True, 1.5, ["scores"], np.ones(2)])
def test_an_output_has_a_name_or_a_number(output):
    with pytest.raises(ValueError, match="Received: output="):
        targets.Class(1, output=output)


def test_a_target_of_ones_own_needs_its_scores_alone():
    class Square(keras_xmap.targets.Target):
        def scores(self, outputs, parts):
            return outputs[:, 0] ** 2

    assert scored(Square()) == [0.25, 49.0]
    assert targets.get(7).expects_maps() is None
