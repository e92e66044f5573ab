"""Pixel attention: errors and maps where the truth is known, and on photos.

    python benchmarks/pixel_attention.py --parts sets alone
    python benchmarks/pixel_attention.py --parts noise --sets circles
    python benchmarks/pixel_attention.py --parts collusion
    python benchmarks/pixel_attention.py --parts photos --data DIR

`sets` trains the example of the same name on the three sets of ellipses,
`alone` its predictor without a map;
`noise` tries strengths of the noise, judged on an eighth of the training
images that is left out;
`collusion` trains it as one should not, to see what gives a bad map away;
`photos` finds the centre and the size of objects in real photos. Each run is
written to `results/pixel_attention.json` as soon as it is done, beside those
that stand there; `--seeds`, `--sets` and `--runs` choose among them. A run
takes two to six minutes on one core. `--encoding raw` gives `alone` the plain
angle of the circles.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import time

import _timing
import keras
import numpy as np
from _photos import VARIABLE
from PIL import Image

HERE = pathlib.Path(__file__).parent
NAME = "pixel_attention"

# What is changed of the example's training, one thing after the other.
RUNS = {
    "as the example": {},
    "no warm-up": {"warm_up": 0},
    "c = 10": {"area_weight": 10.0},
    "noise 0.5": {"noise": 0.5},
    "noise 0.5, no warm-up": {"noise": 0.5, "warm_up": 0},
    "noise 1.0, no warm-up, c = 10": {
        "noise": 1.0,
        "warm_up": 0,
        "area_weight": 10.0,
    },
}


def load_example():
    file = HERE.parent / "examples" / "02_pixel_attention_regression.py"
    spec = importlib.util.spec_from_file_location("example", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load_example()


def train_networks(
    train, clutter, epochs, seed, warm_up=example.WARM_UP, **kwargs
):
    """Predictor, attention and the model of both, as the example's."""
    if warm_up:
        predictor = example.train_alone(train, warm_up, seed)
    else:
        predictor = example.make_predictor(train.targets.shape[1])
    kwargs = {"noise": example.NOISE[clutter], **kwargs}
    return predictor, *example.add_map(
        predictor, train, epochs, seed=seed, **kwargs
    )


def measure_sets(sets, seeds, epochs, folder=None):
    for clutter in sets:
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            train, test = example.make_data(clutter, seed)
            start, cpu = time.perf_counter(), time.process_time()
            networks = train_networks(train, clutter, epochs, seed)
            row = {
                "epochs": epochs,
                "seconds": round(time.perf_counter() - start),
                "cpu seconds": round(time.process_time() - cpu),
                **example.judge(train, test, *networks),
            }
            row["error published"] = example.PUBLISHED[clutter]
            key = f"{clutter}, seed {seed}"
            if epochs != example.EPOCHS:
                key += f", {epochs} epochs"
            save("sets", key, row)
            if folder:
                file = os.path.join(folder, f"{clutter}.png")
                Image.fromarray(example.draw(test, *networks[:2])).save(file)


def measure_alone(sets, seeds, epochs, encoding):
    for clutter in sets:
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            train, test = example.make_data(clutter, seed, encoding=encoding)
            # As many images as in the warm-up and with the map.
            epochs_alone = epochs + example.WARM_UP
            alone = example.train_alone(train, epochs_alone, seed)
            errors = test.errors(alone.predict(test.images, verbose=0))
            row = {"epochs": epochs_alone, "error": float(errors.mean())}
            part = "alone" if encoding == "double" else "alone, raw angle"
            save(part, f"{clutter}, seed {seed}", row)


def measure_noise(sets, seeds, epochs, noises):
    for clutter in sets:
        for seed in seeds:
            data, _ = example.make_data(clutter, seed)
            count = len(data.images) // 8
            held_out, train = (
                data._make(x[part] for x in data)
                for part in (slice(count), slice(count, None))
            )
            for noise in noises:
                keras.utils.set_random_seed(seed)
                networks = train_networks(
                    *(train, clutter, epochs, seed),
                    warm_up=8,
                    noise=noise,
                )
                row = {
                    "epochs": epochs,
                    **example.judge(train, held_out, *networks),
                    "error, clean where": errors_under_noise(
                        held_out,
                        networks[0],
                        example.make_maps(networks[1], held_out.images),
                    ),
                }
                save("noise", f"{clutter}, seed {seed}, {noise}", row)


def errors_under_noise(data, predictor, maps, noise=0.5):
    """Errors where as many pixels stay clean as the mask of an image has.

    They are the brightest of the map, those of the mask, or any.
    """
    rng = np.random.default_rng(0)
    strength = noise * rng.normal(size=data.images.shape)
    counts = data.masks.sum(axis=(1, 2))[:, None]

    def highest(values):
        flat = values.reshape(len(values), -1)
        ranks = (-flat).argsort(axis=1).argsort(axis=1)
        return (ranks < counts).reshape(data.masks.shape)

    clean = {
        "map": highest(np.asarray(maps)),
        "mask": data.masks,
        "random": highest(rng.normal(size=data.masks.shape)),
    }
    return {
        name: float(
            data.errors(
                predictor.predict(
                    data.images + strength * ~keep[..., None], verbose=0
                )
            ).mean()
        )
        for name, keep in clean.items()
    }


def measure_collusion(sets, seeds, epochs, runs):
    for clutter in sets:
        for seed in seeds:
            for run in runs:
                keras.utils.set_random_seed(seed)
                train, test = example.make_data(clutter, seed)
                networks = train_networks(
                    *(train, clutter, epochs, seed), **RUNS[run]
                )
                row = {
                    "epochs": epochs,
                    **example.judge(train, test, *networks),
                }
                save("collusion", f"{clutter}, seed {seed}, {run}", row)


def save(part, key, row):
    """Adds one row to the results that stand in the file."""
    row = {
        name: round_all(value) if name != "epochs" else value
        for name, value in row.items()
    }
    results = _timing.so_far(NAME)
    results.setdefault(part, {})[key] = row
    _timing.write(NAME, results)
    print(part, key, json.dumps(row), flush=True)


def round_all(value):
    if isinstance(value, dict):
        return {name: round_all(item) for name, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--parts", nargs="+", default=["sets", "alone", "collusion"]
    )
    parser.add_argument(
        "--sets", nargs="+", default=["circles", "points", "objects"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", nargs="+", default=list(RUNS))
    parser.add_argument("--epochs", type=int, default=example.EPOCHS)
    parser.add_argument(
        "--noises", nargs="+", type=float, default=[0.04, 0.2, 0.5, 1.0]
    )
    parser.add_argument("--encoding", default="double", help="for alone")
    parser.add_argument("--folder", help="for pictures of the maps")
    parser.add_argument("--data", default=os.environ.get(VARIABLE))
    arguments = parser.parse_args(argv)
    if "sets" in arguments.parts:
        measure_sets(
            arguments.sets, arguments.seeds, arguments.epochs, arguments.folder
        )
    if "alone" in arguments.parts:
        measure_alone(
            *(arguments.sets, arguments.seeds, arguments.epochs),
            arguments.encoding,
        )
    if "noise" in arguments.parts:
        measure_noise(
            *(arguments.sets, arguments.seeds, arguments.epochs),
            arguments.noises,
        )
    if "collusion" in arguments.parts:
        measure_collusion(
            arguments.sets, arguments.seeds, arguments.epochs, arguments.runs
        )
    if "photos" in arguments.parts:
        from _pixel_attention_photos import measure_photos

        for key, row in measure_photos(arguments.data, arguments.seeds):
            save("photos", key, row)


if __name__ == "__main__":
    main()
