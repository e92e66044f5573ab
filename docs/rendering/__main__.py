"""Runs examples and keeps what they print and draw for their pages.

python -m docs.rendering              all that have changed since they ran
python -m docs.rendering 01 05        these
python -m docs.rendering 07 --set MODEL=network.keras
python -m docs.rendering --check      says which have changed; runs none
python -m docs.rendering --notebooks build/notebooks
"""

import argparse
import pathlib
import sys
import tempfile
import time

import nbformat

from docs.rendering.example import paths
from docs.rendering.example import read_example
from docs.rendering.notebook import executed
from docs.rendering.notebook import notebook_of
from docs.rendering.record import digest_of
from docs.rendering.record import read_record
from docs.rendering.record import write_record


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("numbers", nargs="*", help="such as 01; default: all")
    parser.add_argument("--small", action="store_true", help="as by --smoke")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=TEXT")
    parser.add_argument("--check", action="store_true", help="run none")
    parser.add_argument("--notebooks", help="folder for notebooks; run none")
    arguments = parser.parse_args(argv)
    chosen = [
        path
        for path in paths()
        if not arguments.numbers or path.name[:2] in arguments.numbers
    ]
    if not chosen:
        parser.error(f"No example has one of the numbers {arguments.numbers}.")
    if arguments.notebooks:
        return write_notebooks(chosen, pathlib.Path(arguments.notebooks))
    settings = dict(x.split("=", 1) for x in arguments.set)
    changed = [x for x in chosen if arguments.numbers or has_changed(x)]
    for path in changed:
        if arguments.check:
            print(f"{path.name} has changed since it ran at its full size.")
        else:
            run(path, arguments.small, settings)
    return bool(arguments.check and changed)


def has_changed(path):
    record = read_record(path.stem)
    if record is None or record.small:
        return True
    return record.digest != digest_of(read_example(path))


def run(path, small=False, settings=None):
    """Runs an example and writes what it leaves."""
    print(f"{path.name} ...", end=" ", flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        example, notebook = executed(path, folder, small, settings)
    seconds = time.perf_counter() - start
    digest = digest_of(read_example(path))
    write_record(example, digest, small, notebook)
    print(f"{seconds:.0f} s")


def write_notebooks(chosen, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for path in chosen:
        notebook = notebook_of(read_example(path), read_record(path.stem))
        nbformat.write(notebook, folder / f"{path.stem}.ipynb")


if __name__ == "__main__":
    sys.exit(main())
