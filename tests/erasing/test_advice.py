"""What two rounds say of the data."""

import re

import pytest

from keras_xmap.erasing._advice import advice
from keras_xmap.erasing._advice import share_known

pytestmark = pytest.mark.tensorflow


def first(erased=0.54, whole=1.0):
    return {
        "logs": {"loss": 0.1, "val_loss": 0.2},
        "new_share": 0.1,
        "whole_auc": whole,
        "erased_auc": erased,
    }


def passes(records):
    return None


def fails(records):
    assert [set(record) & {"new_share"} for record in records] == [
        {"new_share"},
        set(),
    ]
    return "val_loss 9 is worse than 1"


SECOND = {"logs": {"loss": 0.2, "val_loss": 0.4}, "new_share": 0.1}


def test_what_is_known_is_a_share_of_what_was_learned():
    assert share_known(first(erased=0.5)) == 0
    assert share_known(first(erased=1.0)) == 1
    assert share_known(first(erased=0.6, whole=0.9)) == pytest.approx(0.25)
    # Beyond both ends, as a few images may have it.
    assert share_known(first(erased=0.4)) == 0
    assert share_known(first(erased=0.95, whole=0.9)) == 1
    assert share_known(first(whole=0.5)) is None
    assert share_known({"logs": {}}) is None


def test_there_is_none_before_two_rounds_have_trained():
    assert advice([], True, fails) is None
    assert advice([first()], True, fails) is None


def test_a_second_round_that_knows_nothing_of_held_out_images_found_nothing():
    for are_whole in (True, False):
        told = advice([first(), SECOND], are_whole, fails)
        assert told.startswith("Lower the threshold: ")
        assert "did not learn (val_loss 9 is worse than 1). There" in told


@pytest.mark.parametrize(
    ("records", "are_whole", "words"),
    [
        ([first(), SECOND], True, "Erase: .* knows 8% of what it learned"),
        ([first(0.77), SECOND], True, "Lower .* still knows 54% of what"),
        ([first(), {"logs": SECOND["logs"]}], True, "Lower .* did not learn"),
        ([first(0.77), {"logs": {}}], False, "Lower .* did not learn"),
        ([first(), SECOND], False, "Nothing .* whole held-out images"),
        ([first(), {**SECOND, "logs": {"loss": 1}}], True, "Nothing .*whole"),
        ([first(whole=0.4), SECOND], True, "Nothing .* one output"),
    ],
)
def test_it_says_which_of_them_it_is_and_why(records, are_whole, words):
    told = advice(records, are_whole, passes)
    assert re.match(words, told)
    # Later rounds change nothing of it.
    assert advice([*records, SECOND], are_whole, passes) == told
