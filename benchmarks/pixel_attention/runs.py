"""One run of a training in two fits, and how its figures are kept."""

import json

from benchmarks.pixel_attention import two_fits


def train_networks(train, clutter, arguments, epochs, seed, **options):
    """Predictor, attention and the model of both, as the example's."""
    warm_up = options.pop("warm_up", arguments.warm_up)
    steps = arguments.steps
    if warm_up:
        predictor = two_fits.train_alone(train, warm_up, seed, steps)
    else:
        predictor = two_fits.make_predictor(train.targets.shape[1])
    options = {"noise": two_fits.NOISE[clutter], **options}
    networks = two_fits.add_map(
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
