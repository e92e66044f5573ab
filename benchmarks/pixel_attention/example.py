"""The example of the same name, which holds the networks and their training."""

import importlib.util
import json

from benchmarks.common.results import ROOT


def load_example():
    file = ROOT / "examples" / "02_pixel_attention_regression.py"
    spec = importlib.util.spec_from_file_location("example", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load_example()


def train_networks(train, clutter, arguments, epochs, seed, **options):
    """Predictor, attention and the model of both, as the example's."""
    warm_up = options.pop("warm_up", arguments.warm_up)
    steps = arguments.steps
    if warm_up:
        predictor = example.train_alone(train, warm_up, seed, steps)
    else:
        predictor = example.make_predictor(train.targets.shape[1])
    options = {"noise": example.NOISE[clutter], **options}
    networks = example.add_map(
        predictor, train, epochs, seed=seed, steps=steps, **options
    )
    return predictor, *networks


def saved(save, title, row):
    """Keeps the figures of one run, and prints them."""
    row = {
        name: value if name == "epochs" else rounded(value)
        for name, value in row.items()
    }
    print(title, json.dumps(row), flush=True)
    save(title, row)


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
