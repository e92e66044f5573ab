"""What an explanation costs beside the bare passes that it needs.

`explainers`  every explainer, tf-keras-vis and xplique beside it;
`engine`      Grad-CAM and saliency closer: the time to trace, several classes
              at once, `explain`, and memory over many calls.

    python -m benchmarks.costs [--parts ...] [--repeats 10]

xplique chooses a TensorFlow of its own, so that it wants an environment of its
own: `pip install -e . tf-keras-vis xplique`.
"""

from benchmarks.common import command
from benchmarks.common.networks import BUILDERS
from benchmarks.common.networks import SIZE
from benchmarks.costs.engine import engine
from benchmarks.costs.explainers import ROWS
from benchmarks.costs.explainers import explainers

PARTS = {"explainers": explainers, "engine": engine}
SMOKE = {
    "repeats": 2,
    "size": 32,
    "networks": ["VGG-like"],
    "only": ["GradCAM", "Saliency, 5 classes"],
    "calls": 5,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--repeats", type=int, help="20 of engine, else 10")
    parser.add_argument("--size", type=int, default=SIZE, help="of images")
    parser.add_argument(
        "--networks", nargs="+", choices=BUILDERS, default=list(BUILDERS)
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=ROWS,
        default=list(ROWS),
        help="others stay",
    )
    parser.add_argument("--calls", type=int, default=200, help="for memory")
    return command.run(
        __package__, parser, PARTS, argv, smoke=SMOKE, fixed=["size", "calls"]
    )


if __name__ == "__main__":
    main()
