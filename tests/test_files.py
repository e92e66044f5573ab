"""Files by the same functions, on this machine and behind a scheme."""

import errno
import os
import pathlib
import subprocess
import sys
import uuid

import pytest

from keras_xmap._files import check_path
from keras_xmap._files import checksum
from keras_xmap._files import delete_file
from keras_xmap._files import file_exists
from keras_xmap._files import leads_out
from keras_xmap._files import list_files
from keras_xmap._files import make_directory
from keras_xmap._files import open_file
from keras_xmap._files import read_file
from keras_xmap._files import write_atomically

remote = pytest.mark.tensorflow


@pytest.fixture(
    params=[
        "local",
        pytest.param("file", marks=remote),
        pytest.param("ram", marks=remote),
    ]
)
def folder(request, tmp_path):
    """Path of an empty folder: local, or one that `tf.io.gfile` reaches."""
    if request.param == "local":
        return str(tmp_path)
    if request.param == "file":
        return f"file://{tmp_path}"
    path = f"ram://{uuid.uuid4().hex}"
    make_directory(path)
    return path


@pytest.mark.parametrize("content", [b"", b"evidence", bytes(range(256)) * 9])
def test_the_file_holds_the_bytes(folder, content):
    path = f"{folder}/file"
    write_atomically(path, content)
    assert read_file(path) == content
    assert list_files(folder) == ["file"]


def test_an_existing_file_is_replaced_whole(folder):
    path = f"{folder}/file"
    write_atomically(path, b"something much longer than what comes")
    write_atomically(path, b"new")
    assert read_file(path) == b"new"
    assert list_files(folder) == ["file"]


def test_paths_are_checked_and_become_text(tmp_path):
    assert check_path("directory", tmp_path) == str(tmp_path)
    assert check_path("directory", "gs://bucket/a") == "gs://bucket/a"
    with pytest.raises(TypeError, match="Received: directory=3"):
        check_path("directory", 3)
    with pytest.raises(ValueError, match="Received: directory=PosixPath"):
        check_path("directory", pathlib.PosixPath("gs://bucket/a"))
    for text in ("", "a\0b", "a\ud800"):
        with pytest.raises(ValueError, match="Received: directory='"):
            check_path("directory", text)


def test_a_path_may_be_an_object(tmp_path):
    write_atomically(tmp_path / "file", b"evidence")
    assert (tmp_path / "file").read_bytes() == b"evidence"
    assert read_file(tmp_path / "file") == b"evidence"


def test_a_relative_path_is_written_where_the_process_stands(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_atomically("file", b"here")
    assert (tmp_path / "file").read_bytes() == b"here"


def test_content_that_cannot_be_written_leaves_the_old_file(folder):
    path = f"{folder}/file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, object())
    assert read_file(path) == b"old"
    assert list_files(folder) == ["file"]


@pytest.mark.parametrize("scheme", ["", pytest.param("file://", marks=remote)])
def test_a_missing_folder_is_an_error_and_leaves_nothing(tmp_path, scheme):
    path = f"{scheme}{tmp_path}/missing/file"
    with pytest.raises(FileNotFoundError, match="missing/file"):
        write_atomically(path, b"new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("scheme", ["", pytest.param("file://", marks=remote)])
def test_a_failing_rename_leaves_the_old_content_and_no_second_file(
    tmp_path, scheme
):
    """A folder stands at the path, and cannot be replaced by a file."""
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError):
        write_atomically(f"{scheme}{tmp_path}/folder", b"new")
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == ["inside"]


def test_what_is_missing_cannot_be_read(folder):
    for use in (open_file, read_file):
        with pytest.raises(FileNotFoundError, match="missing"):
            use(f"{folder}/missing")


KILLED = """
import builtins, os, sys
from keras_xmap._files import write_atomically

rename, opened = os.replace, open


def die_in_write(path, mode="r"):
    file = opened(path, mode)
    write = file.write

    class Dying:
        __enter__ = lambda self: self
        __exit__ = lambda self, *error: file.close()

        def write(self, content):
            write(content[: len(content) // 2])
            file.flush()
            os._exit(7)

    return Dying()


def die_before_rename(*args):
    os._exit(7)


def die_after_rename(*args):
    rename(*args)
    os._exit(7)


for moment in ("write", "before", "after"):
    child = os.fork()
    if child == 0:
        if moment == "write":
            builtins.open = die_in_write
        else:
            os.replace = globals()[f"die_{moment}_rename"]
        write_atomically(os.path.join(sys.argv[1], moment), b"new" * 100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""

KILLED_REMOTE = """
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
        write_atomically(f"file://{sys.argv[1]}/{moment}", b"new" * 100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "code", [KILLED, pytest.param(KILLED_REMOTE, marks=remote)]
)
def test_a_killed_process_leaves_the_old_content_or_the_new(tmp_path, code):
    moments = ("write", "before", "after")
    for moment in moments:
        (tmp_path / moment).write_bytes(b"old" * 200)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = {moment: (tmp_path / moment).read_bytes() for moment in moments}
    assert found["write"] == found["before"] == b"old" * 200
    assert found["after"] == b"new" * 100
    # Half a file stands beside each of those that were not renamed.
    assert len(list_files(tmp_path, suffix=".tmp")) == 2
    # What is left over does not stand in the way of the next attempt.
    write_atomically(tmp_path / "write", b"next")
    assert (tmp_path / "write").read_bytes() == b"next"


def test_local_files_need_no_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    path = tmp_path / "a" / "b"
    make_directory(path)
    write_atomically(path / "file", b"evidence")
    delete_file(path / "none")
    assert list_files(path) == ["file"] and file_exists(path)
    assert read_file(path / "file") == b"evidence"
    with pytest.raises(ImportError):
        read_file("gs://bucket/file")


def test_folders_are_made_with_those_above_and_may_exist(folder):
    path = f"{folder}/a/b"
    assert not file_exists(path)
    make_directory(path)
    make_directory(path)
    assert file_exists(path)
    assert not file_exists(f"{path}/file")
    write_atomically(f"{path}/file", b"")
    assert file_exists(f"{path}/file")
    assert list_files(f"{folder}/a") == ["b"]


def test_folders_without_end_are_told_as_too_long_a_name(tmp_path):
    with pytest.raises(OSError, match="[Nn]ame too long") as caught:
        make_directory(tmp_path / ("d/" * 2500))
    assert caught.value.errno == errno.ENAMETOOLONG
    assert not list(tmp_path.iterdir())


def test_what_leads_out_of_a_folder_is_known_on_every_system():
    for name in ("a", "a/b", "a..b", "a/b..", ".a", "12"):
        assert not leads_out(name), name
    for name in ("..", "a/../b", "/a", "..\\a", "C:a", "C:\\a", "gs://b/a"):
        assert leads_out(name), name


def test_files_are_listed_by_prefix_and_suffix_and_deleted(folder):
    assert list_files(f"{folder}/missing") == []
    for name in ("b.npz", "a.npz", "a.tmp"):
        write_atomically(f"{folder}/{name}", b"")
    assert list_files(folder) == ["a.npz", "a.tmp", "b.npz"]
    assert list_files(folder, "a") == ["a.npz", "a.tmp"]
    assert list_files(folder, suffix=".npz") == ["a.npz", "b.npz"]
    delete_file(f"{folder}/a.npz")
    delete_file(f"{folder}/a.npz")
    assert list_files(folder, "a", ".npz") == []


def test_an_open_file_answers_as_one_of_python(folder, tmp_path):
    path = f"{folder}/file"
    content = bytes(range(200))
    write_atomically(path, content)
    (tmp_path / "expected").write_bytes(content)
    with open_file(path) as file, open(tmp_path / "expected", "rb") as expected:
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
    assert file.closed


def test_the_checksum_is_crc_32():
    assert checksum(b"123456789") == 0xCBF43926  # its published check value
    assert checksum(b"") == 0
