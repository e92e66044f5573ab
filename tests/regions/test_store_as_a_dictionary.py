"""A store holds what a dictionary would, whatever is asked in what order."""

import collections
import errno
import functools
import sys
import threading

import numpy as np
import pytest

from keras_xmap.regions import RegionStore
from keras_xmap.regions import _shards

SIZE = (3, 5)
IDS = {
    "small": [0, 1, 2, -7],
    "64 bits": [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1],
    "text": ["", "a", "a ", "ä/b", "1", "\U0001f600"],
}
CLASSES = [0, 1, 2**31 - 1, 2**31, 2**63 - 1]
ROUNDS = [0, 1, 2**31, 2**63 - 1]


class Disk:
    """Fails as a full disk does, before it has done something or after."""

    def __init__(self, monkeypatch, generator):
        self._generator = generator
        self.failing = False
        for name in ("write_atomically", "delete_file"):
            do = functools.partial(self._do, getattr(_shards, name))
            monkeypatch.setattr(_shards, name, do)

    def _do(self, function, path, *content):
        fails = self.failing and self._generator.random() < 0.5
        if not fails or self._generator.random() < 0.5:
            function(path, *content)
        if fails:
            raise OSError(errno.ENOSPC, "no space left", path)

    def is_enough_for(self, function, *arguments):
        """Returns whether a call came to its end, on a disk that may fail."""
        self.failing = True
        try:
            function(*arguments)
            return True
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return False
        finally:
            self.failing = False

    def repeat(self, function, *arguments):
        while not self.is_enough_for(function, *arguments):
            pass


class Reference:
    """What was added, as a list of rows by round."""

    def __init__(self):
        self.rows = collections.defaultdict(list)

    def union(self, image_id, class_id=None, rounds=None):
        found = np.zeros(SIZE, "bool")
        for round_id, rows in self.rows.items():
            for of_image, of_class, mask in rows:
                found |= (
                    mask
                    & (of_image == image_id)
                    & (class_id in (None, of_class))
                    & (rounds is None or round_id in rounds)
                )
        return found

    def mined(self, round_id):
        return {row[0] for row in self.rows.get(round_id, ())}

    def image_ids(self):
        return sorted(set().union(*map(self.mined, list(self.rows))))


def check(store, reference, ids):
    assert store.image_ids == reference.image_ids()
    assert store.rounds == sorted(
        r for r in reference.rows if reference.rows[r]
    )
    for round_id in ROUNDS:
        assert store.mined(round_id) == reference.mined(round_id)
    for rounds in (None, [0, 2**31], {2**63 - 1}):
        masks = store.mask(ids, SIZE, rounds)
        wanted = [reference.union(i, None, rounds) for i in ids]
        np.testing.assert_array_equal(masks, wanted)
    for image_id in reference.image_ids():
        for class_id in CLASSES:
            np.testing.assert_array_equal(
                store.region(image_id, class_id, ROUNDS),
                reference.union(image_id, class_id),
            )
    counts = {row["round"]: row["num_regions"] for row in store.statistics()}
    assert counts == {
        r: len(rows) for r, rows in reference.rows.items() if rows
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", IDS)
def test_it_answers_as_a_dictionary_does(kind, seed, tmp_path, monkeypatch):
    generator = np.random.default_rng(seed)
    ids = IDS[kind]
    disk = Disk(monkeypatch, generator)
    store, reference = RegionStore(tmp_path, shard_size=7), Reference()

    def drawn():
        chosen = [ids[i] for i in generator.integers(len(ids), size=3)]
        classes = [CLASSES[i] for i in generator.integers(5, size=3)]
        round_id = ROUNDS[generator.integers(len(ROUNDS))]
        masks = generator.random((3, *SIZE)) < 0.2
        rows = zip(chosen, classes, masks, strict=True)
        reference.rows[round_id].extend(rows)
        return chosen, classes, round_id, masks

    def add():
        disk.repeat(store.add, *drawn())

    def merge():
        other = RegionStore()
        other.add(*drawn())
        other.add(*drawn())
        disk.repeat(store.merge, other)

    def flush():
        disk.is_enough_for(store.flush)

    def discard():
        round_id = ROUNDS[generator.integers(len(ROUNDS))]
        disk.repeat(store.discard, round_id)
        reference.rows.pop(round_id, None)

    steps = [add, add, merge, flush, flush, store.refresh, discard]
    for _ in range(40):
        steps[generator.integers(len(steps))]()
    check(store, reference, ids)
    store.flush()
    check(store, reference, ids)
    check(RegionStore(tmp_path), reference, ids)


def one(*pixels):
    mask = np.zeros(SIZE, "bool")
    mask.flat[list(pixels)] = True
    return mask


@pytest.mark.parametrize(
    "ids",
    [
        [2**63, 5],
        np.array([2**63, 5], "uint64"),
        [np.uint64(2**63), np.int8(5)],
        (2**63, np.int64(5)),
    ],
)
def test_ids_beyond_63_bits_stay_what_they_are(ids, tmp_path):
    store = RegionStore(tmp_path)
    store.add(ids, [0, 0], 1, [one(0), one(1)])
    store.add([-1], [0], 1, [one(2)])
    store.flush()
    store = RegionStore(tmp_path)
    assert store.image_ids == [-1, 5, 2**63]
    assert all(type(image_id) is int for image_id in store.image_ids)
    assert store.mined(1) == {-1, 5, 2**63}
    assert store.mask(np.array([2**63], "uint64"))[0].tolist() == (
        one(0).tolist()
    )


@pytest.mark.parametrize(
    "ids, message",
    [
        (
            [2**64],
            r"-2\*\*63 to 2\*\*64 - 1. Received: 18446744073709551616",
        ),
        ([-(2**63) - 1], "Received: -9223372036854775809. Write larger ones"),
        (["a\0"], "must not hold NUL. Received: 'a"),
        (["\udc80"], "must be UTF-8. Received: b"),
        ([b"\xff"], r"must be UTF-8. Received: b'\\xff'"),
    ],
)
def test_ids_that_no_file_keeps_are_refused_at_once(ids, message, tmp_path):
    store = RegionStore(tmp_path)
    with pytest.raises(ValueError, match=message):
        store.add([3, *ids] if isinstance(ids[0], int) else ids, [0, 0], 1, [])
    with pytest.raises(ValueError, match=message):
        store.add(ids, [0], 1, [one(1)])
    remedy = [str(i) for i in ids] if isinstance(ids[0], int) else ["a"]
    store.add(remedy, [0], 1, [one(1)])
    store.flush()
    assert RegionStore(tmp_path).image_ids == remedy


@pytest.mark.parametrize(
    "ids", [[1, "a"], ["a", 1], [1, b"a"], [True], [1.0], [None], [[1]], [{}]]
)
def test_ids_of_two_kinds_or_of_none_are_refused(ids):
    store = RegionStore()
    with pytest.raises(TypeError, match="Received: "):
        store.add(ids, [0] * len(ids), 1, [one(0)] * len(ids))
    assert store.image_ids == []


@pytest.mark.parametrize(
    "row",
    [
        ([1], [2**63], 1, [one(0)]),
        ([1], [1.0], 1, [one(0)]),
        ([1], ["1"], 1, [one(0)]),
        ([1], 3, 1, [one(0)]),
        ([1], [0], 2**63, [one(0)]),
        ([1], [0], "1", [one(0)]),
        ([1], [0], 1, one(0)),
        ([1], [0], 1, [np.zeros((0, 5), "bool")]),
        ([1], [0], 1, None),
        ([1], [0], 1, [[[True], [True, False]]]),
        ([1, 1], [0, 0], 1, [one(0), one(0)[:2]]),
    ],
)
def test_a_row_that_no_file_keeps_takes_nothing_with_it(row, tmp_path):
    store = RegionStore(tmp_path)
    store.add([0], [0], 1, [one(4)])
    with pytest.raises((ValueError, TypeError), match="Received: "):
        store.add(*row)
    store.add([1], [2**63 - 1], 2**31, [one(3)[:2]])
    store.flush()
    store = RegionStore(tmp_path)
    assert store.image_ids == [0, 1] and store.size(1) == (2, 5)
    assert store.region(1, 2**63 - 1, 2**31).sum() == 1


@pytest.mark.parametrize(
    "question, error",
    [
        (lambda store: store.region(0, class_id="x"), ValueError),
        (lambda store: store.region(0, rounds=[1.7]), ValueError),
        (lambda store: store.region(0, rounds={"1": 1}), TypeError),
        (lambda store: store.region(0, rounds=np.array("1")), TypeError),
        (lambda store: store.region(0, rounds=np.array([[1]])), ValueError),
        (lambda store: store.region("0"), ValueError),
        (lambda store: store.region([0]), TypeError),
        (lambda store: store.region(True), TypeError),
        (lambda store: store.discard("1"), ValueError),
        (lambda store: store.discard(None), ValueError),
        (lambda store: store.mined("1"), ValueError),
        (lambda store: store.size("0"), ValueError),
        (lambda store: store.mask(["0"]), TypeError),
        (lambda store: store.mask([0, "0"]), TypeError),
        (lambda store: store.mask([0.0]), TypeError),
        (lambda store: store.mask("0"), ValueError),
        (lambda store: store.mask([0], size=5), ValueError),
        (lambda store: store.mask([0], size=(2.7, 3)), ValueError),
        (lambda store: store.mask([0], size="35"), ValueError),
        (lambda store: store.mask([0], size=(True, 3)), ValueError),
        (lambda store: store.labels("0"), ValueError),
        (lambda store: store.save_coco(3), TypeError),
        (lambda store: store.save_coco("x", class_names="ab"), ValueError),
        (lambda store: store.save_coco("x", class_names=[3]), ValueError),
        (lambda store: store.save_png(None), TypeError),
    ],
)
def test_a_question_of_the_wrong_type_is_refused(
    question, error, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    store = RegionStore()
    store.add([0], [0], 1, [one(1)])
    with pytest.raises(error, match="Received: "):
        question(store)
    assert store.statistics()[0]["num_regions"] == 1


def test_rounds_may_be_arrays_of_any_rank():
    store = RegionStore()
    store.add([0], [0], 1, [one(1)])
    for rounds in (np.int64(1), np.array(1), np.array([1]), range(2)):
        assert (store.region(0, rounds=rounds) == one(1)).all()
    assert not store.region(0, rounds=np.array(2)).any()


def test_an_image_whose_regions_are_gone_may_come_back_in_another_size(
    tmp_path,
):
    store = RegionStore(tmp_path)
    store.add([0, 1], [0, 0], 1, [one(1), one(1)])
    store.flush()
    store.discard(1)
    for question in (store.region, store.size, store.labels, store.regions):
        with pytest.raises(ValueError, match="with a region. Received: image"):
            question(0)
    store.add([0], [0], 1, [one(1)[:2]])
    store.flush()
    assert RegionStore(tmp_path).size(0) == store.size(0) == (2, 5)


def test_stores_are_merged_as_a_whole_or_not():
    store, other = RegionStore(), RegionStore()
    store.add([1], [0], 1, [one(1)])
    other.add([0, 1], [0, 0], 1, [one(0)[:2], one(1)[:2]])
    with pytest.raises(ValueError, match=r"size=\(2, 5\) for image 1 of size"):
        store.merge(other)
    assert store.image_ids == [1]
    store.merge(store)
    assert store.statistics()[0]["num_regions"] == 1


def test_of_a_store_that_is_damaged_nothing_is_merged(tmp_path):
    other = RegionStore(tmp_path, shard_size=1)
    for number in range(3):
        other.add([number], [0], 1, [one(number)])
    other.flush()
    path = next(path for path in tmp_path.iterdir() if holds(path, 2))
    content = bytearray(path.read_bytes())
    content[content.index(np.load(path)["bits"].tobytes()) + 3] ^= 1
    path.write_bytes(content)
    store = RegionStore()
    with pytest.raises(ValueError, match="wrong checksum of image 2"):
        store.merge(RegionStore(tmp_path))
    assert store.image_ids == []


def holds(path, image_id):
    return image_id in np.load(path)["image_ids"]


@pytest.fixture
def impatient_threads():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_may_ask_for_all_there_is_while_another_adds(
    tmp_path, impatient_threads
):
    store = RegionStore(tmp_path, shard_size=1000)
    store.add(range(990), [0] * 990, 0, np.ones((990, 1, 1), "bool"))
    errors, added = [], threading.Event()

    def ask():
        try:
            while not added.is_set():
                ids, rounds = store.image_ids, store.rounds
                assert ids == list(range(len(ids)))
                assert rounds == list(range(len(rounds)))
                assert len(store.mined(0)) == 990
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(990, 1050):
        mask = np.ones((1, 1, 1), "bool")
        store.add([number], [0], number - 989, mask)
    added.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.image_ids == list(range(1050))


def test_shards_that_do_not_fit_together_are_named(tmp_path):
    for worker, mask in enumerate([one(1), one(1)[:2]]):
        store = RegionStore(tmp_path / f"{worker}", worker=worker)
        store.add([7], [0], 1, [mask])
        store.flush()
    (shard,) = (tmp_path / "1").iterdir()
    shard.rename(tmp_path / "0" / shard.name)
    with pytest.raises(ValueError, match=rf"{shard.name} .*size=\(2, 5\) for"):
        RegionStore(tmp_path / "0")
