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


def test_what_may_be_lost_is_a_share_of_what_was_learned():
    # Of 0.69 - 0.01, and of 0.9 - 0.5, and of 0.9 - 0.4.
    first = {"loss": 0.01, "val_auc": 0.9, "val_accuracy": 0.9, "auc": 0.4}
    record = {"logs": first, "guess": {"loss": 0.69, "accuracy": 0.4}}

    def judged_by(rule, value):
        return rule([record, {"logs": {rule.monitor: value}}])

    loss, accuracy = StopRule("loss"), StopRule("val_accuracy")
    assert judged_by(loss, 0.34) is None
    assert judged_by(loss, 0.36) == "loss 0.36 is worse than 0.35"
    assert judged_by(accuracy, 0.66) is None
    assert "worse than 0.65" in judged_by(accuracy, 0.64)
    auc = StopRule("val_auc", guess=0.5)
    assert judged_by(auc, 0.71) is None
    assert "worse than 0.7" in judged_by(auc, 0.69)
    # The rule's own word counts, and all may be lost, but no more.
    assert judged_by(StopRule("loss", guess=0.11), 0.07)
    all_of_it = StopRule("val_accuracy", tolerance=1.0)
    assert judged_by(all_of_it, 0.41) is None and judged_by(all_of_it, 0.39)
    # A first round that is no better than guessing has nothing to lose.
    assert judged_by(StopRule("auc", guess=0.5), 0.4) is None
    assert judged_by(StopRule("auc", guess=0.5), 0.39)


@pytest.mark.parametrize(
    "first, second, guess, failed",
    [
        # Objects with two cues, rounds 2 and 3 of two sizes: accuracies.
        (1.0, 0.993, 0.25, False),
        (0.977, 0.863, 0.25, False),
        (1.0, 0.257, 0.25, True),
        (0.977, 0.263, 0.25, True),
        # Digits, that hold one cue: areas under ROC curves.
        (0.977, 0.576, 0.5, True),
        (0.760, 0.554, 0.5, True),
        (0.760, 0.623, 0.5, True),
        # Photos: average precision, with as many labels as 0.1 of them.
        (0.928, 0.898, 0.1, False),
        (0.403, 0.280, 0.1, False),
        (0.928, 0.643, 0.1, False),
        (0.403, 0.218, 0.1, True),
    ],
)
def test_the_default_divides_rounds_that_were_measured(
    first, second, guess, failed
):
    rule = StopRule("val_metric", guess=guess)
    reason = judged(rule, {"val_metric": first}, {"val_metric": second})
    assert bool(reason) == failed


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
        ({"guess": math.nan}, "Received: guess=nan"),
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
        ([{"logs": {}, "guess": 0.5}], TypeError, "'guess': 0.5, "),
        ([{"logs": {"loss": 1.0}, "guess": {"loss": "a"}}], ValueError, "'a'"),
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
