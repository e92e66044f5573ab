"""Memory: what large photos and a large file of annotations take.

`crf`          `segmentation.refine_with_crf` on a photo of 2000 x 3000, with 4
               classes that all take part;
`overlay`      `visualization.overlay` on a photo of 6000 x 6000;
`annotations`  `datasets.COCOInstances` of 118,000 images with 7.3 objects
               each, the size of COCO's training set: while it reads, and what
               it holds afterwards.

Counted is what Python and NumPy ask for beside the arguments. Photos and
annotations are made for it, as noisy as photos are.

    python -m benchmarks.memory [--parts ...]
"""

from benchmarks.common import command
from benchmarks.memory.annotations import annotations
from benchmarks.memory.photos import crf
from benchmarks.memory.photos import overlay

PARTS = {"crf": crf, "overlay": overlay, "annotations": annotations}
SMOKE = {"images": 100, "small": True}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--images", type=int, default=118000)
    parser.set_defaults(small=False)
    return command.run(
        __package__, parser, PARTS, argv, smoke=SMOKE, fixed=("images",)
    )


if __name__ == "__main__":
    main()
