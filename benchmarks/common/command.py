"""The command line of a benchmark, the same for all of them.

    python -m benchmarks.NAME [--parts ...] [--data DIR] [--smoke]

A part is a function of a folder of photos, the arguments, and a function that
keeps a title and its rows.
"""

import argparse
import contextlib
import os
import shlex
import sys
import tempfile

from benchmarks.common import made_folder
from benchmarks.common.photos import VARIABLE
from benchmarks.common.photos import Folder
from benchmarks.common.results import Results


def make_parser(description, parts):
    """Returns a parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="a run of seconds through all of the code, that keeps nothing; "
        "on photos made for it where no folder is named",
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=parts,
        help="defaults to all, or all that need no photos if there are none",
    )
    parser.add_argument(
        "--data",
        default=os.environ.get(VARIABLE),
        help="folder of photos, described in benchmarks/common/photos.py; "
        f"defaults to the environment variable {VARIABLE}",
    )
    parser.add_argument(
        "--photos",
        type=int,
        help="about so many of each set: a trial, that writes no file",
    )
    return parser


def run(
    package,
    parser,
    parts,
    argv=None,
    photos=(),
    smoke=None,
    keep=None,
    fixed=(),
):
    """Runs the parts of a benchmark that were asked for.

    Args:
        package: String, `__package__` of the caller.
        parser: What `make_parser` returned, with further options.
        parts: Dictionary from names to functions.
        argv: List of strings, or `None` for those of the process.
        photos: Names of the parts that need the folder of photos.
        smoke: Dictionary of what arguments are under `--smoke`.
        keep: See `Results`.
        fixed: Names of options of which another value makes a trial.

    Returns:
        Dictionary from parts to their figures.
    """
    arguments = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        scratch = None
        if arguments.smoke:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            vars(arguments).update(smoke or {})
            if set(photos) & set(arguments.parts or parts):
                arguments.data = arguments.data or made_folder.write(scratch)
        chosen = _chosen(parser, arguments, parts, photos)
        folder = None
        if set(photos) & set(chosen):
            folder = Folder(arguments.data, arguments.photos)
        results = Results(
            package.rpartition(".")[2],
            _command(package, argv),
            scratch,
            not arguments.smoke and _is_trial(parser, arguments, fixed),
            keep,
        )
        for part in chosen:
            print(part, flush=True)
            parts[part](folder, arguments, results.of(part))
    return results.figures()


def _chosen(parser, arguments, parts, photos):
    """Returns the parts to run, which are not those that lack their photos."""
    chosen = list(arguments.parts or parts)
    lacking = [] if arguments.data else [x for x in chosen if x in photos]
    if lacking and arguments.parts:
        parser.error(f"{lacking} need photos: name --data, or set {VARIABLE}.")
    if lacking:
        print(f"Left out, since {VARIABLE} is not set: {', '.join(lacking)}")
    return [part for part in chosen if part not in lacking]


def _is_trial(parser, arguments, fixed):
    return any(
        getattr(arguments, name) != parser.get_default(name)
        for name in ("photos", *fixed)
    )


def _command(package, argv):
    """How the benchmark was called, without where the photos are."""
    words = list(sys.argv[1:] if argv is None else argv)
    for number, word in enumerate(words):
        if word == "--data":
            words[number + 1] = "DIR"
        elif word.startswith("--data="):
            words[number] = "--data=DIR"
    return shlex.join(["python", "-m", package, *words])
