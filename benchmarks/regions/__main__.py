"""Which way of telling a network the region is best, on real photos.

The source (Eppel, 2018) finds: attention behind the first layer beats
attention behind higher ones and is no worse than behind several; attention
beats blackening, most on small regions. Here the same variants of
`roi_classifier` are trained on the same batches from the same weights,
ImageNet's SqueezeNet 1.1 with a new classifier, all of it fine-tuned, with
three seeds: instances of COCO, and regions of MSRC.

Accuracy is the mean over classes, on photos that training did not see; by
size, every region counts as much as in that mean. Gains over attention at the
first layer are paired by region, and their intervals hold 95 % of 2,000 draws
of photos with replacement.

    python -m benchmarks.regions --data DIR

Twenty minutes a set on one core.
"""

import time

import keras
import numpy as np

from benchmarks.common import command
from benchmarks.regions.readers import MIN_TEST
from benchmarks.regions.readers import MIN_TRAIN
from benchmarks.regions.readers import SETS
from benchmarks.regions.readers import split
from benchmarks.regions.scores import accuracies
from benchmarks.regions.scores import compare
from benchmarks.regions.scores import counts_by_size
from benchmarks.regions.scores import scores
from benchmarks.regions.training import ATTENTION_FACTOR
from benchmarks.regions.training import CROP
from benchmarks.regions.training import EPOCHS
from benchmarks.regions.training import FLOOR
from benchmarks.regions.training import LEARNING_RATE
from benchmarks.regions.training import SIZE
from benchmarks.regions.training import VARIANTS
from benchmarks.regions.training import WITHOUT
from benchmarks.regions.training import arrays
from benchmarks.regions.training import as_inputs
from benchmarks.regions.training import trained
from benchmarks.regions.training import without_masks
from keras_xmap import datasets


def variants(folder, arguments, save):
    for name in arguments.sets:
        regions = SETS[name](folder)
        enough = arguments.min_train, arguments.min_test
        train, test = split(regions, *enough)
        classes = np.unique(train.labels)
        print(
            f"{name}: {len(train)} + {len(test)} regions, "
            f"{len(classes)} classes"
        )
        tested = datasets.region_batches(test, SIZE, crop=CROP)
        tested = as_inputs(folder, *arrays(tested), classes)
        correct = {variant: [] for variant in arguments.variants}
        seconds = dict.fromkeys(correct, 0.0)
        for seed in range(arguments.seeds):
            data = training_data(folder, train, classes, seed, arguments)
            for variant in arguments.variants:
                right, took = answers(
                    *(folder, variant, data, tested, seed, arguments)
                )
                correct[variant].append(right)
                seconds[variant] += took / arguments.seeds
                one = scores(right, test)
                line = {key: round(value, 3) for key, value in one.items()}
                print(f"  {seed} {variant}: {line} {took:.0f} s", flush=True)
        about = {
            "regions": [len(train), len(test)],
            "classes": [regions.class_names[label] for label in classes],
            "tested by size": counts_by_size(test),
        }
        save(name, about)
        save(f"{name}, accuracy", accuracies(correct, test))
        save(f"{name}, gain", compare(correct, test, arguments.draws))
        rounded = {k: round(v) for k, v in seconds.items()}
        save(f"{name}, seconds of training", rounded)


def training_data(folder, train, classes, seed, arguments):
    """All passes of a training, the same for every variant."""
    flip = keras.layers.RandomFlip("horizontal", seed=seed)
    batches = datasets.region_batches(
        train, SIZE, crop=CROP, training=True, seed=seed
    ).map(datasets.PairedAugmentation(flip))
    passes = [arrays(batches) for _ in range(arguments.epochs)]
    passes = [np.concatenate(parts) for parts in zip(*passes, strict=True)]
    return as_inputs(folder, *passes, classes)


def answers(folder, variant, data, tested, seed, arguments):
    """Returns which regions were classified rightly, and the seconds."""
    keras.utils.set_random_seed(seed)
    shown = [data, tested]
    if variant == WITHOUT:
        shown = [without_masks(dataset) for dataset in shown]
    truth = np.concatenate([y for _, y in tested.as_numpy_iterator()])
    num_classes = int(truth.max()) + 1
    start = time.perf_counter()
    model = trained(folder, variant, shown[0], num_classes, arguments)
    took = time.perf_counter() - start
    predicted = model.predict(shown[1], verbose=0).argmax(-1)
    keras.backend.clear_session()
    return (predicted == truth).astype(float), took


PARTS = {"variants": variants}
SMOKE = {
    "sets": ["coco_seg", "msrc"],
    "variants": [FLOOR, WITHOUT],
    "seeds": 1,
    "draws": 10,
    "epochs": 1,
    "min_train": 5,
    "min_test": 2,
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=list(VARIANTS),
        help=f"{FLOOR!r} must be among them",
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument(
        "--attention-factor", type=float, default=ATTENTION_FACTOR
    )
    parser.set_defaults(min_train=MIN_TRAIN, min_test=MIN_TEST, draws=2000)
    # The file holds one row a variant.
    return command.run(
        *(__package__, parser, PARTS, argv),
        photos=PARTS,
        smoke=SMOKE,
        fixed=["seeds", "epochs", "learning_rate", "attention_factor"],
    )


if __name__ == "__main__":
    main()
