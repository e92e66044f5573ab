"""What two rounds say of the data."""

import re

import pytest

from keras_xmap.erasing._advice import advice
from keras_xmap.erasing._advice import share_known

pytestmark = pytest.mark.tensorflow


def first(erased=1.3, whole=0.1, guess=1.4):
    return {
        "logs": {"loss": 0.1, "val_loss": 0.2},
        "new_share": 0.1,
        "guess": {"loss": guess},
        "whole_loss": whole,
        "erased_loss": erased,
    }


SECOND = {"logs": {"loss": 0.2, "val_loss": 0.4}, "new_share": 0.1}


def test_what_is_known_is_a_share_of_what_was_learned():
    assert share_known(first(erased=1.4)) == 0
    assert share_known(first(erased=0.1)) == 1
    assert share_known(first(erased=0.75)) == pytest.approx(0.5)
    # Beyond both ends, as a few images may have it.
    assert share_known(first(erased=9.0)) == 0
    assert share_known(first(erased=0.01)) == 1
    assert share_known(first(whole=1.4)) is None
    assert share_known({"logs": {}}) is None


def test_there_is_none_before_two_rounds_have_trained():
    assert advice([], True) is None
    assert advice([first()], True) is None


@pytest.mark.parametrize(
    ("records", "are_whole", "words"),
    [
        ([first(), SECOND], True, "Erase: .* knows 8% of what it learned"),
        ([first(0.7), SECOND], True, "Lower .* still knows 54% of what"),
        ([first(), {"logs": SECOND["logs"]}], True, "Lower .* did not learn"),
        ([first(0.7), {"logs": {}}], False, "Lower .* did not learn"),
        ([first(), SECOND], False, "Nothing .* whole held-out images"),
        ([first(), {**SECOND, "logs": {"loss": 1}}], True, "Nothing .*whole"),
        ([first(whole=2.0), SECOND], True, "Nothing .* one cross-entropy"),
    ],
)
def test_it_says_which_of_them_it_is_and_why(records, are_whole, words):
    assert re.match(words, advice(records, are_whole))
    # Later rounds change nothing of it.
    assert advice([*records, SECOND], are_whole) == advice(records, are_whole)
