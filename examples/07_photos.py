"""Where does a network trained on ImageNet look in real photos?

You have photos and a trained network. This page makes the picture at the top
of the README: a cat, a cup of coffee and a motorcycle, each explained by six
methods for the class that the network itself answers.

Three things decide whether a map is right, and each is one line here: pixels
prepared as the network was trained on, the class that is asked about, and the
layer that is looked at. The last layer of many networks points beside the
object; `LayerCAM` averaged over the last layers of the two coarsest sizes,
`target_layer=2`, pointed best on photos (docs/localization.md).

Data: photos that ship with scikit-image, in the public domain or CC0.
Network: `keras.applications.MobileNetV2`, which Keras downloads; or a saved
model of your own that takes pixels from -1 to 1, `--model FILE.keras`.
Time: half a minute on two CPU cores.
Expect: the number of maps that show something, 18 of 18.
"""

import argparse
import os

import keras
import numpy as np
from PIL import Image
from skimage import data

from keras_xmap import explainers
from keras_xmap import visualization

METHODS = {
    "Grad-CAM": lambda model: explainers.GradCAM(model),
    "LayerCAM, 2 sizes": lambda model: explainers.LayerCAM(
        model, target_layer=2
    ),
    "RegionCAM": lambda model: explainers.RegionCAM(model),
    "SmoothGrad": lambda model: explainers.SmoothGrad(
        model, num_samples=16, seed=0
    ),
    "Guided Grad-CAM": lambda model: explainers.GuidedGradCAM(model),
    "Occlusion": lambda model: explainers.Occlusion(
        model, patch_size=48, strides=16
    ),
}
FINE = ("SmoothGrad", "Guided Grad-CAM")


def make_data(size):
    """Three photos, cut to squares `(3, size, size, 3)` of 0 to 255."""
    photos = [data.chelsea(), data.coffee(), data.stereo_motorcycle()[0]]
    squares = []
    for photo in photos:
        side = min(photo.shape[:2])
        top, left = ((length - side) // 2 for length in photo.shape[:2])
        square = Image.fromarray(photo[top : top + side, left : left + side])
        squares.append(np.asarray(square.resize((size, size))))
    return np.stack(squares)


def make_model(path=None, smoke=False):
    """A network of photos; without training where nothing may be loaded."""
    if smoke:
        keras.utils.set_random_seed(0)
        return keras.applications.MobileNetV2(
            (64, 64, 3), alpha=0.35, weights=None
        )
    if path is not None:
        return keras.saving.load_model(path, compile=False)
    return keras.applications.MobileNetV2(weights="imagenet")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="saved model, for pixels of -1 to 1")
    parser.add_argument("--folder", default="build/photos")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args(argv)

    model = make_model(arguments.model, arguments.smoke)
    photos = make_data(model.input_shape[1])

    # The same preprocessing as in training.
    images = keras.applications.mobilenet_v2.preprocess_input(
        photos.astype("float32")
    )
    # The class that the network answers, the same for every method.
    probabilities = model.predict(images, verbose=0)
    classes = probabilities.argmax(axis=-1)
    for index, of_photo in zip(classes, probabilities, strict=True):
        print(f"class {index} with probability {of_photo[index]:.2f}")

    maps = {
        name: make(model).explain(images, classes, verbose=0)
        for name, make in METHODS.items()
    }
    shown = sum(int(one.any()) for found in maps.values() for one in found)
    print(f"{shown} maps show something")

    rows = [
        [photo, *(draw(photo, name, maps[name][i]) for name in METHODS)]
        for i, photo in enumerate(photos)
    ]
    write(arguments.folder, "photos.jpg", rows, ["photo", *METHODS], 168)
    write(arguments.folder, "cat.jpg", [[rows[0][0], rows[0][2]]], None, 224)
    return shown


def draw(photo, name, heatmap):
    """Lays a map over the photo; maps of single pixels are shown alone."""
    heatmap = np.maximum(heatmap, 0)  # what speaks for the class
    if name not in FINE:
        return visualization.overlay(photo, heatmap)
    # A few pixels far above all others would leave the rest dark.
    heatmap = np.minimum(heatmap, np.quantile(heatmap, 0.99))
    return visualization.to_uint8(heatmap / heatmap.max())


def write(directory, name, rows, titles, side):
    os.makedirs(directory, exist_ok=True)
    picture = visualization.panel(rows, titles, (side, side), "bilinear")
    Image.fromarray(picture).save(os.path.join(directory, name), quality=88)


if __name__ == "__main__":
    main()
