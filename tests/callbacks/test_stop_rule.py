import math

import pytest

from keras_xmap.callbacks import StopRule

pytestmark = pytest.mark.tensorflow


def judged(rule, first, last):
    return rule([{"logs": first, "new_share": 1.0}, {"logs": last}])


@pytest.mark.parametrize(
    "name, value, failed",
    [
        ("loss", 0.3, False),
        ("loss", 0.31, True),
        ("val_loss", 0.31, True),
        ("val_error", 0.31, True),
        ("accuracy", 0.1, False),
        ("accuracy", 0.09, True),
        ("val_auc", 0.3, False),
        ("loss", math.nan, True),
        ("accuracy", math.nan, True),
    ],
)
def test_a_round_is_held_against_the_first(name, value, failed):
    reason = judged(StopRule(name), {name: 0.2}, {name: value})
    assert bool(reason) == failed
    if failed:
        bound = 0.1 if "a" in name.replace("val", "") else 0.3
        assert reason == f"{name} {value:.4g} is worse than {bound:.4g}"


def test_held_out_images_judge_if_there_are_any():
    first = {"loss": 1.0, "val_loss": 1.0}
    assert judged(StopRule(), first, {"loss": 9.0, "val_loss": 1.0}) is None
    assert judged(StopRule(), first, {"loss": 1.0, "val_loss": 9.0})
    assert judged(StopRule(), {"loss": 1.0}, {"loss": 9.0})


def test_a_loss_below_zero_may_become_worse_by_its_size():
    assert judged(StopRule(), {"loss": -2.0}, {"loss": -1.0}) is None
    assert judged(StopRule(), {"loss": -2.0}, {"loss": -0.9})


def test_mode_says_what_is_good():
    assert judged(StopRule("x", mode="min"), {"x": 1.0}, {"x": 2.0})
    assert judged(StopRule("x", mode="max"), {"x": 1.0}, {"x": 2.0}) is None


def test_the_first_round_never_fails():
    assert StopRule("loss")([{"logs": {"loss": 5.0}}]) is None


def test_a_round_must_find_something():
    rule = StopRule(min_new_share=0.1)
    record = {"logs": {"loss": 1.0}, "new_share": 0.1}
    assert rule([record]) is None
    reason = rule([{**record, "new_share": 0.05}])
    assert reason == "new regions cover 0.05 of the images, less than 0.1"


def test_a_metric_that_is_not_there_is_named():
    with pytest.warns(UserWarning, match="'val_auc'; there are auc, loss"):
        rule = StopRule("val_auc")
        logs = {"loss": 1.0, "auc": 0.5}
        assert judged(rule, logs, logs) is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"tolerance": -1}, "Received: tolerance=-1"),
        ({"min_new_share": -0.1}, "Received: min_new_share=-0.1"),
        ({"min_new_share": 1.5}, "Received: min_new_share=1.5"),
        ({"mode": "big"}, "Received: mode='big'"),
        ({"monitor": 3}, "Received: monitor=3"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        StopRule(**arguments)


@pytest.mark.parametrize(
    "records, error, message",
    [
        ([], TypeError, r"Received: records=\[\]"),
        ({"logs": {}}, TypeError, r"Received: records={'logs': {}}"),
        ([{"loss": 0.5}], TypeError, r"Received: records=\[{'loss': 0.5}\]"),
        ([{"logs": {"loss": "low"}}], ValueError, "logs.'loss'.='low'"),
        (
            [{"logs": {"loss": 0.5}, "new_share": 1.5}],
            ValueError,
            "Received: new_share=1.5",
        ),
    ],
)
def test_records_of_another_kind_are_named(records, error, message):
    with pytest.raises(error, match=message):
        StopRule("loss")(records)


def test_a_rule_prints_as_the_call_that_makes_it():
    assert repr(StopRule()) == "StopRule()"
    rule = StopRule("val_auc", tolerance=0.3)
    assert repr(rule) == "StopRule(monitor='val_auc', tolerance=0.3)"
