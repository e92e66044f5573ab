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

    python benchmarks/roi_classification.py --data DIR

Twenty minutes a set on one core; results/roi_classification.json.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time
import zlib

import _photos
import _timing
import keras
import numpy as np
import tensorflow as tf

import keras_xmap
from keras_xmap import datasets

NAME = "roi_classification"
SIZE = 96
CROP = (2.0, 4.0)
EPOCHS = 10
BATCH = 16
# Of the weights from ImageNet, and how many times that of those which start
# from nothing. Chosen on the first seed of MSRC, by the accuracy of attention
# behind the first layer and of blackening the image.
LEARNING_RATE = 5e-4
ATTENTION_FACTOR = 200
CLASSES_FACTOR = 20
MAX_PER_CLASS = 60
# Behind these, in pixels of photos of about 384 x 288.
SIZES = {"small, < 1000 px": 0, "1000 to 4000 px": 1000, "> 4000 px": 4000}
FIRST, MIDDLE, HIGH = "conv1", "fire4_concat", "fire9_concat"
FLOOR = "multiply, first layer"
WITHOUT = "no mask"
VARIANTS = {
    FLOOR: {"merge": "multiply", "merge_layer": FIRST},
    "add, first layer": {"merge": "add", "merge_layer": FIRST},
    "multiply, middle layer": {"merge": "multiply", "merge_layer": MIDDLE},
    "multiply, last layer": {"merge": "multiply", "merge_layer": HIGH},
    "multiply, all three": {
        "merge": "multiply",
        "merge_layer": [FIRST, MIDDLE, HIGH],
    },
    "hard, image": {"merge": "hard_image"},
    "hard, middle layer": {"merge": "hard_features", "merge_layer": MIDDLE},
    # Masks that are 1 everywhere: what a crop tells without its region.
    WITHOUT: {"merge": "hard_image"},
}


def coco(folder):
    """Instances of the classes with enough of them in enough photos."""
    base = pathlib.Path(folder.path, "coco_seg", "dev")
    photos = json.loads((base / "annotations.json").read_text())
    rows = [
        (number, row)
        for number, photo in enumerate(photos.values())
        for row in photo["instances"]
        if not row["iscrowd"]
    ]
    names = sorted({row["category"] for _, row in rows})
    content = {
        "images": [
            {
                "id": number,
                "file_name": name + ".jpg",
                "height": photo["height"],
                "width": photo["width"],
            }
            for number, (name, photo) in enumerate(photos.items())
        ],
        "categories": [{"id": i, "name": n} for i, n in enumerate(names)],
        "annotations": [
            {
                "image_id": number,
                "category_id": names.index(row["category"]),
                "segmentation": row["polygons"],
                "area": row["area"],
            }
            for number, row in rows
        ],
    }
    with tempfile.TemporaryDirectory() as scratch:
        file = os.path.join(scratch, "instances.json")
        with open(file, "w") as stream:
            json.dump(content, stream)
        return datasets.COCOInstances(file, base / "images", min_area=100)


def msrc(folder):
    """Regions of photos in which every pixel has a class."""
    base = pathlib.Path(folder.path, "msrc", "dev")
    mapping = pathlib.Path(folder.path, "mappings", _photos.MAPPINGS["msrc"])
    names = json.loads(mapping.read_text())
    return datasets.RegionFolders(
        base / "images",
        base / "masks",
        dict(enumerate(names, start=1)),
        min_area=100,
    )


def split(regions, min_train=15, min_test=5):
    """Training and test regions by photo, of classes with enough of both."""
    files = [os.path.basename(regions.file(i)) for i in range(len(regions))]
    test = np.array([zlib.crc32(file.encode()) % 3 == 0 for file in files])
    kept = []
    generator = np.random.default_rng(0)
    for label in np.unique(regions.labels):
        of_class = regions.labels == label
        if (of_class & ~test).sum() < min_train:
            continue
        if (of_class & test).sum() < min_test:
            continue
        for half in (test, ~test):
            rows = generator.permutation(np.flatnonzero(of_class & half))
            kept.extend(rows[:MAX_PER_CLASS])
    kept = np.sort(kept)
    return regions.subset(kept[~test[kept]]), regions.subset(kept[test[kept]])


def arrays(batches):
    """All batches as arrays, for every variant to see the same."""
    inputs, labels = zip(*batches.as_numpy_iterator(), strict=True)
    images = np.concatenate([x["image"] for x in inputs]).astype("uint8")
    masks = np.concatenate([x["mask"] for x in inputs])
    return images, (masks * 255).round().astype("uint8"), np.concatenate(labels)


def as_inputs(folder, images, masks, labels, classes):
    """A dataset of what a model takes, prepared batch by batch."""
    numbers = np.searchsorted(classes, labels).astype("int32")
    mean = folder.archs.CAFFE_MEAN_RGB

    def prepare(image, mask, label):
        mask = tf.cast(mask, "float32") / 255
        return {"image": tf.cast(image, "float32") - mean, "mask": mask}, label

    dataset = tf.data.Dataset.from_tensor_slices((images, masks, numbers))
    return dataset.batch(BATCH).map(prepare).prefetch(2)


def without_masks(dataset):
    """The same images and labels, of which every pixel is asked about."""
    return dataset.map(lambda x, y: ({**x, "mask": tf.ones_like(x["mask"])}, y))


class TwoSpeeds(keras.optimizers.AdamW):
    """AdamW that learns some weights faster.

    Args:
        factors: Dict from parts of the names of variables to how many times
            the learning rate they have.
    """

    def __init__(self, factors, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.factors = factors

    def update_step(self, gradient, variable, learning_rate):
        for name, factor in self.factors.items():
            if name in variable.name:
                learning_rate = learning_rate * factor
        super().update_step(gradient, variable, learning_rate)


def make_model(folder, variant, num_classes, steps, arguments):
    network = folder.network("squeezenet_v1_1", size=SIZE)
    features = network.get_layer("fire9_concat").output
    model = keras_xmap.models.roi_classifier(
        keras.Model(network.input, features),
        num_classes,
        activation=None,
        **VARIANTS[variant],
    )
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps - steps // 10,
        warmup_target=arguments.learning_rate,
        warmup_steps=steps // 10,
    )
    factors = {
        "roi_attention": arguments.attention_factor,
        "roi_classes": CLASSES_FACTOR,
    }
    optimizer = TwoSpeeds(factors, schedule, weight_decay=1e-4)
    optimizer.exclude_from_weight_decay(var_names=["roi_attention", "bias"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    return model


def trained(folder, variant, data, num_classes, arguments):
    """The model of a variant after training."""
    steps = int(data.cardinality())
    model = make_model(folder, variant, num_classes, steps, arguments)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    return model


def scores(correct, test):
    """Accuracy as the mean over classes: of all regions, and by size."""
    count = np.bincount(test.labels)[test.labels]
    weight = 1 / count
    report = {"all": float(np.average(correct, weights=weight))}
    edges = [*SIZES.values(), np.inf]
    for name, low, high in zip(SIZES, edges, edges[1:], strict=False):
        rows = (test.areas >= low) & (test.areas < high)
        # A draw of photos may have no region of this size.
        total = weight[rows].sum() or np.nan
        report[name] = float((correct[rows] * weight[rows]).sum() / total)
    return report


def compare(correct, test):
    """Gains of each variant over the first layer, with their intervals."""
    files = [test.file(i) for i in range(len(test))]
    _, photo = np.unique(files, return_inverse=True)
    members = [np.flatnonzero(photo == p) for p in range(photo.max() + 1)]
    generator = np.random.default_rng(0)
    draws = [
        np.concatenate([members[p] for p in chosen])
        for chosen in generator.integers(
            len(members), size=(2000, len(members))
        )
    ]
    report = {}
    for variant, of_seeds in correct.items():
        own, floor = np.mean(of_seeds, 0), np.mean(correct[FLOOR], 0)
        gain = scores(own - floor, test)
        drawn = [
            scores((own - floor)[rows], test.subset(rows)) for rows in draws
        ]
        report[variant] = {
            key: [
                round(gain[key], 3),
                *np.nanquantile([d[key] for d in drawn], [0.025, 0.975]).round(
                    3
                ),
            ]
            for key in gain
        }
    return report


def run(name, regions, folder, arguments, save):
    train, test = split(regions)
    classes = np.unique(train.labels)
    print(f"{name}: {len(train)} + {len(test)} regions, {len(classes)} classes")
    tested = datasets.region_batches(test, SIZE, crop=CROP)
    tested = as_inputs(folder, *arrays(tested), classes)
    truth = np.searchsorted(classes, test.labels)
    correct = {variant: [] for variant in arguments.variants}
    seconds = {variant: 0.0 for variant in arguments.variants}
    for seed in range(arguments.seeds):
        batches = datasets.region_batches(
            train, SIZE, crop=CROP, training=True, seed=seed
        ).map(
            datasets.PairedAugmentation(
                keras.layers.RandomFlip("horizontal", seed=seed)
            )
        )
        passes = [arrays(batches) for _ in range(arguments.epochs)]
        passes = [np.concatenate(parts) for parts in zip(*passes, strict=True)]
        data = as_inputs(folder, *passes, classes)
        for variant in arguments.variants:
            keras.utils.set_random_seed(seed)
            shown = [data, tested]
            if variant == WITHOUT:
                shown = [without_masks(dataset) for dataset in shown]
            start = time.perf_counter()
            model = trained(folder, variant, shown[0], len(classes), arguments)
            took = time.perf_counter() - start
            answers = model.predict(shown[1], verbose=0).argmax(-1)
            correct[variant].append((answers == truth).astype(float))
            seconds[variant] += took / arguments.seeds
            one = scores(correct[variant][-1], test)
            line = {key: round(value, 3) for key, value in one.items()}
            print(f"  {seed} {variant}: {line} {took:.0f} s", flush=True)
            keras.backend.clear_session()
    accuracy = {}
    for variant, of_seeds in correct.items():
        rows = [scores(row, test) for row in of_seeds]
        accuracy[variant] = {
            key: {
                "mean": round(float(np.mean([row[key] for row in rows])), 3),
                "seeds": [round(row[key], 3) for row in rows],
            }
            for key in rows[0]
        }
    sizes = np.digitize(test.areas, list(SIZES.values())[1:])
    save(
        name,
        {
            "regions": [len(train), len(test)],
            "classes": [regions.class_names[label] for label in classes],
            "tested by size": dict(
                zip(SIZES, np.bincount(sizes).tolist(), strict=True)
            ),
            "accuracy": accuracy,
            "gain": compare(correct, test),
            "seconds of training": {k: round(v) for k, v in seconds.items()},
        },
    )


SETS = {"coco_seg": coco, "msrc": msrc}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _photos.add_data(parser)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
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
    parser.add_argument("--quick", action="store_true", help="writes no file")
    arguments = parser.parse_args(argv)
    folder = _photos.folder_of(parser, arguments)
    # Other settings are trials: the file holds one row a variant.
    trial = arguments.quick or (
        arguments.epochs,
        arguments.learning_rate,
        arguments.attention_factor,
    ) != (EPOCHS, LEARNING_RATE, ATTENTION_FACTOR)
    results = {} if trial else _timing.so_far(NAME)

    def save(name, report):
        earlier = results.setdefault(name, {})
        for key, value in report.items():
            if isinstance(value, dict):
                earlier[key] = {**earlier.get(key, {}), **value}
            else:
                earlier[key] = value
        if not trial:
            _timing.write(NAME, results)

    for name in arguments.sets:
        run(name, SETS[name](folder), folder, arguments, save)
    return results


if __name__ == "__main__":
    main()
