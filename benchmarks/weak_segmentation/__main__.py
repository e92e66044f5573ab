"""Does anything beat CAM and a CRF, on the way from labels to masks?

Photos of which the classes are known are halved. For each half, a linear
classifier on a frozen network trained on ImageNet learns the classes of the
other one; maps of several methods become label maps, by themselves and by a
dense CRF; and small segmentation networks on the same frozen features train on
the label maps of the other half, by cross-entropy (`plain`), the losses of SEC,
and prohibitive segmentation learning (`psl`). Beside them stands the same
network on the true masks of the other half and, on COCO, a DeepLabv3 that was
trained on many masks of others.

Whatever is chosen, as the threshold of each method, is chosen on the masks of
the other half. `mIoU` is the mean over classes, and the background where there
is one, of overlaps that are summed over all photos. Brackets are 95 % of 2,000
draws of photos with replacement; differences are of the same draws.

    python -m benchmarks.weak_segmentation --data DIR
"""

from benchmarks.common import command
from benchmarks.common.labelled import DATASETS
from benchmarks.weak_segmentation.choosing import CRF_THRESHOLDS
from benchmarks.weak_segmentation.maps import METHODS
from benchmarks.weak_segmentation.networks import KINDS
from benchmarks.weak_segmentation.rows import NETWORKS
from benchmarks.weak_segmentation.rows import photos

PARTS = {"photos": photos}
# Whose rows the tables hold.
COMPARED = ["CAM", "LayerCAM", "DCSM", "RegionCAM", "affinity", "erasing"]
SMOKE = {
    "photos": 9,
    "sets": ["coco_seg"],
    "networks": ["squeezenet_v1_1"],
    "methods": ["DCSM", "erasing", "affinity"],
    "trained": ["affinity"],
    "epochs": 1,
    "crf_thresholds": (0.3,),
    "head_epochs": 20,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument(
        "--sets", nargs="+", choices=DATASETS, default=list(DATASETS)
    )
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS)
    )
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=COMPARED
    )
    parser.add_argument(
        "--trained",
        nargs="*",
        choices=METHODS,
        default=COMPARED,
        help="whose label maps networks train on",
    )
    parser.add_argument(
        "--losses", nargs="+", choices=KINDS, default=list(KINDS)
    )
    parser.add_argument(
        "--every", type=int, default=5, help="n: every n-th photo chooses a CRF"
    )
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--head-epochs", type=int, default=100)
    parser.set_defaults(crf_thresholds=CRF_THRESHOLDS)
    return command.run(
        *(__package__, parser, PARTS, argv),
        photos=PARTS,
        smoke=SMOKE,
        fixed=["every", "epochs", "head_epochs"],
    )


if __name__ == "__main__":
    main()
