"""`keras-xmap demo`: train with evidence, explain, and measure the maps.

Scenes of several printed digits on clutter; a region of interest
points at one of them, and a small CNN with a `ROIAttention` layer learns to
read that one. Then every explainer says which pixels carried the answer, and
since the pixels of each digit are known, the maps are measured.
"""

import keras
import numpy as np

from keras_xmap import datasets
from keras_xmap import explainers
from keras_xmap import layers
from keras_xmap import metrics
from keras_xmap import visualization
from keras_xmap._checks import check_positive_integer
from keras_xmap.cli._output import OutputFolder

SIZE = 48
NUM_CLASSES = 10

# The methods of the demonstration, with fewer samples than they would take
# by default, and those that stand in the pictures.
METHODS = {
    "CAM": {},
    "GradCAM": {},
    "GradCAMPlusPlus": {},
    "HiResCAM": {},
    "LayerCAM": {},
    "RegionCAM": {},
    "EigenCAM": {},
    "ScoreCAM": {"max_channels": 16},
    "Saliency": {},
    "SmoothGrad": {"num_samples": 25},
    "IntegratedGradients": {"num_steps": 20},
    "GradientInput": {},
    "GuidedBackprop": {},
    "DeconvNet": {},
    "GuidedGradCAM": {},
    "DistinctClassSaliency": {"scales": (1,)},
    "Occlusion": {"patch_size": 8, "strides": 4},
    "QuadtreeOcclusion": {"patch_size": 8, "strides": 2, "tolerance": 0.1},
    "RISE": {"num_masks": 100},
}
SHOWN = (
    "GradCAM",
    "LayerCAM",
    "Saliency",
    "SmoothGrad",
    "GuidedBackprop",
    "Occlusion",
)


def pointed_scenes(num_scenes, split, seed):
    """Scenes with a region that points at one of their digits.

    Returns:
        A tuple `(inputs, labels, masks)`: inputs `{"image": (n, 48, 48, 1),
        "region": (n, 48, 48)}`, labels `(n,)` of the digit pointed at, and
        masks `(n, 48, 48)` of its pixels. The region is a box around them.
    """
    scenes = datasets.printed_scenes(
        num_scenes, size=SIZE, multi_label=True, split=split, seed=seed
    )
    generator = np.random.default_rng(seed)
    labels = np.array(
        [generator.choice(np.flatnonzero(row)) for row in scenes.labels]
    )
    masks = scenes.masks[np.arange(num_scenes), ..., labels]
    regions = np.stack([box_around(mask) for mask in masks])
    return {"image": scenes.images, "region": regions}, labels, masks


def box_around(mask, margin=2):
    """Returns a float32 mask of the box around `mask`, `margin` px wider."""
    rows, columns = np.nonzero(mask)
    box = np.zeros(mask.shape, "float32")
    box[
        max(0, rows.min() - margin) : rows.max() + margin + 1,
        max(0, columns.min() - margin) : columns.max() + margin + 1,
    ] = 1
    return box


def make_model():
    """An ordinary CNN for images of any size, with one layer of ours."""
    image = keras.Input((None, None, 1), name="image")
    region = keras.Input((None, None), name="region")
    x = image
    for block, filters in enumerate((16, 32, 64, 64)):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        if block == 0:
            x = layers.ROIAttention(name="attention")([x, region])
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU(name=f"features_{block}")(x)
        if block < 2:
            x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(NUM_CLASSES, activation="softmax")(x)
    return keras.Model({"image": image, "region": region}, outputs)


def train(model, inputs, labels, epochs, batch_size=32):
    steps = epochs * -(-len(labels) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(inputs, labels, batch_size=batch_size, epochs=epochs, verbose=2)


def explain(model, inputs, labels):
    """Returns the maps of each method over the image: name -> `(n, h, w)`."""
    maps = {}
    for name, options in METHODS.items():
        explainer = getattr(explainers, name)(model, **options)
        found = explainer.explain(inputs, labels, verbose=0)
        found = found["image"] if isinstance(found, dict) else found
        # What speaks against the digit is no evidence for it.
        maps[name] = np.maximum(found, 0)
    return maps


def measure(maps, masks):
    """Returns pointing game, energy and IoU of each method, in [0, 1]."""
    centre = np.zeros(masks.shape[1:], "float32")
    centre[masks.shape[1] // 2, masks.shape[2] // 2] = 1
    baseline = {"(image centre)": np.broadcast_to(centre, masks.shape)}
    rows = {}
    for name, of_method in {**baseline, **maps}.items():
        row = []
        for kind in (
            metrics.PointingGame,
            metrics.EnergyInMask,
            metrics.MeanIoU,
        ):
            metric = kind()
            metric.update_state(masks, of_method)
            row.append(float(metric.result()))
        rows[name] = row
    return rows


def picture(inputs, masks, maps, num_scenes=6):
    """Returns a panel: a scene a row, then what each method found in it."""
    images, regions = inputs["image"][..., 0], inputs["region"]
    rows = []
    for i in range(min(num_scenes, len(images))):
        pointed = np.stack([images[i]] * 3, axis=-1)
        pointed[..., 0] = np.maximum(pointed[..., 0], 0.5 * regions[i])
        rows.append(
            [pointed, masks[i]]
            + [visualization.overlay(images[i], maps[k][i]) for k in SHOWN]
        )
    titles = ["image + region", "digit", *SHOWN]
    size = 2 * images.shape[1]
    return visualization.panel(rows, titles, cell_size=(size, size))


def photo_with_digits(size=96):
    """A photo that ships in scikit-image, two unseen digits written on it.

    Returns:
        A tuple `(inputs, labels, masks)` as `pointed_scenes`: the photo
        twice, with the region once around each digit.
    """
    from skimage import data
    from skimage.color import rgb2gray
    from skimage.transform import resize

    photo = rgb2gray(data.coffee())[:400, 100:500]
    photo = resize(photo, (size, size), anti_aliasing=True)
    scenes = datasets.printed_scenes(
        40, size=SIZE, num_classes=NUM_CLASSES, split="test", seed=5
    )
    labels, masks = [], []
    for number, (row, column) in zip((3, 8), ((0, 0), (48, 44)), strict=True):
        index = np.flatnonzero(scenes.labels == number)[0]
        ink = scenes.masks[index]
        mask = np.zeros((size, size), "bool")
        mask[row : row + SIZE, column : column + SIZE] = ink
        photo[mask] = scenes.images[index][ink][:, 0]
        labels.append(number)
        masks.append(mask)
    image = photo[None, ..., None].astype("float32")
    inputs = {
        "image": np.repeat(image, 2, axis=0),
        "region": np.stack([box_around(mask) for mask in masks]),
    }
    return inputs, np.array(labels), np.stack(masks)


def main(
    directory, num_scenes=5000, num_tests=200, epochs=6, seed=0, force=False
):
    """Runs the demonstration and returns `(accuracy, measures)`.

    Writes `demo.png`, `photo.png` and one `maps_METHOD.npy` a method, of
    shape `(num_tests, 48, 48)`, into the folder `directory`; over files that
    are there only by `force`.
    """
    check_positive_integer("--scenes", num_scenes)
    check_positive_integer("--epochs", epochs)
    folder = OutputFolder(directory, force)
    arrays = [f"maps_{name}.npy" for name in METHODS]
    folder.check_free([*arrays, "demo.png", "photo.png"])
    keras.utils.set_random_seed(seed)
    print(f"Training on {num_scenes} scenes of printed digits.")
    inputs, labels, _ = pointed_scenes(num_scenes, "train", seed)
    model = make_model()
    train(model, inputs, labels, epochs)
    inputs, labels, masks = pointed_scenes(num_tests, "test", seed + 1)
    _, accuracy = model.evaluate(inputs, labels, verbose=0)
    everywhere = {**inputs, "region": np.ones_like(inputs["region"])}
    _, without = model.evaluate(everywhere, labels, verbose=0)
    print(f"\nRight digit read: {accuracy:.3f} of {num_tests} test scenes")
    print(f"the same without a region to point at it: {without:.3f}\n")

    maps = explain(model, inputs, labels)
    measures = measure(maps, masks)
    print(f"{'':<20}{'pointing':>10}{'energy':>10}{'IoU':>10}")
    for name, row in measures.items():
        print(f"{name:<20}" + "".join(f"{value:>10.3f}" for value in row))
    for name, of_method in maps.items():
        folder.write_array(f"maps_{name}.npy", of_method)
    folder.write_image("demo.png", picture(inputs, masks, maps))

    inputs, labels, masks = photo_with_digits()
    said = model.predict(inputs, verbose=0).argmax(axis=-1)
    maps = explain(model, inputs, labels)
    folder.write_image("photo.png", picture(inputs, masks, maps))
    print(f"\nOn a photo, pointed at {labels}, the model reads {said}.")
    print(f"Pictures and maps are in {directory}")
    return accuracy, measures
