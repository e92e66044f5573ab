import json

import numpy as np
import pytest
from datasets import hostile_coco

from keras_xmap.datasets._json_lists import JSONLists
from keras_xmap.datasets._segmentations import Segmentations

KEYS = ("images", "annotations", "categories")


def lists_of(text):
    lists = JSONLists(text, KEYS, dict)
    return {key: list(lists.rows(key)) for key in lists.keys}


@pytest.mark.parametrize(
    "text",
    [
        '{"images": [], "annotations": [1, {"a": [2]}], "more": {"b": "]"}}',
        ' {\n"images":[ "a" ,\t"]" ]\r}\n ',
        '{"images": 3, "categories": [[], [[]]]}',
        "{}",
        "[1, 2]",
        "3",
        '{"im\\u0061ges": [1.5, -2e3, null, true, NaN, Infinity]}',
    ],
)
def test_it_reads_what_json_reads(text):
    whole = json.loads(text)
    whole = whole if isinstance(whole, dict) else {}
    wanted = {
        key: rows
        for key, rows in whole.items()
        if key in KEYS and isinstance(rows, list)
    }
    assert repr(lists_of(text)) == repr(wanted)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{]",
        '{"images"}',
        '{"images": [1 2]}',
        '{"images": [1,]}',
        '{"images": [1]',
        '{"images": [1], }',
        '{"images": [1],, "a": 1}',
        '{"images": [1]} 3',
        "{images: []}",
        '{"images": [}',
        "[1, 2",
        '{"a": 1 "b": 2}',
        "{3: []}",
    ],
)
def test_it_refuses_what_json_refuses(text):
    with pytest.raises(ValueError):
        json.loads(text)
    with pytest.raises(ValueError):
        lists_of(text)


def test_hostile_files_are_json_to_both_or_to_none():
    for name, text in hostile_coco.mutations():
        text = (
            text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        )
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            whole = None
        try:
            found = lists_of(text)
        except (ValueError, RecursionError) as error:
            if "twice" not in str(error):
                assert whole is None, name
            continue
        assert whole is not None, name
        for key, rows in found.items():
            assert repr(whole[key]) == repr(rows), name


def test_segmentations_are_read_as_they_were_added():
    rng = np.random.default_rng(0)
    hundredths = np.array([float(f"{x:.2f}") for x in rng.uniform(-9, 3e5, 40)])
    added = [
        [hundredths],
        [hundredths[:6], hundredths[6:20], hundredths[20:]],
        [rng.uniform(0, 1, 8)],  # no hundredths
        [np.array([0.0, 1, 2, 3, 4, 2.0**31 - 2])],  # larger than 32 bits hold
        [np.array([0.1 + 0.2, 0, 5, 0, 5, 5])],
        {"size": [4, 5], "counts": [5, 2, 2, 2, 9]},
        {"size": [4, 5], "counts": "52207"},
        {"size": [70000, 70000], "counts": [4900000000]},
    ]
    kept = Segmentations()
    for segmentation in added:
        kept.append(segmentation)
    assert len(kept) == len(added)
    for number, segmentation in reversed(list(enumerate(added))):
        found = kept[number]
        if isinstance(segmentation, dict):
            assert found == segmentation
            continue
        for one, other in zip(found, segmentation, strict=True):
            np.testing.assert_array_equal(one, other)


def test_hundredths_take_4_bytes_a_number():
    kept = Segmentations()
    for _ in range(100):
        kept.append([np.arange(200) / 100])
    assert len(kept._content) == 100 * (4 * 200 + 8)
