"""Regions that their own pixels tell: the scenes of the example."""

import importlib.util

import numpy as np

from benchmarks.common.kept import kept
from benchmarks.common.results import ROOT
from benchmarks.regions.scores import Tested
from benchmarks.regions.scores import report

EXAMPLE = ROOT / "examples" / "03_roi_classification.py"
FLOOR = "multiply, first layer"
SIZES = {"small, < 30 px": 0, "30 to 80 px": 30, "> 80 px": 80}


def textures(folder, arguments, save):
    """The variants of the example, trained as long as its `--smoke` does."""
    del folder
    example = _example()
    train = example.make_data(arguments.texture_scenes, "train")
    test = example.make_data(arguments.test_scenes, "test")
    correct = {}
    epochs = arguments.texture_epochs
    for seed in range(arguments.seeds):
        for name in arguments.texture_variants or example.VARIANTS:

            def answers(seed=seed, name=name):
                model = example.trained(name, train, epochs, seed)
                return {"right": example.right(model, test)}

            size = len(train[2]), epochs
            case = ("regions", "textures", name, seed, *size)
            told = kept(case, answers, arguments)["right"]
            correct.setdefault(name, []).append(told)
            print(f"  {seed} {name}: {told.mean():.3f}", flush=True)
    _, masks, labels = test
    areas = masks.sum(axis=(1, 2))
    tested = Tested(labels, areas, np.arange(len(areas)), SIZES)
    accuracy, gain = report(correct, tested, FLOOR, arguments.draws)
    about = {
        "regions": [len(train[2]), len(labels)],
        "tested by size": tested.counts(),
        "seeds": arguments.seeds,
    }
    save("textures", about)
    save("textures, accuracy", accuracy)
    save("textures, gain", gain)


def _example():
    spec = importlib.util.spec_from_file_location("example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example
