"""What of a run is done, in its folder."""

import json
import os
import shutil

from keras_xmap import _files
from keras_xmap._run_files import check_same_run
from keras_xmap._run_files import content_of
from keras_xmap._run_files import decoded
from keras_xmap._run_files import encoded
from keras_xmap._run_files import lost
from keras_xmap._run_files import what_is_wrong

_STATE = "state.json"
_NAMES = {"run", "stages"}


class RunFolder:
    """A folder in which a run leaves what each of its stages has made.

    A stage that is done is known with the checksums of its files. What a
    stage that was broken off has left is whole, file by file, and is not made
    again.

    Args:
        directory: Path of the folder.
    """

    def __init__(self, directory):
        self.directory = _files.check_path("directory", directory)
        self._run, self._stages = None, {}

    def path(self, *names):
        """Returns the path of a file in the folder."""
        return os.path.join(self.directory, *names)

    def check_usable(self, num_bytes):
        """Raises unless a run can be begun here or gone on with.

        Args:
            num_bytes: Integer, what the run may take of the disk.
        """
        self._check_room(num_bytes)
        names = _files.list_files(self.directory)
        if names and _STATE not in names:
            raise ValueError(
                "`directory` must be empty, or of a run of this kind. "
                f"Received: directory={self.directory!r}, without {_STATE} "
                f"and with {', '.join(names[:3])}. Give another folder."
            )

    def open(self, run):
        """Begins a run, or goes on with the one in the folder.

        Args:
            run: Dictionary of what decides the results.
        """
        self._run, self._stages = json.loads(json.dumps(run)), {}
        if _files.file_exists(self.path(_STATE)):
            state = self._decoded()
            check_same_run(self.directory, state["run"], self._run)
            self._stages = state["stages"]
        self._check_files()
        self._write()

    def read(self, run):
        """Reads what is done of a run, without going on with it.

        Args:
            run: As of `open`; what its dictionaries lack may be anything.
        """
        if not _files.file_exists(self.path(_STATE)):
            raise ValueError(
                "`directory` must be that of a run. Received: directory="
                f"{self.directory!r}, without {_STATE}. Call `fit` first."
            )
        state, run = self._decoded(), json.loads(json.dumps(run))
        check_same_run(self.directory, _as_known(state["run"], run), run)
        self._stages = state["stages"]

    def is_done(self, stage):
        return stage in self._stages

    def files(self, stage):
        """Returns a dictionary, the checksums of the files of a stage."""
        return self._stages[stage]["files"]

    def logs(self):
        """Returns a dictionary, what each stage has logged."""
        return {name: stage["logs"] for name, stage in self._stages.items()}

    def finish(self, stage, files, logs):
        """Notes that a stage is done.

        Args:
            stage: Text, its name.
            files: List of the names of its files, relative to the folder.
            logs: Dictionary of numbers.
        """
        checksums = {name: self._checksum(name) for name in files}
        self._stages[stage] = {"files": checksums, "logs": logs}
        self._write()

    def _check_room(self, num_bytes):
        """Raises unless the folder can be written to, and has room."""
        probe = self.path("writable")
        try:
            _files.make_directory(self.directory)
            _files.write_atomically(probe, b"")
            _files.delete_file(probe)
        except OSError as error:
            raise ValueError(
                "`directory` must be a folder that can be written to. "
                f"Received: directory={self.directory!r}: {error}."
            ) from error
        if "://" in self.directory:
            return
        free = shutil.disk_usage(self.directory).free
        if free < num_bytes:
            raise ValueError(
                f"`directory` must have room for about {num_bytes:,} bytes. "
                f"Received: directory={self.directory!r}, on a disk with "
                f"{free:,} bytes left. Free some, or give a folder elsewhere."
            )

    def _check_files(self):
        wrong = [
            f"{self.path(name)} ({how})"
            for stage in self._stages.values()
            for name, known in stage["files"].items()
            for how in [what_is_wrong(known, self._checksum(name))]
            if how
        ]
        if wrong:
            more = [f"and {len(wrong) - 8} more"] if len(wrong) > 8 else []
            raise ValueError(lost([*wrong[:8], *more]))

    def _decoded(self):
        path = self.path(_STATE)
        return decoded(content_of(path), path, _NAMES)

    def _checksum(self, name):
        content = content_of(self.path(name))
        return None if content is None else _files.checksum(content)

    def _write(self):
        content = encoded({"run": self._run, "stages": self._stages})
        _files.write_atomically(self.path(_STATE), content)


def _as_known(kept, known):
    """Returns a dictionary, in it and those in it only what is known."""
    if not isinstance(kept, dict) or not isinstance(known, dict):
        return kept
    return {
        name: _as_known(value, known[name])
        for name, value in kept.items()
        if name in known
    }
