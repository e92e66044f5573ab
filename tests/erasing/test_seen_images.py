"""Images are known again, and others are not taken for them."""

import numpy as np
import pytest

from keras_xmap.erasing._seen_images import SeenImages

pytestmark = pytest.mark.tensorflow


def batch(ids, places=None, inputs=None, labels=None):
    ids = np.asarray(ids)
    if ids.dtype.kind == "U":
        ids = np.char.encode(ids).astype(object)
    places = np.arange(len(ids)) if places is None else np.asarray(places)
    if inputs is None:
        inputs = np.arange(4.0 * len(ids)).reshape((-1, 2, 2))
    labels = np.arange(len(ids)) if labels is None else labels
    return places, ids, [inputs], [labels]


def seen_of(*arguments, **kwargs):
    seen = SeenImages("dataset")
    seen.show(*batch(*arguments, **kwargs))
    return seen


@pytest.mark.parametrize(
    "ids", [[3, 1, 2], [-5, 2**62, 0], ["b", "a", "\u00e9"]]
)
def test_what_was_seen_is_known_in_any_order(ids):
    seen = seen_of(ids)
    text = isinstance(ids[1], str)
    places, ids, (inputs,), (labels,) = batch(ids)
    for order in ([2, 0, 1], [1]):
        seen.show(places[order], ids[order], [inputs[order]], [labels[order]])
    seen.check_count(3)
    again = SeenImages("dataset")
    again.compare(seen.to_bytes(), seen.count, "the folder")
    again.show(places, ids, [inputs], [labels])
    again.check_count(3)
    inputs[1, 0, 0] = np.nextafter(inputs[1, 0, 0], 9.0)
    again.show(places, ids, [inputs], [labels])
    name = np.char.decode(ids[1]).item() if text else ids[1].item()
    with pytest.raises(ValueError, match=f"folder has.*{name!r} with other in"):
        again.check()


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"inputs": np.zeros((3, 2, 2))}, "id 1 with other inputs. `tr"),
        ({"labels": np.array([0, 1, 1])}, "id 3 with other labels or weights"),
        ({"places": [1, 0, 2]}, r"id 1 at another place \(1, before 0\)"),
        ({"ids": [1, 2, 2]}, r"id 2 at another place \(2, before 1\) and"),
    ],
)
def test_what_differs_is_told(changed, message):
    seen = seen_of([1, 2, 3])
    seen.show(*batch(**{"ids": [1, 2, 3], **changed}))
    with pytest.raises(ValueError, match=f"{message}.*enumerate"):
        seen.check()


def test_an_id_twice_in_a_pass_is_told():
    with pytest.raises(ValueError, match="Received: id 4 at another place"):
        seen_of([4, 5, 4]).check()


def test_images_may_come_later_until_all_are_known():
    seen = seen_of([1, 2])
    seen.show(*batch([3], places=[2]))
    with pytest.raises(ValueError, match="Received: 2 in this one, 3 "):
        seen.check_count(2)
    seen.check_count(3)
    with pytest.raises(ValueError, match="Received: 4 in this one, 3 "):
        seen.check_count(4)
    seen.show(*batch([4], places=[3]))
    with pytest.raises(ValueError, match="Received: id 4 that was not there"):
        seen.check()


def test_a_pass_without_images_is_told():
    with pytest.raises(ValueError, match="Received: 0 in this one, 0 .* that"):
        seen_of([]).check_count(0)
    with pytest.raises(ValueError, match="begins anew with each pass"):
        seen_of([1, 2]).check_count(0)


def test_nothing_is_looked_at_when_nobody_watches():
    seen = seen_of([1, 2])
    seen.is_watching = False
    seen.show(*batch([1, 2], inputs=np.zeros((2, 2, 2))))
    seen.check()


def test_many_images_take_twenty_bytes_each():
    rng = np.random.default_rng(0)
    ids = rng.permutation(5000)
    images, labels = rng.integers(0, 99, (2, 5000, 1))
    seen = SeenImages("dataset")
    for part in np.split(ids, 50):
        seen.show(part, part, [images[part]], [labels[part]])
    assert len(seen) == 5000
    assert len(seen.to_bytes()) < 5000 * 20 + 300
    for part in np.split(rng.permutation(ids), 10):
        seen.show(part, part, [images[part]], [labels[part]])
    seen.check_count(5000)
    images[ids[7]] += 1
    seen.show(ids, ids, [images[ids]], [labels[ids]])
    with pytest.raises(ValueError, match=f"id {ids[7]} with other inputs"):
        seen.check()
