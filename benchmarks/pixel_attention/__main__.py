"""Pixel attention: errors and maps where the truth is known, and on photos.

`sets`       the example of the same name on the three sets of ellipses;
`alone`      its predictor without a map;
`noise`      strengths of the noise, judged on an eighth of the training images
             that is left out;
`collusion`  trained as one should not, to see what gives a bad map away;
`photos`     the centre and the size of objects in real photos.

    python -m benchmarks.pixel_attention --parts sets alone
    python -m benchmarks.pixel_attention --parts photos --data DIR

A run takes two to six minutes on one core, and is written as soon as it is
done; `--seeds`, `--sets` and `--runs` choose among them. `--encoding raw` gives
`alone` the plain angle of the circles.
"""

from benchmarks.common import command
from benchmarks.pixel_attention.ellipses import COLLUDING
from benchmarks.pixel_attention.ellipses import RUNS
from benchmarks.pixel_attention.ellipses import alone
from benchmarks.pixel_attention.ellipses import collusion
from benchmarks.pixel_attention.ellipses import noise
from benchmarks.pixel_attention.ellipses import sets
from benchmarks.pixel_attention.example import example
from benchmarks.pixel_attention.photos import photos

PARTS = {
    "sets": sets,
    "alone": alone,
    "noise": noise,
    "collusion": collusion,
    "photos": photos,
}
SMOKE = {
    "sets": ["points"],
    "seeds": [0],
    "noises": [0.5],
    "epochs": 1,
    "warm_up": 0,
    "head_epochs": 1,
    "steps": 2,
    "images": 16,
    "photos": 12,
    "crops": 2,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--sets", nargs="+", choices=example.PUBLISHED)
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--epochs", type=int, help="with the map")
    parser.add_argument("--warm-up", type=int, default=example.WARM_UP)
    parser.add_argument(
        "--noises", nargs="+", type=float, default=[0.5, 0.04], help="of noise"
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        choices=RUNS,
        default=[COLLUDING],
        help="of collusion",
    )
    parser.add_argument(
        "--encoding", choices=["double", "raw"], default="double"
    )
    parser.add_argument("--folder", help="for pictures of the maps")
    parser.set_defaults(steps=125, images=None, crops=4, head_epochs=15)
    return command.run(
        *(__package__, parser, PARTS, argv),
        photos=["photos"],
        smoke=SMOKE,
        fixed=["warm_up"],
    )


if __name__ == "__main__":
    main()
