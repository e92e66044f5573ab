"""Quadtrees of photos, occlusion on a quadtree, and maps in few bytes.

python -m benchmarks.quadtree [--parts trees]
python -m benchmarks.quadtree --data DIR
"""

from benchmarks.common import command
from benchmarks.quadtree import convolution
from benchmarks.quadtree.codec import CODEC
from benchmarks.quadtree.codec import codec
from benchmarks.quadtree.labels import LABELS
from benchmarks.quadtree.labels import msrc
from benchmarks.quadtree.labels import scenes
from benchmarks.quadtree.occlusion import SETTING
from benchmarks.quadtree.occlusion import occlusion
from benchmarks.quadtree.trees import trees

PARTS = {
    "trees": trees,
    "layer": convolution.layer,
    "stack": convolution.stack,
    "blocks": convolution.blocks,
    "occlusion": occlusion,
    "codec": codec,
    "scenes": scenes,
    "msrc": msrc,
}
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
    "codec": {
        **CODEC,
        "size": (30, 40),
        "classes": 4,
        "photos": 2,
        "samples": 2,
        "patch_size": 16,
    },
    "convolution": {
        **convolution.CONVOLUTION,
        "size": 64,
        "channels": 2,
        "depth": 2,
        "shares": (0.1, 0.5),
        "blocks": (0.25,),
        "repeats": 2,
    },
    "labels": {
        **LABELS,
        "filters": 4,
        "scenes": {
            **LABELS["scenes"],
            "train": 8,
            "test": 4,
            "size": 32,
            "stages": (4, 4, 4),
            "epochs": 1,
        },
        "msrc": {**LABELS["msrc"], "epochs": 1},
    },
    "repeats": 2,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--repeats", type=int, default=20, help="of timings")
    parser.set_defaults(
        setting=SETTING,
        codec=CODEC,
        labels=LABELS,
        convolution=convolution.CONVOLUTION,
    )
    return command.run(
        __package__,
        parser,
        PARTS,
        argv,
        photos=("occlusion", "codec", "msrc"),
        smoke=SMOKE,
    )


if __name__ == "__main__":
    main()
