"""Runs all benchmarks, one after the other, each in a process of its own.

    python -m benchmarks [--smoke]

With all of their photos they take hours on two cores; `python -m
benchmarks.NAME --help` tells how to run less. Parts that need photos are left
out, and named, where KERAS_XMAP_BENCHMARK_DATA is not set.
"""

import subprocess
import sys

from benchmarks.common.results import ROOT


def names():
    """Returns the folders that hold a benchmark."""
    files = (ROOT / "benchmarks").glob("*/__main__.py")
    return sorted(file.parent.name for file in files)


def main(argv=None):
    arguments = sys.argv[1:] if argv is None else argv
    failed = []
    for name in names():
        print(f"\n==> {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
