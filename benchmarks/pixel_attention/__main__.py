"""Pixel attention: errors and maps where the truth is known, and on photos.

`cuts`       maps cut to the share of the ellipses, and all rivals cut alike, on
             the source's sets and on those of textures;
`taught`     the same sets, by the same attention network taught the true masks:
             the most that a map can be asked for;
`sets`       the source's three sets, trained in two fits;
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
from benchmarks.pixel_attention import two_fits
from benchmarks.pixel_attention.cuts import PASSES
from benchmarks.pixel_attention.cuts import SETS
from benchmarks.pixel_attention.cuts import WARM_PASSES
from benchmarks.pixel_attention.cuts import cuts
from benchmarks.pixel_attention.ellipses import COLLUDING
from benchmarks.pixel_attention.ellipses import RUNS
from benchmarks.pixel_attention.ellipses import alone
from benchmarks.pixel_attention.ellipses import collusion
from benchmarks.pixel_attention.ellipses import noise
from benchmarks.pixel_attention.ellipses import sets
from benchmarks.pixel_attention.photos import photos
from benchmarks.pixel_attention.taught import taught

PARTS = {
    "cuts": cuts,
    "taught": taught,
    "sets": sets,
    "alone": alone,
    "noise": noise,
    "collusion": collusion,
    "photos": photos,
}
SMOKE = {
    "sets": ["points"],
    "cut_sets": ["grain, crossing"],
    "cut_noises": [0.5],
    "tested": 8,
    "passes": 2,
    "warm_passes": 1,
    "taught_passes": 1,
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
    parser.add_argument("--sets", nargs="+", choices=two_fits.PUBLISHED)
    parser.add_argument(
        "--cut-sets", nargs="+", choices=SETS, help="of cuts and taught"
    )
    parser.add_argument(
        "--cut-noises", nargs="+", type=float, help="of cuts, else chosen"
    )
    parser.add_argument("--images", type=int, help="to train on")
    parser.add_argument("--tested", type=int, default=1000, help="of cuts")
    parser.add_argument("--passes", type=int, default=PASSES, help="of cuts")
    parser.add_argument(
        "--warm-passes", type=int, default=WARM_PASSES, help="of cuts"
    )
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--epochs", type=int, help="with the map")
    parser.add_argument("--warm-up", type=int, default=two_fits.WARM_UP)
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
    parser.set_defaults(steps=125, crops=4, head_epochs=15, taught_passes=3)
    return command.run(
        *(__package__, parser, PARTS, argv),
        photos=["photos"],
        smoke=SMOKE,
        fixed=["warm_up"],
    )


if __name__ == "__main__":
    main()
