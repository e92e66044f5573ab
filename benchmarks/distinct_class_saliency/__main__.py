"""Do distinct class saliency maps tell the classes of a photo apart?

`masks` makes masks of the classes that photos are labelled with, out of maps:
of Simonyan's saliency with GrabCut, Grad-CAM, guided backpropagation, and of
DCSM with each of its changes left out, with other options, and with a dense
CRF behind it. The networks were trained on ImageNet. For MSRC they learn its
classes on each half of the photos, to explain the other: as a new head on
frozen features, or with all of their weights. For COCO, the score of a class
is the largest of those of the ImageNet classes that it is made of; people, who
are none of them, count as background.

`timing` holds nine layers, several classes and scales against the bare passes
they need, and against one call for each layer and class.

A mask is made as pseudo labels are: a pixel has the class whose map, divided
by its maximum, is highest there, or none where that is below a threshold. The
threshold, and parameters and threshold of the CRF, are those that are best for
the mIoU of the other half of the photos. `mIoU` sums the overlaps of a class
over all photos, as segmentation benchmarks do, and takes the mean over classes;
`several classes` is the same of the photos that have several; `IoU of pairs`
is `keras_xmap.metrics.MeanIoU` of single maps, which need not exclude each
other, at the threshold that is best for it on the other half. Pixels of
unknown class do not count. Each score stands with 95 % of 2,000 draws of
photos with replacement; differences are of the same draws.

    python -m benchmarks.distinct_class_saliency --data DIR
"""

from benchmarks.common import command
from benchmarks.distinct_class_saliency.judging import CRF_THRESHOLDS
from benchmarks.distinct_class_saliency.masks import SCALES
from benchmarks.distinct_class_saliency.masks import SETUPS
from benchmarks.distinct_class_saliency.masks import masks
from benchmarks.distinct_class_saliency.timing import timing

PARTS = {"masks": masks, "timing": timing}
SMOKE = {
    "photos": 8,
    "setups": [
        "msrc, squeezenet_v1_1, end to end",
        "coco_seg, squeezenet_v1_1",
    ],
    "every": 2,
    "crf_every": 1,
    "rows": ["DCSM at one scale, of the best position", "DCSM + CRF"],
    "repeats": 2,
    "size": 32,
    "scales": (1,),
    "layers": 1,
    "epochs": 1,
    "head_epochs": 1,
    "crf_thresholds": (0.3,),
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument(
        "--setups",
        nargs="+",
        choices=SETUPS,
        default=list(SETUPS),
        help="photos, and the network that explains them",
    )
    parser.add_argument("--rows", nargs="*", help="of masks; the others stay")
    parser.add_argument(
        "--every", type=int, help="n: every n-th photo is explained"
    )
    parser.add_argument(
        "--crf-every",
        type=int,
        default=2,
        help="n: every n-th photo chooses a CRF",
    )
    parser.add_argument("--epochs", type=int, default=16, help="end to end")
    parser.add_argument("--repeats", type=int, default=5, help="of timing")
    parser.set_defaults(
        size=64,
        scales=SCALES,
        layers=9,
        head_epochs=60,
        crf_thresholds=CRF_THRESHOLDS,
    )
    return command.run(
        *(__package__, parser, PARTS, argv),
        photos=["masks"],
        smoke=SMOKE,
        fixed=["every", "crf_every", "epochs"],
    )


if __name__ == "__main__":
    main()
