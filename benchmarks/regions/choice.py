"""How long, and at what learning rate, the variants of photos are trained.

A third of the photos of MSRC that `variants` trains on, chosen by name, judges
trainings on the others, of one seed. What `variants` is tested on is not seen.
"""

import numpy as np

from benchmarks.regions import training
from benchmarks.regions.photos import right
from benchmarks.regions.photos import training_data
from benchmarks.regions.readers import SIZES
from benchmarks.regions.readers import msrc
from benchmarks.regions.readers import split
from benchmarks.regions.scores import ALL
from benchmarks.regions.scores import Tested
from benchmarks.regions.scores import report
from keras_xmap import datasets

VARIANTS = training.FLOOR, "hard, image", training.WITHOUT
# Learning rates, and passes.
CHOICES = (5e-4, 10), (5e-4, 20), (2e-3, 20), (5e-4, 40)


def choice(folder, arguments, save):
    """Saves the accuracies of each of `CHOICES`."""
    shown, _ = split(msrc(folder), arguments.min_train, arguments.min_test)
    train, judge = split(shown, 1, 1, salt="choice")
    classes = np.unique(train.labels)
    batches = datasets.region_batches(judge, training.SIZE, crop=training.CROP)
    judged = training.as_inputs(folder, *training.arrays(batches), classes)
    files = np.array([judge.file(i) for i in range(len(judge))])
    tested = Tested(judge.labels, judge.areas, files, SIZES)
    for rate, passes in arguments.choices:
        data = training_data(folder, train, classes, 0, passes)
        correct = {
            name: [right(folder, name, (data, judged), 0, rate)]
            for name in VARIANTS
        }
        accuracy, _ = report(correct, tested, training.FLOOR, arguments.draws)
        figures = {name: row[ALL]["mean"] for name, row in accuracy.items()}
        title = f"rate {rate:g}, {passes} passes"
        print(f"  {title}: {figures}", flush=True)
        save(title, {**figures, "regions": [len(train), len(judge)]})
