"""How well maps find the object in real photos, and what spoils or mends it.

Parts, each on networks trained on ImageNet:

`layers`    one map per layer and formula, and fusions of layers, chosen on
            one half of the photos and reported on the other half and on
            networks that had no part in the choice;
`evidence`  where the evidence of one position of the last layer comes from;
`variants`  what the border, the alignment, the size of the input and the
            explained score do;
`laying`    what it does to lay maps where their layer looks, as the package
            does, instead of stretching them over the photo;
`stages`    layers by rule and views, as a user can ask for them, chosen on one
            half of the photos and reported on the other;
`methods`   every explainer by its defaults beside tf-keras-vis, the image's
            centre and a flat map (a pixel drawn at random).

All maps are cut at zero (`relu`) first. Intervals hold 95 % of 2,000 draws of
photos with replacement.

    python -m benchmarks.localization --data DIR [--parts methods ...]
"""

from benchmarks.common import command
from benchmarks.localization.evidence import evidence
from benchmarks.localization.figures import KEEP
from benchmarks.localization.layer_maps import NETWORKS
from benchmarks.localization.layers import layers
from benchmarks.localization.laying import laying
from benchmarks.localization.methods import EVERY
from benchmarks.localization.methods import NAMES
from benchmarks.localization.methods import methods
from benchmarks.localization.stages import stages
from benchmarks.localization.variants import SIDES
from benchmarks.localization.variants import variants

PARTS = {
    "layers": layers,
    "evidence": evidence,
    "variants": variants,
    "laying": laying,
    "methods": methods,
    "stages": stages,
}
SMOKE = {
    "photos": 4,
    "sides": [96],
    "networks": ["mobilenet_v2"],
    "datasets": ["coco_seg", "imagenet_boxes"],
    "explainers": ["GradCAM", "Saliency", "ClassModel", "Occlusion"],
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument(
        "--datasets",
        nargs="+",
        choices=EVERY,
        default=list(EVERY),
        help="of methods",
    )
    parser.add_argument(
        "--explainers",
        nargs="+",
        choices=NAMES,
        default=NAMES,
        help="of methods; the others stay",
    )
    parser.set_defaults(sides=SIDES, networks=NETWORKS)
    return command.run(
        __package__,
        parser,
        PARTS,
        argv,
        photos=PARTS,
        smoke=SMOKE,
        keep=KEEP,
    )


if __name__ == "__main__":
    main()
