"""What a run of an example has printed and drawn, kept in `docs/examples`."""

import base64
import hashlib
import importlib.metadata
import io
import json
import re
import typing

from docs.rendering.example import ROOT

FOLDER = ROOT / "docs" / "examples"
FILE = "run.json"
# A photo takes less as a JPEG, a drawing as a PNG.
_LARGEST_PNG = 100_000


class Record(typing.NamedTuple):
    """A run: of which code, at which size, on what, what came of each cell."""

    name: str
    digest: str
    small: bool
    versions: dict
    cells: dict

    def of_cell(self, cell):
        """Returns what a cell left: pairs of `"text"` or `"picture"` and it."""
        return [tuple(pair) for pair in self.cells.get(cell.digest, [])]

    def outputs_of(self, cell):
        """Returns the same as outputs of a notebook."""
        from nbformat.v4 import new_output

        found = []
        for kind, value in self.of_cell(cell):
            if kind == "text":
                found.append(new_output("stream", text=f"{value}\n"))
                continue
            file = FOLDER / self.name / value
            kind = "image/png" if file.suffix == ".png" else "image/jpeg"
            data = base64.b64encode(file.read_bytes()).decode()
            found.append(new_output("display_data", data={kind: data}))
        return found


def digest_of(example):
    """Returns a digest of the code of an example, whatever its texts say."""
    text = "".join(cell.digest for cell in example.code)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_record(name):
    """Returns the `Record` of an example, or `None` where there is none."""
    file = FOLDER / name / FILE
    if not file.is_file():
        return None
    return Record(name, **json.loads(file.read_text("utf-8")))


def write_record(example, digest, small, notebook):
    """Writes what an executed notebook has left, in place of what was there.

    Args:
        example: The `Example` that ran.
        digest: Of the example at full size.
        small: Whether it ran at the size of `--smoke`.
        notebook: The notebook, executed.
    """
    folder = FOLDER / example.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    ran = [x for x in notebook.cells if x.cell_type == "code"]
    pictures = _Pictures(folder)
    found = {
        "digest": digest,
        "small": small,
        "versions": _versions(),
        "cells": {
            cell.digest: left
            for cell, made in zip(example.code, ran, strict=True)
            if (left := _left_by(made.outputs, pictures))
        },
    }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (folder / FILE).write_text(f"{text}\n", "utf-8")


def _left_by(outputs, pictures):
    """Returns what outputs print on stdout, show and return, in order."""
    left = []
    for output in outputs:
        data = output.get("data", {})
        image = data.get("image/png") or data.get("image/jpeg")
        if image:
            left.append(["picture", pictures.write(base64.b64decode(image))])
        elif output.output_type == "stream" and output.name == "stdout":
            # What is flushed in between comes in pieces.
            if left and left[-1][0] == "text":
                left[-1][1] += output.text
            else:
                left.append(["text", output.text])
        elif output.output_type == "execute_result":
            left.append(["text", data.get("text/plain", "")])
    seen = [(kind, _as_seen(x) if kind == "text" else x) for kind, x in left]
    return [(kind, x) for kind, x in seen if x]


def _as_seen(text):
    """Returns a text as a terminal shows it in the end, without colours."""
    text = re.sub("\x1b\\[[0-9;]*m", "", text)
    # Bars of progress go back over themselves.
    text = re.sub("[^\x08\n]*\x08+\r?|[^\r\n]*\r(?!\n)", "", text)
    text = re.sub(r"/tmp/tmp\w+", "/tmp/run", text)
    logged = re.compile("^(INFO|WARNING):tensorflow:.*\n?", re.MULTILINE)
    return logged.sub("", text).strip("\n")


class _Pictures:
    def __init__(self, folder):
        self.folder, self.count = folder, 0

    def write(self, data):
        """Writes a picture as the smaller of two formats; returns its name."""
        from PIL import Image

        self.count += 1
        image = Image.open(io.BytesIO(data))
        file = self.folder / f"picture-{self.count}.png"
        image.save(file, optimize=True)
        if file.stat().st_size > _LARGEST_PNG:
            file.unlink()
            file = file.with_suffix(".jpg")
            image.convert("RGB").save(file, quality=85)
        return file.name


def _versions():
    """Returns the versions of Keras and TensorFlow, whatever its package."""
    found = {}
    for package in ("keras", "tensorflow-cpu", "tensorflow"):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[package.removesuffix("-cpu")] = version
    return found
