"""What is in this region? Telling a network where to look.

A classifier answers for the whole image. Often the question is about one
region of it, which someone has marked: what is this stone, this cell, this
field? You could blacken everything else, but then the network no longer sees
what surrounds the region, and of a small region little is left. Instead, give
the mask to the network and let it learn what to make of it:

    model = keras_xmap.models.roi_classifier(backbone, num_classes)
    model.fit({"image": images, "mask": masks}, labels)

On this page the mask enters behind the first layer, behind a higher one and
behind several, by multiplying or adding, and is compared with blackening the
image or the features. Which is best depends on the data. Here the surroundings
tell next to nothing, and blackening the image is hard to beat; of the ways
that keep the surroundings, the first layer is best. Where the surroundings are
what tells, as in `keras_xmap.datasets.context_scenes`, blackening cannot work:
both are measured on the page "Classifying regions" of the documentation.

Data: six real textures that ship with scikit-image, no download. A scene
shows three of them, and the region is one of two patches of 12 to 200 pixels;
training and test come from different halves of each texture.
Time: about three minutes on one CPU core.
Expect: accuracy about 0.7 with attention behind the first layer, 0.6 behind a
higher one, 0.8 with the image blackened; 0.1 to 0.2 less on small regions.
"""

import argparse

import keras
import numpy as np
from PIL import Image
from skimage import color
from skimage import data

import keras_xmap
from keras_xmap import visualization

TEXTURES = (
    "brick",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "page",
)
SIZE = 32
VARIANTS = {
    "multiply, first layer": {"merge": "multiply", "merge_layer": "first"},
    # At a learning rate for networks from nothing, faster sums run away.
    "add, first layer": {"merge": "add", "merge_layer": "first", "gain": 1},
    "multiply, higher layer": {"merge": "multiply", "merge_layer": "third"},
    "multiply, both layers": {
        "merge": "multiply",
        "merge_layer": ["first", "third"],
    },
    "hard, image": {"merge": "hard_image"},
    "hard, higher layer": {"merge": "hard_features", "merge_layer": "third"},
}


def load_texture(name, split):
    """One half of a texture, grey, of mean 0 and standard deviation 1."""
    image = getattr(data, name)()
    grey = color.rgb2gray(image) if image.ndim == 3 else image / 255
    half = grey.shape[1] // 2
    grey = grey[:, :half] if split == "train" else grey[:, half:]
    return ((grey - grey.mean()) / grey.std()).astype("float32")


def make_data(num_scenes, split):
    """Scenes `(n, 32, 32, 1)`, masks `(n, 32, 32)` and classes `(n,)`."""
    rng = np.random.default_rng(0 if split == "train" else 1)
    textures = [load_texture(name, split) for name in TEXTURES]
    y, x = np.mgrid[:SIZE, :SIZE]
    images = np.zeros((num_scenes, SIZE, SIZE, 1), "float32")
    masks = np.zeros((num_scenes, SIZE, SIZE), "float32")
    labels = np.zeros(num_scenes, "int32")
    for row in range(num_scenes):
        classes = rng.permutation(len(TEXTURES))[:3]
        patches = []
        for label in classes:
            texture = textures[label]
            top = rng.integers(texture.shape[0] - SIZE)
            left = rng.integers(texture.shape[1] - SIZE)
            patches.append(texture[top : top + SIZE, left : left + SIZE])
        # The left patch and the right one, of 12 to 200 pixels each.
        image = patches[0].copy()
        discs = []
        for side, patch in enumerate(patches[1:]):
            area = np.exp(rng.uniform(np.log(12), np.log(200)))
            stretch = np.exp(rng.uniform(-0.3, 0.3))
            centre_y, centre_x = rng.uniform(9, 23), 8 + 16 * side
            distance = ((y - centre_y) * stretch) ** 2
            distance = distance + ((x - centre_x) / stretch) ** 2
            disc = distance < area / np.pi
            image[disc] = patch[disc]
            discs.append(disc)
        asked = rng.integers(2)
        images[row, ..., 0] = image
        masks[row] = discs[asked]
        labels[row] = classes[1 + asked]
    return images, masks, labels


def make_model():
    """A backbone of four convolutions that knows nothing of regions."""
    inputs = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.Conv2D(16, 5, padding="same", name="first")(inputs)
    for filters, name in ((32, "second"), (64, "third"), (64, "fourth")):
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU()(x)
        if name != "fourth":
            x = keras.layers.MaxPooling2D()(x)
        x = keras.layers.Conv2D(filters, 3, padding="same", name=name)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    return keras.Model(inputs, keras.layers.ReLU()(x))


def trained(name, scenes, epochs, seed=0):
    """A classifier of regions, trained on scenes, from a variant's name."""
    images, masks, labels = scenes
    keras.utils.set_random_seed(seed)
    model = keras_xmap.models.roi_classifier(
        make_model(), len(TEXTURES), **VARIANTS[name]
    )
    steps = epochs * -(-len(labels) // 32)
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-3)
    # On a CPU, to compile so small a network takes longer than to train it.
    model.compile(
        optimizer, "sparse_categorical_crossentropy", jit_compile=False
    )
    model.fit(
        {"image": images, "mask": masks}, labels, epochs=epochs, verbose=0
    )
    return model


def right(model, scenes):
    """Whether the model tells each region of the scenes rightly."""
    images, masks, labels = scenes
    told = model.predict({"image": images, "mask": masks}, verbose=0)
    return told.argmax(-1) == labels


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--picture", help="file for a picture of attention")
    parser.add_argument("--smoke", action="store_true", help="a quick look")
    arguments = parser.parse_args(argv)
    variants = VARIANTS
    if arguments.smoke:
        arguments.scenes, arguments.epochs = 2000, 6
        variants = dict(list(VARIANTS.items())[:1])

    training = make_data(arguments.scenes, "train")
    test = make_data(1500, "test")
    test_images, test_masks, test_labels = test
    area = test_masks.sum(axis=(1, 2))
    sizes = {
        "all": area > 0,
        "< 30 px": area < 30,
        "30 to 80 px": (area >= 30) & (area < 80),
        "> 80 px": area >= 80,
    }
    print(f"{'accuracy':<24}" + "".join(f"{name:>13}" for name in sizes))
    accuracy, models = {}, {}
    for name in variants:
        model = models[name] = trained(name, training, arguments.epochs)
        correct = right(model, test)
        accuracy[name] = [correct[rows].mean() for rows in sizes.values()]
        numbers = "".join(f"{value:>13.3f}" for value in accuracy[name])
        print(f"{name:<24}{numbers}", flush=True)

    # What did the first layer make of a mask? Its attention says, in units
    # of the feature: 1 leaves it as it is.
    best = models["multiply, first layer"]
    attention = best.get_layer("first_roi_attention").attention(test_masks[:4])
    attention = keras.ops.convert_to_numpy(attention)
    inside = attention[test_masks[:4] > 0]
    outside = attention[test_masks[:4] == 0]
    print(
        f"attention inside of the mask {inside.mean():.2f}, "
        f"outside {outside.mean():.2f}"
    )
    # Any explainer takes the two inputs as the model does.
    explainer = keras_xmap.explainers.Saliency(best)
    given = {"image": test_images[:4], "mask": test_masks[:4]}
    saliency = explainer.explain(given, test_labels[:4], verbose=0)["image"]
    if arguments.picture:
        rows = [
            [
                visualization.to_uint8(image, (-2, 2)),
                mask,
                visualization.overlay(
                    visualization.to_uint8(image, (-2, 2)),
                    attended.mean(axis=-1),
                ),
                visualization.overlay(
                    visualization.to_uint8(image, (-2, 2)), pixels
                ),
            ]
            for image, mask, attended, pixels in zip(
                test_images[:4],
                test_masks[:4],
                attention,
                saliency,
                strict=True,
            )
        ]
        picture = visualization.panel(
            rows, ["scene", "region", "attention", "Saliency"], (96, 96)
        )
        Image.fromarray(picture).save(arguments.picture)
    return float(accuracy["multiply, first layer"][0])


if __name__ == "__main__":
    main()
