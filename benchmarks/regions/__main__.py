"""Which way of telling a network the region is best.

The source (Eppel, 2018) finds: attention behind the first layer beats
attention behind higher ones and is no worse than behind several; attention
beats blackening, most on small regions. The parts, all of networks that are
compiled with one optimizer of one learning rate:

`context`   generated scenes whose regions only their surroundings tell, by a
            small network that was trained to tell what a scene shows;
`rates`     the same by the learning rate and the layer's `gain`;
`textures`  the scenes of `examples/03_roi_classification.py`, whose
            surroundings tell nothing, by a network from scratch;
`variants`  photos: instances of COCO, regions of MSRC and the boxes of Tiny
            ImageNet, with ImageNet's SqueezeNet 1.1 and a new classifier, all
            of it fine-tuned;
`choice`    the learning rate and the passes of these, on photos left out of
            the training ones.

Accuracy is the mean over classes, of scenes or photos that training did not
see; by size, every region counts as much as in that mean. Gains over
attention at the first layer are paired by region, and intervals hold 95 % of
2,000 draws of scenes or photos with replacement, of the mean over seeds.

    python -m benchmarks.regions --data DIR

Four hours of a core. What a variant has answered is kept in `build`: a
run that was stopped goes on when it is called again.
"""

from benchmarks.common import command
from benchmarks.regions import scenes
from benchmarks.regions import training
from benchmarks.regions.choice import CHOICES
from benchmarks.regions.choice import choice
from benchmarks.regions.context import GAINS
from benchmarks.regions.context import context
from benchmarks.regions.context import rates
from benchmarks.regions.photos import variants
from benchmarks.regions.readers import MIN_TEST
from benchmarks.regions.readers import MIN_TRAIN
from benchmarks.regions.readers import SETS
from benchmarks.regions.textures import textures

PARTS = {
    "context": context,
    "rates": rates,
    "textures": textures,
    "choice": choice,
    "variants": variants,
}
SIZES = {
    "min_train": MIN_TRAIN,
    "min_test": MIN_TEST,
    "draws": 2000,
    "choices": CHOICES,
    "scene_variants": list(scenes.VARIANTS),
    "scenes": 1500,
    "test_scenes": 1500,
    "scene_epochs": 5,
    "gains": GAINS,
    "texture_variants": None,
    "texture_scenes": 2000,
    "texture_epochs": 6,
}
SMOKE = {
    "sets": ["coco_seg", "msrc", "tiny_imagenet"],
    "variants": [training.FLOOR, training.WITHOUT],
    "scene_variants": [scenes.FLOOR, "crop, 4 times its side"],
    "seeds": 1,
    "draws": 10,
    "choices": [(5e-4, 1)],
    "epochs": 1,
    "min_train": 5,
    "min_test": 2,
    "scenes": 40,
    "test_scenes": 24,
    "scene_epochs": 1,
    "gains": (100,),
    "texture_variants": ["multiply, first layer"],
    "texture_scenes": 80,
    "texture_epochs": 1,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument(
        "--sets",
        nargs="+",
        choices=SETS,
        default=list(SETS),
        help="of variants",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=training.VARIANTS,
        default=list(training.VARIANTS),
        help=f"of photos; {training.FLOOR!r} must be among them",
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--epochs", type=int, help="of photos, instead of each set's"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=training.LEARNING_RATE,
        help="of photos",
    )
    parser.set_defaults(**SIZES)
    # The file holds one row a variant.
    return command.run(
        *(__package__, parser, PARTS, argv),
        photos=["choice", "variants"],
        smoke=SMOKE,
        fixed=["epochs", "learning_rate"],
    )


if __name__ == "__main__":
    main()
