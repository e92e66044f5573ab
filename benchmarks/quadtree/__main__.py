"""Quadtrees of photos, and occlusion on a quadtree beside the dense grid.

python -m benchmarks.quadtree [--parts trees]
python -m benchmarks.quadtree --data DIR
"""

from benchmarks.common import command
from benchmarks.quadtree.occlusion import SETTING
from benchmarks.quadtree.occlusion import occlusion
from benchmarks.quadtree.trees import trees

PARTS = {"trees": trees, "occlusion": occlusion}
SMOKE = {
    "photos": 4,
    "setting": {
        **SETTING,
        "patch_size": 16,
        "strides": 4,
        "coarser": 8,
        "tolerances": (0.3,),
        "tuned": 1,
        "measured": 2,
    },
    "repeats": 2,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--repeats", type=int, default=20, help="of timings")
    parser.set_defaults(setting=SETTING)
    return command.run(
        __package__, parser, PARTS, argv, photos=("occlusion",), smoke=SMOKE
    )


if __name__ == "__main__":
    main()
