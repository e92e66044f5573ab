"""The variants of `roi_classifier` on regions of photos."""

import functools
import tempfile

import keras
import numpy as np

from benchmarks.common.kept import kept
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


def variants(folder, arguments, save):
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as scratch:
            regions = SETS[name].read(folder, scratch)
            _measure(folder, name, regions, arguments, save)


def _measure(folder, name, regions, arguments, save):
    chosen = SETS[name]
    enough = arguments.min_train, arguments.min_test
    train, test = split(regions, *enough, chosen.most)
    classes = np.unique(train.labels)
    print(f"{name}: {len(train)} + {len(test)} regions, {len(classes)} classes")
    correct = _answers(folder, name, (train, test), classes, arguments)
    files = [test.file(i) for i in range(len(test))]
    tested = Tested(test.labels, test.areas, np.array(files), chosen.sizes)
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


def _answers(folder, name, regions, classes, arguments):
    """Returns what each variant tells rightly, with each seed."""
    train, test = regions
    passes = arguments.epochs or SETS[name].passes
    asked = [x for x in SETS[name].variants if x in arguments.variants]
    tested = datasets.region_batches(test, SIZE, crop=CROP)
    tested = as_inputs(folder, *arrays(tested), classes)
    rate = arguments.learning_rate
    size = len(train), passes, rate
    correct = {variant: [] for variant in asked}
    for seed in range(arguments.seeds):
        data = functools.cache(
            functools.partial(
                training_data, folder, train, classes, seed, passes
            )
        )
        for variant in asked:

            def answers(seed=seed, data=data, variant=variant):
                shown = data(), tested
                told = right(folder, variant, shown, seed, rate)
                return {"right": told}

            case = ("regions", name, variant, seed, *size)
            told = kept(case, answers, arguments)["right"]
            correct[variant].append(told)
            print(f"  {seed} {variant}: {told.mean():.3f}", flush=True)
    return correct


def training_data(folder, train, classes, seed, passes):
    """All passes of a training, the same for every variant."""
    flip = keras.layers.RandomFlip("horizontal", seed=seed)
    batches = datasets.region_batches(
        train, SIZE, crop=CROP, training=True, seed=seed
    ).map(datasets.PairedAugmentation(flip))
    drawn = [arrays(batches) for _ in range(passes)]
    drawn = [np.concatenate(parts) for parts in zip(*drawn, strict=True)]
    return as_inputs(folder, *drawn, classes)


def right(folder, variant, shown, seed, learning_rate):
    """Trains a variant; returns which regions it tells rightly."""
    data, tested = shown
    keras.utils.set_random_seed(seed)
    if variant == WITHOUT:
        data, tested = without_masks(data), without_masks(tested)
    truth = np.concatenate([y for _, y in tested.as_numpy_iterator()])
    num_classes = int(truth.max()) + 1
    model = trained(folder, variant, data, num_classes, learning_rate)
    told = model.predict(tested, verbose=0).argmax(-1)
    keras.backend.clear_session()
    return told == truth
