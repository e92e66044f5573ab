"""Shards: what is in them, and that nothing is lost or wrong unnoticed."""

import os
import signal
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest

from keras_xmap.regions import RegionStore
from keras_xmap.regions._shards import Shard
from keras_xmap.regions._shards import ShardFolder


def mask_of(image_id, round_id=1):
    """A mask that tells by itself which image and round it is of."""
    rng = np.random.default_rng(1000 * round_id + image_id)
    return rng.uniform(size=(9, 13)) < 0.3


def filled(directory, ids, round_id=1, **kwargs):
    store = RegionStore(directory, **kwargs)
    for i in ids:
        store.add([i], [i % 2], round_id, [mask_of(i, round_id)])
    return store


def shards(directory):
    return sorted(directory.glob("*.npz"))


def test_nothing_is_written_before_there_is_a_shard_to_write(tmp_path):
    store = RegionStore(tmp_path / "a" / "b", shard_size=4)
    store.flush()
    assert not (tmp_path / "a").exists()
    store.add([0, 1, 2], [0, 0, 0], 1, [mask_of(i) for i in range(3)])
    assert not (tmp_path / "a").exists()
    store.add([3, 4], [0, 0], 1, [mask_of(i) for i in (3, 4)])
    # A shard holds four: the first three are due, the others wait.
    assert [shard["num_regions"] for shard in store.shards()] == [3]
    store.flush()
    assert len(shards(tmp_path / "a" / "b")) == 2
    assert RegionStore(tmp_path / "a" / "b").mined(1) == set(range(5))


def test_numpy_alone_reads_a_shard(tmp_path):
    filled(tmp_path, range(5), round_id=2).flush()
    (path,) = shards(tmp_path)
    shard = np.load(path)
    assert shard["round"] == 2
    assert shard["image_ids"].tolist() == list(range(5))
    assert shard["class_ids"].tolist() == [0, 1, 0, 1, 0]
    for i, (first, last) in enumerate(
        zip(shard["offsets"], shard["offsets"][1:], strict=False)
    ):
        record = shard["bits"][first:last].tobytes()
        assert zlib.crc32(record) == shard["checksums"][i]
        packed = np.frombuffer(zlib.decompress(record), "uint8")
        height, width = shard["sizes"][i]
        mask = np.unpackbits(packed, count=height * width)
        assert (mask.reshape((height, width)) == mask_of(i, 2)).all()


def test_the_list_of_shards_tells_what_is_in_them(tmp_path):
    store = filled(tmp_path, range(3), worker=4)
    assert store.shards() == [] == RegionStore().shards()
    store.flush()
    store.add([7], [0], 2, [mask_of(7, 2)])
    store.flush()
    listed = store.shards()
    assert [(s["round"], s["num_regions"]) for s in listed] == [(1, 3), (2, 1)]
    assert [s["name"] for s in listed] == [p.name for p in shards(tmp_path)]
    assert RegionStore(tmp_path).shards() == listed
    # The same regions elsewhere, and others.
    again, other = filled(tmp_path / "a", range(3)), RegionStore(tmp_path / "b")
    for i in range(3):
        other.add([i], [i % 2], 1, [mask_of(i) ^ (i == 2)])
    for one in (again, other):
        one.flush()
    (again,), (other,) = again.shards(), other.shards()
    assert again["checksum"] == listed[0]["checksum"] != other["checksum"]
    assert listed[1]["checksum"] != listed[0]["checksum"]


def test_an_empty_region_takes_no_bytes_and_is_remembered(tmp_path):
    store = RegionStore(tmp_path)
    store.add([4], [0], 1, [np.zeros((500, 500), "bool")])
    store.flush()
    assert np.load(shards(tmp_path)[0])["bits"].size == 0
    store = RegionStore(tmp_path)
    assert store.mined(1) == {4} and not store.mask([4]).any()


def test_a_blob_takes_a_small_part_of_its_packed_bits(tmp_path):
    rows, columns = np.mgrid[:320, :320]
    blob = (rows - 150) ** 2 + (columns - 100) ** 2 < 60**2
    store = RegionStore(tmp_path)
    store.add(range(50), [0] * 50, 1, [blob] * 50)
    store.flush()
    assert shards(tmp_path)[0].stat().st_size < 50 * 12800 / 16


def test_more_shards_than_open_files_read_right(tmp_path):
    filled(tmp_path, range(150), shard_size=1).flush()
    assert len(shards(tmp_path)) == 150
    store = RegionStore(tmp_path, memory_bytes=1)
    for _ in range(2):
        masks = store.mask(range(150))
        assert (masks == [mask_of(i) for i in range(150)]).all()
    assert len(os.listdir("/proc/self/fd")) < 120 or sys.platform != "linux"


def test_workers_write_shards_of_their_own_and_find_each_others(tmp_path):
    one = filled(tmp_path, range(0, 6), worker=0)
    two = filled(tmp_path, range(4, 10), worker=1)
    one.flush()
    two.flush()
    assert one.mined(1) == set(range(6))
    names = [path.name.rsplit("-", 1)[0] for path in shards(tmp_path)]
    assert names == ["regions-0001-00000", "regions-0001-00001"]
    for store in (one, two, RegionStore(tmp_path)):
        store.refresh()
        assert store.mined(1) == set(range(10))
        masks = store.mask(range(10))
        assert (masks == [mask_of(i) for i in range(10)]).all()
    one.discard(1)
    two.refresh()
    assert two.image_ids == [] and os.listdir(tmp_path) == []


def test_threads_may_ask_and_add_at_the_same_time(tmp_path):
    store = filled(tmp_path, range(20), shard_size=7)
    errors = []

    def ask():
        try:
            for _ in range(30):
                masks = store.mask(range(20), rounds=[1])
                assert (masks == [mask_of(i) for i in range(20)]).all()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(60):
        store.add([i], [0], 2, [mask_of(i, 2)])
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.mined(2) == set(range(60))


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))


def test_a_flipped_bit_of_a_region_is_named(tmp_path):
    filled(tmp_path, range(5)).flush()
    filled(tmp_path, range(5, 9), worker=1).flush()
    sound, damaged = shards(tmp_path)
    # The records are the last array; the directory of the archive follows.
    content = damaged.read_bytes()
    last = zlib.compress(np.packbits(mask_of(8)), 1)
    flip(damaged, content.index(last) + 3)
    store = RegionStore(tmp_path)
    assert (store.region(7) == mask_of(7)).all()
    for ask in (lambda: store.mask([8]), store.verify):
        with pytest.raises(ValueError, match="of image 8, class 0") as caught:
            ask()
        assert str(damaged) in str(caught.value)
        assert str(sound) not in str(caught.value)


def test_every_flipped_bit_in_front_of_the_records_is_found(tmp_path):
    filled(tmp_path, range(3)).flush()
    (path,) = shards(tmp_path)
    content = path.read_bytes()
    missed = []
    for position in range(0, len(content), 5):
        flip(path, position)
        try:
            store = RegionStore(tmp_path)
            store.verify()
        except ValueError as error:
            assert path.name in str(error)
        else:
            same = store.image_ids == [0, 1, 2] and all(
                (store.region(i, i % 2, 1) == mask_of(i)).all()
                for i in range(3)
            )
            if not same:
                missed.append(position)
        path.write_bytes(content)
    # Some bits mean nothing, such as dates; none may change a region.
    assert missed == []


def test_half_a_file_is_named_and_the_others_can_be_used(tmp_path):
    filled(tmp_path, range(5)).flush()
    store = RegionStore(tmp_path)
    filled(tmp_path, range(5, 9), worker=1).flush()
    half, whole = shards(tmp_path)[1], shards(tmp_path)[0]
    half.write_bytes(half.read_bytes()[:-200])
    with pytest.raises(ValueError, match="Received damaged files") as caught:
        store.refresh()
    assert half.name in str(caught.value)
    assert whole.name not in str(caught.value)
    assert store.mined(1) == set(range(5))
    half.unlink()
    assert RegionStore(tmp_path).mined(1) == set(range(5))


def test_what_is_no_file_is_named_and_what_is_gone_is_gone(
    tmp_path, monkeypatch
):
    filled(tmp_path, range(3)).flush()
    (tmp_path / "regions-link.npz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"link.npz \(a link to nowhere\)"):
        RegionStore(tmp_path)
    (tmp_path / "regions-link.npz").unlink()
    (tmp_path / "regions-folder.npz").mkdir()
    with pytest.raises(ValueError, match=r"folder.npz \(.*a directory"):
        RegionStore(tmp_path)
    (tmp_path / "regions-folder.npz").rmdir()
    # Another worker discards a shard between a look at the list and one at it.
    names = ShardFolder.names

    def names_before(folder):
        monkeypatch.setattr(ShardFolder, "names", names)
        return [*names(folder), "regions-gone.npz"]

    monkeypatch.setattr(ShardFolder, "names", names_before)
    assert RegionStore(tmp_path).image_ids == [0, 1, 2]


KILLED = """
import builtins, os, signal, sys
from keras_xmap.regions import RegionStore
from regions.test_region_store_files import mask_of

opened, count = open, 0


def open_and_die_in_the_third(path, mode="r"):
    global count
    file = opened(path, mode)
    count += mode == "wb"
    return Dying(file) if mode == "wb" and count == 3 else file


class Dying:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


builtins.open = open_and_die_in_the_third
store = RegionStore(sys.argv[1], shard_size=10)
for i in range(40):
    store.add([i], [i % 2], 1, [mask_of(i)])
"""


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
    )


@pytest.mark.slow
def test_a_process_killed_while_it_writes_loses_only_that_shard(tmp_path):
    done = run(KILLED, tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left_over = [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]
    assert len(left_over) == 1 and len(shards(tmp_path)) == 2
    reader = RegionStore(tmp_path)
    reader.verify()
    assert reader.mined(1) == set(range(20))
    # Another worker leaves the file alone, which may still be written.
    filled(tmp_path, [100], worker=1).flush()
    assert left_over[0].exists()
    # The same worker goes on with what is missing, and clears it away.
    resumed = RegionStore(tmp_path, shard_size=10)
    for i in sorted(set(range(40)) - resumed.mined(1)):
        resumed.add([i], [i % 2], 1, [mask_of(i)])
    resumed.flush()
    assert not left_over[0].exists()
    whole = RegionStore(tmp_path)
    whole.verify()
    assert whole.mined(1) == {*range(40), 100}
    masks = whole.mask(range(40))
    assert (masks == [mask_of(i) for i in range(40)]).all()


WRITES_WITHOUT_END = """
import sys
from keras_xmap.regions import RegionStore
from regions.test_region_store_files import mask_of

store = RegionStore(sys.argv[1], shard_size=3)
for i in range(10**6):
    store.add([i], [i % 2], 1, [mask_of(i)])
    if i % 3 == 2:
        store.flush()
        print(i, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_all_that_was_flushed_is_there(tmp_path):
    rng = np.random.default_rng(0)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_WITHOUT_END, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    for _ in range(int(rng.integers(20, 60))):
        flushed = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    if rest:
        flushed = int(rest[-1])
    store = RegionStore(tmp_path)
    store.verify()
    mined = store.mined(1)
    assert mined >= set(range(flushed + 1))
    assert len(mined) <= flushed + 4
    for i in mined:
        assert (store.region(i) == mask_of(i)).all()


def test_a_missing_shard_is_missing_and_not_damaged(tmp_path):
    """Another worker has discarded it since this one looked."""
    filled(tmp_path, range(3)).flush()
    store = RegionStore(tmp_path)
    (path,) = shards(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        store.mask([1])
    with pytest.raises(FileNotFoundError):
        Shard(path)
    store.refresh()
    assert not store.mask([1], size=(9, 13)).any()


@pytest.mark.tensorflow
def test_a_directory_may_lie_behind_a_scheme(tmp_path):
    store = filled(f"file://{tmp_path}", range(5), shard_size=2)
    store.flush()
    assert len(shards(tmp_path)) == 3
    again = RegionStore(f"file://{tmp_path}")
    assert (again.mask(range(5)) == [mask_of(i) for i in range(5)]).all()
    again.verify()
    again.discard(1)
    assert shards(tmp_path) == []
