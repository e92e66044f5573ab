"""Makes the pictures that stand at every explainer: its maps of three photos.

    python -m docs.rendering.method_pictures --model network.keras

The photos ship with scikit-image. The network takes pixels from -1 to 1;
without `--model` it is the MobileNetV2 of `keras.applications`, which Keras
downloads. The class is the one that the network answers.
"""

import argparse
import importlib.util

import numpy as np
from PIL import Image

from docs.rendering.example import ROOT

FOLDER = ROOT / "docs" / "images" / "methods"
SIDE = 160
# Options where a method would take minutes, or points better by them.
OPTIONS = {
    "ClassModel": {"jitter": 16, "blur": 0.5},
    "LayerCAM": {"target_layer": 2},
    "ScoreCAM": {"max_channels": 64},
    "SmoothGrad": {"num_samples": 16, "seed": 0},
    "IntegratedGradients": {"num_steps": 20},
    "Occlusion": {"patch_size": 48, "strides": 16},
    "QuadtreeOcclusion": {"patch_size": 48, "strides": 4},
    "RISE": {"num_masks": 500},
}
OVER_THE_PHOTO = (
    "CAM",
    "DistinctClassSaliency",
    "EigenCAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "HiResCAM",
    "LayerCAM",
    "Occlusion",
    "QuadtreeOcclusion",
    "RISE",
    "RegionCAM",
    "ScoreCAM",
)
SHOWN_ALONE = (
    "DeconvNet",
    "GradientInput",
    "GuidedBackprop",
    "GuidedGradCAM",
    "IntegratedGradients",
    "Saliency",
    "SmoothGrad",
)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help="default: all")
    parser.add_argument("--model", help="saved model, for pixels of -1 to 1")
    arguments = parser.parse_args(argv)
    example = photos_example()
    model = example.make_model(arguments.model)
    photos = example.make_data(model.input_shape[1])
    images = photos.astype("float32") / 127.5 - 1
    classes = model.predict(images, verbose=0).argmax(axis=-1)
    FOLDER.mkdir(exist_ok=True)
    names = (*OVER_THE_PHOTO, *SHOWN_ALONE, "ClassModel")
    for name in arguments.methods or names:
        print(name, flush=True)
        write(name, pictures_of(name, model, photos, images, classes))


def photos_example():
    """Returns the module of the example that explains the same photos."""
    (path,) = (ROOT / "examples").glob("*_photos.py")
    spec = importlib.util.spec_from_file_location("photos", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pictures_of(name, model, photos, images, classes):
    """Returns one picture a photo, as a method sees it."""
    from keras_xmap import explainers
    from keras_xmap import visualization

    method = getattr(explainers, name)(model, **OPTIONS.get(name, {}))
    if name == "ClassModel":
        found = np.concatenate([method(int(x)) for x in classes])
        return [stretched(x, 0.01) for x in found]
    maps = np.asarray(method.explain(images, classes, verbose=0))
    if name == "RISE":  # has a level of its own
        maps = maps - maps.min(axis=(1, 2), keepdims=True)
    maps = np.maximum(maps, 0)  # what speaks for the class
    if name in SHOWN_ALONE:
        return [stretched(x, 0.01, low=0.0) for x in maps]
    return [
        visualization.overlay(photo, heatmap)
        for photo, heatmap in zip(photos, maps, strict=True)
    ]


def stretched(x, share, low=None):
    """Returns `x` from black to white, a share of it beyond either."""
    from keras_xmap import visualization

    low = np.quantile(x, share) if low is None else low
    high = np.quantile(x, 1 - share)
    x = np.clip((x - low) / max(high - low, 1e-12), 0, 1)
    return visualization.to_uint8(x)


def write(name, pictures):
    """Writes pictures side by side, named as the module of the method."""
    from keras_xmap import explainers
    from keras_xmap import visualization

    panel = visualization.panel([pictures], None, (SIDE, SIDE), "bilinear")
    module = getattr(explainers, name).__module__.rpartition(".")[2]
    Image.fromarray(panel).save(FOLDER / f"{module}.jpg", quality=80)


if __name__ == "__main__":
    main()
