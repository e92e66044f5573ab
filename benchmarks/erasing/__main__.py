"""Does erasing find more of an object than one classifier does?

Parts:

`two_cues`       objects with a second cue that the first network ignores, and
                 objects without: erasing after each round;
`two_cue_rivals` CAM, Hide-and-Seek and complementary heads on the same, all at
                 thresholds that one half of the images chooses, with figures
                 of the other;
`two_cue_choices`  the same with another filling, threshold or network;
`statistics`     whether the second network fails on whole scenes of digits for
                 its moving statistics;
`example`        what examples/04_adversarial_erasing.py prints;
`photos`         `msrc` and `coco_seg`, a linear classifier in each round on a
                 network trained on ImageNet: CAM, Hide-and-Seek,
                 complementary heads, and erasing after each round;
`callback`       the same erasing by `callbacks.AdversarialErasing`, images
                 and all, in one `fit`;
`tiny_imagenet`  a small network from scratch, boxes for truth; also by the
                 callback;
`fills`          mean, zero, noise and blur in place of what is erased, on
                 photos and on scenes of digits: what each does to the
                 classifier and to the regions;
`holes`          training images with holes of other images too, so that a
                 hole says less of the label: on scenes and on photos;
`overhead`       a round against its training and one pass over the images.

Maps are judged at the one threshold, for all images, that suits the method
best. Beside each round stands how well it knows images that were held out,
whole and without what is found in them.

    python -m benchmarks.erasing --data DIR [--parts photos ...]
"""

from benchmarks.common import command
from benchmarks.common.labelled import DATASETS
from benchmarks.erasing.callback import through_callback
from benchmarks.erasing.example import example
from benchmarks.erasing.fills import fills
from benchmarks.erasing.holes import HOLES
from benchmarks.erasing.holes import holes
from benchmarks.erasing.methods import photos
from benchmarks.erasing.overhead import overhead
from benchmarks.erasing.photos import EPOCHS
from benchmarks.erasing.statistics import statistics
from benchmarks.erasing.tiny_imagenet import tiny_imagenet
from benchmarks.erasing.two_cues import CHOICES
from benchmarks.erasing.two_cues import CUES
from benchmarks.erasing.two_cues import two_cue_choices
from benchmarks.erasing.two_cues import two_cue_rivals
from benchmarks.erasing.two_cues import two_cues

PARTS = {
    "two_cues": two_cues,
    "two_cue_rivals": two_cue_rivals,
    "two_cue_choices": two_cue_choices,
    "statistics": statistics,
    "example": example,
    "photos": photos,
    "callback": through_callback,
    "tiny_imagenet": tiny_imagenet,
    "fills": fills,
    "holes": holes,
    "overhead": overhead,
}
GENERATED = (
    *("two_cues", "two_cue_rivals", "two_cue_choices", "statistics"),
    *("example", "overhead"),
)
ON_PHOTOS = [part for part in PARTS if part not in GENERATED]
FILLS = ["mean", "zero", "noise", "blur"]
# How much of everything; another number makes a trial.
SIZES = {
    "objects": 600,
    "test_objects": 300,
    "object_epochs": 12,
    "object_seeds": 3,
    "rounds": 3,
    "many_rounds": 6,  # does it turn worse, as in the paper?
    "head_epochs": EPOCHS,
    "callback_epochs": 8,
    "example_scenes": 2000,
    "statistics_scenes": 500,
    "scenes": 700,
    "hole_scenes": 2000,
    "test_scenes": 300,
    "scene_epochs": 8,
    "seeds": 2,
    "tiny_classes": 5,
    "tiny_epochs": 8,
    "overhead_images": 640,
    "overhead_epochs": 4,
}
SMOKE = {
    "photos": 6,
    "objects": 16,
    "test_objects": 8,
    "object_epochs": 1,
    "object_seeds": 1,
    "cues": ["both"],
    "choices": ["group normalization"],
    "datasets": ["msrc"],
    "fills": ["mean"],
    "holes": ["half of own"],
    "repeats": 2,
    "rounds": 2,
    "many_rounds": 2,
    "head_epochs": 2,
    "callback_epochs": 1,
    "example_scenes": 40,
    "statistics_scenes": 40,
    "scenes": 40,
    "hole_scenes": 40,
    "test_scenes": 20,
    "scene_epochs": 1,
    "seeds": 1,
    "tiny_classes": 3,
    "tiny_epochs": 1,
    "overhead_images": 32,
    "overhead_epochs": 1,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument(
        "--datasets", nargs="+", choices=DATASETS, default=list(DATASETS)
    )
    for name, number in SIZES.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=number)
    parser.add_argument("--fills", nargs="+", choices=FILLS, default=FILLS)
    parser.add_argument("--repeats", type=int, default=3, help="of overhead")
    parser.add_argument(
        "--choices", nargs="+", choices=CHOICES, default=list(CHOICES)
    )
    parser.add_argument("--cues", nargs="+", choices=CUES, default=list(CUES))
    parser.set_defaults(holes=list(HOLES))
    parser.add_argument("--picture", help="file for a picture of the fills")
    return command.run(
        *(__package__, parser, PARTS, argv),
        photos=ON_PHOTOS,
        smoke=SMOKE,
        fixed=[name for name in SIZES if not name.startswith("tiny")],
    )


if __name__ == "__main__":
    main()
