"""Files that are either whole or not there, local or remote.

Local paths are Python's own business. Paths with a scheme (`gs://`, `s3://`)
go through `tf.io.gfile`, which needs TensorFlow. Both fail as Python's files
do, with an `OSError`: `FileNotFoundError` where a file or its folder is
missing.

Local filesystems rename in one step. Object stores do not: there a rename is
a copy and a deletion, and what makes `write_atomically` safe is that they show
an object only once it is whole; a run that is killed between the two leaves a
`.tmp` file beside it. Whoever reads should still hold the content against a
checksum, as `checksum` computes it.
"""

import contextlib
import errno
import io
import os
import pathlib
import re
import uuid
import zlib

# What `pathlib` leaves of `gs://`; one letter is a drive of Windows.
_COLLAPSED = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def check_path(name, value):
    """Returns the path `value` as text, local or with its scheme."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"`{name}` must be a path. Received: {name}={value!r}.")
    path = os.fspath(value)
    # An unset variable of a shell is empty; NUL ends a path in C.
    if not path or not isinstance(path, str) or not _can_be_named(path):
        raise ValueError(
            f"`{name}` must be a path of text, not empty. Received: "
            f"{name}={value!r}."
        )
    if not isinstance(value, str) and _COLLAPSED.match(path):
        raise ValueError(
            f"`{name}` must be text if it has a scheme: `pathlib` makes one "
            f"slash of two. Received: {name}={value!r}."
        )
    return path


def _can_be_named(path):
    """Returns whether the system has bytes for the text of a path."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeError:
        return False


def leads_out(name):
    """Returns whether the path of a file in a folder leads out of it.

    Also if it would on another system, whose files may be written elsewhere.
    """
    paths = pathlib.PurePosixPath(name), pathlib.PureWindowsPath(name)
    return "://" in name or any(x.anchor or ".." in x.parts for x in paths)


def file_exists(path):
    """Returns whether a file or folder stands at `path`."""
    path = os.fspath(path)
    if _is_remote(path):
        with _gfile(path) as gfile:
            return gfile.exists(path)
    return os.path.exists(path)


def is_directory(path):
    """Returns whether a folder stands at `path`."""
    path = os.fspath(path)
    if _is_remote(path):
        with _gfile(path) as gfile:
            return gfile.isdir(path)
    return os.path.isdir(path)


def make_directory(path):
    """Makes the folder `path` and those above it, where they are missing."""
    path = os.fspath(path)
    if _is_remote(path):
        with _gfile(path) as gfile:
            gfile.makedirs(path)
        return
    try:
        os.makedirs(path, exist_ok=True)
    except RecursionError as error:
        # Python makes the folders above one by the other.
        reason = os.strerror(errno.ENAMETOOLONG)
        raise OSError(errno.ENAMETOOLONG, reason, path) from error


def list_files(directory, prefix="", suffix=""):
    """Returns the sorted names in a folder; none if there is no folder."""
    directory = os.fspath(directory)
    names = []
    with contextlib.suppress(FileNotFoundError):
        if _is_remote(directory):
            with _gfile(directory) as gfile:
                names = gfile.listdir(directory)
        else:
            names = os.listdir(directory)
    return sorted(
        name
        for name in names
        if name.startswith(prefix) and name.endswith(suffix)
    )


def delete_file(path):
    """Deletes the file at `path`; nothing happens where there is none."""
    path = os.fspath(path)
    with contextlib.suppress(FileNotFoundError):
        if _is_remote(path):
            with _gfile(path) as gfile:
                gfile.remove(path)
        else:
            os.remove(path)


def open_file(path):
    """Opens the file at `path` for reading bytes, from any position.

    It answers as Python's own files do, whom libraries expect: past its end
    there is nothing to read, and no error of TensorFlow.
    """
    path = os.fspath(path)
    return _RemoteFile(path) if _is_remote(path) else open(path, "rb")


def read_file(path):
    """Returns the bytes of the file at `path`."""
    with open_file(path) as file:
        return file.read()


def checksum(content, before=0):
    """Returns the CRC-32 of bytes as an integer: damage shows in it.

    `before` is that of the bytes in front of them.
    """
    return zlib.crc32(content, before)


def write_atomically(path, content):
    """Writes the bytes `content` to `path`: all of them, or none.

    They go to a new name beside `path`, which is then renamed: a reader, or
    a run that is killed, never leaves half a file under the real name.
    """
    path = os.fspath(path)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        if _is_remote(path):
            with _gfile(path) as gfile:
                with gfile.GFile(temporary, "wb") as file:
                    file.write(content)
                gfile.rename(temporary, path, overwrite=True)
        else:
            with open(temporary, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
    except BaseException:
        # What went wrong is worth more than what is left over.
        with contextlib.suppress(OSError):
            delete_file(temporary)
        raise


def _is_remote(path):
    return "://" in path


@contextlib.contextmanager
def _gfile(path):
    """Gives `tf.io.gfile`, and its errors as those of Python's files."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, str(error), path) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, str(error), path) from error


class _RemoteFile(io.RawIOBase):
    def __init__(self, path):
        super().__init__()
        self._path = path
        self._position = 0
        with _gfile(path) as gfile:
            self._file = gfile.GFile(path, "rb")
            self._size = self._file.size()

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._position

    def seek(self, offset, whence=os.SEEK_SET):
        start = {os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        position = start.get(whence, 0) + offset
        if position < 0:
            raise ValueError(
                f"`offset` must not lead before the file. Received: {offset=}."
            )
        self._position = position
        return position

    def readinto(self, buffer):
        count = min(len(buffer), max(self._size - self._position, 0))
        if not count:
            return 0
        with _gfile(self._path):
            self._file.seek(self._position)
            content = self._file.read(count)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self):
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()
