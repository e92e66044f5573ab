"""Does erasing find more of an object than one classifier does?

Parts:

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

    python benchmarks/adversarial_erasing.py --data DIR [--parts photos ...]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _photos
import _timing
from _erasing_fills import fills
from _erasing_holes import holes
from _erasing_overhead import overhead
from _erasing_photos import photos
from _erasing_photos import through_callback
from _erasing_tiny import tiny_imagenet

NAME = "adversarial_erasing"
PARTS = {
    "photos": photos,
    "callback": through_callback,
    "tiny_imagenet": tiny_imagenet,
    "fills": fills,
    "holes": holes,
    "overhead": overhead,
}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _photos.add_data(parser)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--datasets", nargs="+", default=["msrc", "coco_seg"], help="of photos"
    )
    parser.add_argument("--photos", type=int, help="so many; writes no file")
    parser.add_argument("--tiny-classes", type=int, default=5)
    parser.add_argument("--tiny-epochs", type=int, default=8)
    parser.add_argument("--scenes", type=int, default=700, help="of fills")
    parser.add_argument("--hole-scenes", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2, help="of hole scenes")
    parser.add_argument("--repeats", type=int, default=3, help="of overhead")
    parser.add_argument("--picture", help="file for a picture of the fills")
    arguments = parser.parse_args(argv)
    folder = None
    if set(arguments.parts) != {"overhead"}:
        folder = _photos.folder_of(parser, arguments)
    results = _timing.Results(NAME, trial=bool(arguments.photos))
    for part in arguments.parts:
        print(part, flush=True)
        PARTS[part](folder, arguments, results.of(part))
    return results.found


if __name__ == "__main__":
    main()
