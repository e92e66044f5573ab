"""The variants of `roi_classifier` on regions of photos."""

import time

import keras
import numpy as np

from benchmarks.regions.readers import SETS
from benchmarks.regions.readers import split
from benchmarks.regions.scores import ALL
from benchmarks.regions.scores import Tested
from benchmarks.regions.scores import report
from benchmarks.regions.training import CROP
from benchmarks.regions.training import FLOOR
from benchmarks.regions.training import SIZE
from benchmarks.regions.training import WITHOUT
from benchmarks.regions.training import arrays
from benchmarks.regions.training import as_inputs
from benchmarks.regions.training import trained
from benchmarks.regions.training import without_masks
from keras_xmap import datasets

# Behind these, in pixels of photos of about 384 x 288.
SIZES = {"small, < 1000 px": 0, "1000 to 4000 px": 1000, "> 4000 px": 4000}


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
        correct, seconds = _answers(folder, train, test, classes, arguments)
        files = [test.file(i) for i in range(len(test))]
        tested = Tested(test.labels, test.areas, np.array(files), SIZES)
        accuracy, gain = report(correct, tested, FLOOR, arguments.draws)
        for variant, row in accuracy.items():
            print(f"  {variant}: {row[ALL]}")
        about = {
            "regions": [len(train), len(test)],
            "classes": [regions.class_names[label] for label in classes],
            "tested by size": tested.counts(),
            "seeds": arguments.seeds,
        }
        save(name, about)
        save(f"{name}, accuracy", accuracy)
        save(f"{name}, gain", gain)
        save(f"{name}, seconds of training", seconds)


def _answers(folder, train, test, classes, arguments):
    """Returns what each variant tells rightly with each seed, and seconds."""
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
            print(f"  {seed} {variant}: {right.mean():.3f} {took:.0f} s")
    return correct, {k: round(v) for k, v in seconds.items()}


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
