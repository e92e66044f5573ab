"""The files of a store: what was found as records, many to a shard.

A shard holds regions of one round. It is an uncompressed `.npz` archive that
`numpy.load` reads: one row a region in each of

- `image_ids` (int64, uint64 where they are above it, or text in UTF-8),
  `class_ids` (int64), `sizes` (height, width) and `checksums` (CRC-32 of the
  record);
- `offsets`, one row more: region `i` is `bits[offsets[i]:offsets[i + 1]]`,
  which is `zlib.compress(numpy.packbits(mask))`, and nothing for no pixels;

beside the scalar `round`. Records of a `MapStore` are what `encode_maps`
returns, its rounds and classes 0. They are compressed one by one, so that one
can be read without the others; a blob of a map of 320 x 320 takes some 400
bytes instead of 12800.
"""

import errno
import io
import os
import struct
import uuid
import zipfile

import numpy as np

from keras_xmap._files import checksum
from keras_xmap._files import delete_file
from keras_xmap._files import list_files
from keras_xmap._files import make_directory
from keras_xmap._files import open_file
from keras_xmap._files import write_atomically
from keras_xmap.regions._ids import is_unsigned

_COLUMNS = ("image_ids", "class_ids", "sizes", "checksums", "offsets")
# What zipfile and NumPy raise for an archive with wrong bytes.
_DAMAGE = (
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    OverflowError,
    zipfile.BadZipFile,
)
# It leads to a place in front of the file, or there is a folder.
_NO_ARCHIVE = (errno.EINVAL, errno.EISDIR)
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a member of a zip archive


class ShardError(ValueError):
    """Shards do not hold what was written to them; `damaged` says where."""

    def __init__(self, damaged):
        super().__init__(
            "A store must be as it was written. Received damaged files: "
            f"{'; '.join(damaged)}. Delete these files, and add what was in "
            "them again."
        )
        self.damaged = damaged


class Shard:
    """The regions in one file, which never changes once it is there.

    The columns are read at once, records when they are asked for.
    """

    def __init__(self, path):
        self.path = path
        try:
            with open_file(path) as file, zipfile.ZipFile(file) as archive:
                self.round_id = int(_read_array(archive, "round"))
                for name in _COLUMNS:
                    setattr(self, name, _read_array(archive, name))
                self._start = self._find_bits(file, archive)
            if self.image_ids.dtype.kind == "S":
                self.image_ids = np.char.decode(self.image_ids, "utf-8")
            self._check_columns()
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_ARCHIVE:
                raise
            raise ShardError([f"{path} ({error})"]) from error

    def __len__(self):
        return len(self.class_ids)

    def checksum(self):
        """Returns the CRC-32 of the columns, with those of all records."""
        columns = (getattr(self, name).tobytes() for name in _COLUMNS)
        return checksum(b"".join([str(self.round_id).encode(), *columns]))

    def record(self, row, file):
        """Returns one record, read from `file` as `open_file` gave it."""
        first, last = (int(x) for x in self.offsets[row : row + 2])
        if first == last:
            return b""
        file.seek(self._start + first)
        record = file.read(last - first)
        if checksum(record) != int(self.checksums[row]):
            raise ShardError(
                [
                    f"{self.path} (wrong checksum of image "
                    f"{self.image_ids[row]}, class {self.class_ids[row]})"
                ]
            )
        return record

    def _check_columns(self):
        """Raises for columns that no version of this package has written."""
        kinds = {
            name: getattr(self, name).dtype.kind
            for name in ("image_ids", "class_ids")
        }
        if kinds["image_ids"] not in "iuU" or kinds["class_ids"] not in "iu":
            raise ValueError(
                "ids must be integers or text, and classes integers. "
                f"Received: {kinds}"
            )

    def _find_bits(self, file, archive):
        member = archive.getinfo("bits.npy")
        file.seek(member.header_offset)
        lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        # The records end the member, after a header that NumPy wrote.
        end = member.header_offset + _LOCAL_HEADER.size + sum(lengths)
        end += member.file_size
        return end - int(self.offsets[-1])


class ShardFolder:
    """The folder of a store, to which each worker writes shards of its own.

    Args:
        path: Path of the folder, made when it is first written to.
        worker: Integer >= 0, the number of this process.
        kind: Text, how the names of its files begin. Defaults to `"regions"`.
    """

    def __init__(self, path, worker, kind="regions"):
        self._path = path
        self._kind = kind
        self._worker = worker
        self._cleaned = False

    def names(self):
        """Returns the sorted names of the shards of all workers."""
        return list_files(self._path, f"{self._kind}-", ".npz")

    def read(self, name):
        """Returns the `Shard` of this name, or `None` if it is gone by now."""
        path = os.path.join(self._path, name)
        try:
            return Shard(path)
        except FileNotFoundError as error:
            if name in self.names():
                raise ShardError([f"{path} (a link to nowhere)"]) from error
            return None

    def new_name(self, round_id):
        """Returns a name that no other shard has."""
        unique = uuid.uuid4().hex
        return f"{self._kind}-{round_id:04d}-{self._worker:05d}-{unique}.npz"

    def write(self, name, round_id, rows):
        """Writes regions of a round to the shard of this name."""
        make_directory(self._path)
        self._clean()
        write_atomically(os.path.join(self._path, name), encode(round_id, rows))

    def delete(self, name):
        delete_file(os.path.join(self._path, name))

    def _clean(self):
        """Deletes what this worker left over when it was killed."""
        if self._cleaned:
            return
        for name in list_files(self._path, f"{self._kind}-", ".tmp"):
            if name.split("-")[2:3] == [f"{self._worker:05d}"]:
                self.delete(name)
        self._cleaned = True


def encode(round_id, rows):
    """Returns the bytes of a shard.

    Args:
        round_id: Integer, the round of all regions.
        rows: List of `(image_id, size, class_id, record)`, whose ids are all
            text, all of int64, or all above it.
    """
    image_ids, sizes, class_ids, records = zip(*rows, strict=True)
    if isinstance(image_ids[0], str):
        image_ids = np.char.encode(np.asarray(image_ids), "utf-8")
    else:
        dtype = "uint64" if is_unsigned(image_ids[0]) else "int64"
        image_ids = np.asarray(image_ids, dtype)
    lengths = [len(record) for record in records]
    arrays = {
        "round": np.asarray(round_id, "int64"),
        "image_ids": image_ids,
        "class_ids": np.asarray(class_ids, "int64"),
        "sizes": np.asarray(sizes, "int32"),
        "checksums": np.asarray([checksum(r) for r in records], "uint32"),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype("int64"),
        "bits": np.frombuffer(b"".join(records), "uint8"),
    }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _read_array(archive, name):
    with archive.open(f"{name}.npy") as member:
        return np.lib.format.read_array(member)
