import os
import subprocess
import sys

import pytest
import tensorflow as tf

from keras_xmap._files import checksum
from keras_xmap._files import delete_file
from keras_xmap._files import file_exists
from keras_xmap._files import list_files
from keras_xmap._files import make_directory
from keras_xmap._files import open_file
from keras_xmap._files import read_file
from keras_xmap._files import write_atomically

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("content", [b"", b"evidence", bytes(range(256)) * 9])
def test_the_file_holds_the_bytes(tmp_path, content):
    path = tmp_path / "file"
    write_atomically(path, content)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_an_existing_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"something much longer than what comes")
    write_atomically(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_relative_path_is_written_where_the_process_stands(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_atomically("file", b"here")
    assert (tmp_path / "file").read_bytes() == b"here"


def test_content_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(path, object())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_folder_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(tf.errors.NotFoundError):
        write_atomically(tmp_path / "missing" / "file", b"new")
    assert os.listdir(tmp_path) == []


def test_a_failing_rename_leaves_the_old_content_and_no_second_file(tmp_path):
    """A folder stands at the path, and cannot be replaced by a file."""
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(tf.errors.OpError):
        write_atomically(path, b"new")
    assert os.listdir(tmp_path) == ["folder"]


KILLED = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from keras_xmap._files import write_atomically

rename, write = tf.io.gfile.rename, tf.io.gfile.GFile.write


def die_in_write(file, content):
    write(file, content[: len(content) // 2])
    file.flush()
    os._exit(7)


def die_before_rename(*args, **kwargs):
    os._exit(7)


def die_after_rename(*args, **kwargs):
    rename(*args, **kwargs)
    os._exit(7)


for moment in ("write", "before", "after"):
    child = os.fork()  # so that TensorFlow is imported once
    if child == 0:
        if moment == "write":
            tf.io.gfile.GFile.write = die_in_write
        else:
            tf.io.gfile.rename = globals()[f"die_{moment}_rename"]
        write_atomically(os.path.join(sys.argv[1], moment), b"new" * 100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def test_a_killed_process_leaves_the_old_content_or_the_new(tmp_path):
    moments = ("write", "before", "after")
    for moment in moments:
        (tmp_path / moment).write_bytes(b"old" * 200)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = {moment: (tmp_path / moment).read_bytes() for moment in moments}
    assert found["write"] == found["before"] == b"old" * 200
    assert found["after"] == b"new" * 100
    # What is left over does not stand in the way of the next attempt.
    write_atomically(tmp_path / "write", b"next")
    assert (tmp_path / "write").read_bytes() == b"next"


def test_folders_are_made_with_those_above_and_may_exist(tmp_path):
    path = tmp_path / "a" / "b"
    assert not file_exists(path)
    make_directory(path)
    make_directory(path)
    assert path.is_dir()
    assert file_exists(path)
    assert not file_exists(path / "file")
    write_atomically(path / "file", b"")
    assert file_exists(path / "file")


def test_files_are_listed_by_prefix_and_suffix_and_deleted(tmp_path):
    assert list_files(tmp_path / "missing") == []
    for name in ("b.npz", "a.npz", "a.tmp"):
        write_atomically(tmp_path / name, b"")
    assert list_files(tmp_path) == ["a.npz", "a.tmp", "b.npz"]
    assert list_files(tmp_path, "a") == ["a.npz", "a.tmp"]
    assert list_files(tmp_path, suffix=".npz") == ["a.npz", "b.npz"]
    delete_file(tmp_path / "a.npz")
    delete_file(tmp_path / "a.npz")
    assert list_files(tmp_path, "a", ".npz") == []


def test_an_open_file_answers_as_one_of_python(tmp_path):
    path = tmp_path / "file"
    content = bytes(range(200))
    write_atomically(path, content)
    assert read_file(path) == content
    with open_file(path) as file, open(path, "rb") as expected:
        assert file.seekable() and file.readable()
        for one in (file, expected):
            assert one.read(3) == content[:3]
            assert one.tell() == 3
            assert one.seek(-5, os.SEEK_END) == 195
            assert one.read() == content[195:]
            assert one.seek(500) == 500
            assert one.read(4) == b""
            assert one.seek(10) == 10
            assert one.seek(5, os.SEEK_CUR) == 15
            assert one.read(1) == content[15:16]
            with pytest.raises((ValueError, OSError)):
                one.seek(-500, os.SEEK_END)
    with pytest.raises(tf.errors.NotFoundError):
        open_file(tmp_path / "missing")


def test_the_checksum_is_crc_32():
    assert checksum(b"123456789") == 0xCBF43926  # its published check value
    assert checksum(b"") == 0
