"""`keras-xmap explain`: a saved model and image files in, pictures out."""

import inspect
import os

import keras
import numpy as np
from skimage import io
from skimage.color import rgb2gray
from skimage.transform import resize

from keras_xmap import explainers
from keras_xmap import layers  # noqa: F401  # saved models may hold them
from keras_xmap import losses  # noqa: F401
from keras_xmap import visualization
from keras_xmap.cli._output import OutputFolder
from keras_xmap.explainers.explainer import Explainer


def methods():
    """Returns the explainers of images by their name on the command line.

    The name is the class's own in small letters: `gradcam` for `GradCAM`.
    """
    kinds = [getattr(explainers, name) for name in explainers.__all__]
    return {
        kind.__name__.lower(): kind
        for kind in sorted(kinds, key=lambda kind: kind.__name__.lower())
        if issubclass(kind, Explainer)
    }


def run(arguments):
    """Explains every image, one by one, and writes map and picture of each."""
    kind = _method(arguments.method)
    stems = [os.path.splitext(os.path.basename(p))[0] for p in arguments.images]
    names = [f"{stem}.{kind.__name__.lower()}" for stem in stems]
    output = OutputFolder(arguments.output, arguments.force)
    output.check_free(
        [name + suffix for name in names for suffix in (".npy", ".png")]
    )
    pictures = [_read(path) for path in arguments.images]
    model = _load(arguments.model, safe=not arguments.unsafe)
    explainer = _make_explainer(kind, model, arguments.layer)
    for path, name, picture in zip(
        arguments.images, names, pictures, strict=True
    ):
        image = _prepare(picture, model, arguments.range)
        try:
            map = explainer.explain(image, arguments.target, verbose=0)[0]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error
        output.write_array(f"{name}.npy", map)
        overlay = visualization.overlay(picture, map)
        written = output.write_image(f"{name}.png", overlay)
        print(f"{path}: {_answer(model, image, arguments.target)} -> {written}")
    layers_used = getattr(explainer, "layers_used", None)
    if layers_used:
        print(f"layer explained: {', '.join(layers_used)}")
    print(f"score explained: {explainer.score_used}")


def _method(name):
    known = methods()
    plain = name.lower().replace("-", "").replace("_", "")
    if plain not in known:
        raise ValueError(
            f"`--method` must be one of {', '.join(known)}. Received: {name}."
        )
    return known[plain]


def _read(path):
    """Returns an image file as RGB uint8."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no image {path}.")
    try:
        image = io.imread(path)
    except Exception as error:
        # Every file format has errors of its own.
        raise ValueError(
            f"{path} cannot be read as an image: {error}"
        ) from None
    return visualization.to_uint8(image)


def _load(path, safe):
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no model {path}.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=safe)
    except Exception as error:
        hint = (
            " If the model holds Lambda layers and you trust it, add "
            "`--unsafe`; a model with layers of your own must be explained "
            "in Python, where they are imported."
        )
        raise ValueError(f"{path} cannot be loaded: {error}.{hint}") from error


def _make_explainer(kind, model, layer):
    if layer is None:
        return kind(model)
    if "target_layer" not in inspect.signature(kind).parameters:
        raise ValueError(
            f"`--layer` is for class activation maps. Received: --method "
            f"{kind.__name__.lower()}, which explains the input itself."
        )
    return kind(model, target_layer=layer)


def _prepare(picture, model, value_range):
    """Returns a batch of one image, as the model takes it."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            "The command explains models with one image as input, of shape "
            f"(height, width, channels). Received: a model with input_shape="
            f"{shape}. Use `keras_xmap.explainers` in Python for others."
        )
    first = shape[1] in (1, 3) and shape[3] not in (1, 3)
    channels = shape[1] if first else shape[3]
    size = shape[2:] if first else shape[1:3]
    image = picture / 255.0
    if channels == 1:
        image = rgb2gray(image)[..., None]
    elif channels not in (3, None):
        raise ValueError(
            "The model must take images of 1 or 3 channels. Received: "
            f"input_shape={shape}."
        )
    size = tuple(
        known or own for known, own in zip(size, image.shape[:2], strict=True)
    )
    if size != image.shape[:2]:
        image = resize(image, size, anti_aliasing=True)
    black, white = value_range
    image = (black + (white - black) * image).astype("float32")
    return (np.moveaxis(image, -1, 0) if first else image)[None]


def _answer(model, image, target):
    if target is not None:
        return f"class {target}"
    scores = np.asarray(model(image, training=False))[0]
    return f"class {scores.argmax()} (highest, output {scores.max():.3f})"
