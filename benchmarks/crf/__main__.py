"""The dense CRF: how long it takes, and how near it is to the exact sum.

`training`   a loss step over `layers.DenseCRF` at the size of SEC: 16 maps of
             41 x 41 of 21 classes, 10 iterations; the field as a constant,
             and with the gradient through it; also compiled by XLA;
`photo`      `segmentation.refine_with_crf` on one photo of 375 x 500 with 21
             and with 4 classes, and of 213 x 320 (the size of MSRC-21);
`agreement`  the labels of `refine_with_crf` against those of the exact sum
             over all pairs, `ops.mean_field`, at 120 x 160.

Photos ship with scikit-image. Probabilities are smooth noise that knows
nothing of the photo: the figures say how near an approximation is to the
field, never how much the field helps.

pydensecrf2 (C++) runs beside it where `--peer` names a Python that has it.

    python -m benchmarks.crf [--peer PYTHON] [--parts ...]
"""

from benchmarks.common import command
from benchmarks.crf.lattice import agreement
from benchmarks.crf.lattice import times
from benchmarks.crf.training import training

PARTS = {"training": training, "photo": times, "agreement": agreement}
SMOKE = {"repeats": 2, "small": True}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--peer", help="a Python that has pydensecrf2")
    parser.add_argument("--repeats", type=int, default=20)
    parser.set_defaults(small=False)
    return command.run(__package__, parser, PARTS, argv, smoke=SMOKE)


if __name__ == "__main__":
    main()
