"""Results of benchmarks, kept in one style.

`benchmarks/NAME/results.json` holds what the documentation quotes, for each
part of a benchmark, since parts can be run alone:

    {"PART": {"command": ..., "date": ..., "device": ..., "versions": ...,
              "figures": {TITLE: {ROW: FIGURES}}}}

All that was measured goes to `build/benchmarks/NAME.json`, which is not kept
with the source.
"""

import datetime
import json
import os
import pathlib
import platform

import keras
import numpy as np
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]


class Results:
    """What a benchmark has measured.

    Args:
        name: String, the benchmark's folder.
        command: String, how it was called.
        folder: Folder to write to instead of the two above.
        trial: Boolean: whether no file is read or written.
        keep: Dictionary from parts to functions of a title and its rows that
            return the rows that are to be quoted. Defaults to all of them.
    """

    def __init__(self, name, command, folder=None, trial=False, keep=None):
        self.command = command
        self.trial = trial
        self.keep = keep or {}
        self.file = pathlib.Path(folder or path_of(name).parent, "results.json")
        raw = pathlib.Path(folder or ROOT / "build" / "benchmarks")
        self.raw_file = raw / f"{name}.json"
        self.parts = {} if trial else read(self.file)
        self.raw = {} if trial else read(self.raw_file)

    def of(self, part):
        """Returns a function that takes a title of a part, and its rows.

        Rows of the same title that were measured before stay.
        """

        def save(title, rows):
            keep = self.keep.get(part, lambda title, rows: rows)
            entry = self.parts.setdefault(part, {})
            figures = entry.pop("figures", {})
            entry.update(self.circumstances(), figures=figures)
            figures.setdefault(title, {}).update(keep(title, rows))
            of_part = self.raw.setdefault(part, {})
            of_part.setdefault(title, {}).update(rows)
            if not self.trial:
                write(self.file, self.parts)
                write(self.raw_file, self.raw)

        return save

    def circumstances(self):
        return {
            "command": self.command,
            "date": datetime.date.today().isoformat(),
            "device": device(),
            "versions": versions(),
        }

    def figures(self):
        """Returns a dictionary from parts to their figures."""
        return {part: entry["figures"] for part, entry in self.parts.items()}


def path_of(name):
    return ROOT / "benchmarks" / name / "results.json"


def figures_of(name):
    """Returns what is kept of a benchmark: a dictionary from parts."""
    return {
        part: entry["figures"] for part, entry in read(path_of(name)).items()
    }


def read(path):
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(content) + "\n", "utf-8")


def as_json(value, indent=0, width=180):
    """Formats a value, of which what fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or indent + len(line) <= width:
        return line
    inner, space = indent + 1, " " * (indent + 1)
    if isinstance(value, dict):
        parts = [
            f"{space}{json.dumps(key, ensure_ascii=False)}: "
            f"{as_json(item, inner, width)}"
            for key, item in value.items()
        ]
        opening, closing = "{}"
    else:
        parts = [space + as_json(item, inner, width) for item in value]
        opening, closing = "[]"
    body = ",\n".join(parts)
    return f"{opening}\n{body}\n{' ' * indent}{closing}"


def device():
    found = [
        tf.config.experimental.get_device_details(gpu).get("device_name")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {"names": found or ["CPU"], "cores": os.cpu_count()}


def versions():
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
