"""Parts of a long run, kept so that it can be stopped and go on."""

import re

import numpy as np

from benchmarks.common.results import ROOT


def kept(name, make, arguments):
    """Returns what `make` returns, or has returned in an earlier run.

    It is kept in `build/benchmarks`, in a folder named for the benchmark.

    Args:
        name: Tuple: the benchmark's name, and all that the result depends on
            but the code: where that has changed, remove `build`.
        make: Function without arguments that returns a dictionary of arrays.
        arguments: Those of the command; of a smoke run nothing is kept.
    """
    if arguments.smoke:
        return make()
    folder, *words = map(str, name)
    words = re.sub("[^a-z0-9.]+", "-", " ".join(words).lower())
    file = ROOT / "build" / "benchmarks" / folder / f"{words}.npz"
    if not file.exists():
        made = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **made)
    with np.load(file) as found:
        return dict(found)
