"""`keras-xmap explain`: a saved model and image files in, pictures out."""

import functools
import inspect
import os
import sys
import warnings

import keras

from keras_xmap import explainers
from keras_xmap import visualization
from keras_xmap._image_files import read_photo
from keras_xmap.cli._answer import Answers
from keras_xmap.cli._answer import answer_of
from keras_xmap.cli._class_names import ClassNames
from keras_xmap.cli._model_inputs import ModelInputs
from keras_xmap.cli._model_outputs import ModelOutput
from keras_xmap.cli._output import OutputFolder
from keras_xmap.cli._pixels import Pixels
from keras_xmap_command import METHODS
from keras_xmap_command import method_name

# What Keras says of a class that it does not know.
_UNKNOWN_LAYER = ("Could not locate class", "Unknown layer")


def methods():
    """Returns the explainers of images by their name on the command line."""
    kinds = {
        name.lower(): getattr(explainers, name) for name in explainers.__all__
    }
    return {name: kinds[name] for name in METHODS}


def run(arguments):
    """Explains every image, one by one, and writes map and picture of each.

    Returns the errors, by path, of those that could not be.
    """
    kind = method_named(arguments.method)
    stems = [os.path.splitext(os.path.basename(p))[0] for p in arguments.images]
    names = [f"{stem}.{kind.__name__.lower()}" for stem in stems]
    folder = OutputFolder(arguments.directory, arguments.force)
    folder.check_free(
        [name + suffix for name in names for suffix in (".npy", ".png")]
    )
    _check_there(arguments.images)
    masks = _masks(arguments.mask, len(arguments.images))
    class_names = ClassNames(arguments.labels)
    target = class_names.index(arguments.target)
    pixels = Pixels(arguments.range, arguments.preprocess)
    model = load_model(arguments.model, safe=not arguments.unsafe)
    pixels.hint(model)
    inputs = ModelInputs(model, pixels)
    output = ModelOutput(model, arguments.output, inputs, arguments.class_axis)
    _check_mask_taken(arguments.mask, inputs)
    explainer = _make_explainer(kind, model, arguments.target_layer, inputs)
    explained = functools.partial(
        explainer.explain, verbose=0, views=arguments.views
    )
    answers = Answers(model, output)
    errors = {}
    for path, name, mask in zip(arguments.images, names, masks, strict=True):
        try:
            picture = _read(path)
            data = inputs.make(picture, mask)
            index, answer = answer_of(
                answers.of_image(data), answers, output, target, class_names
            )
            with warnings.catch_warnings(record=True) as notes:
                warnings.simplefilter("always")
                found = explained(data, output.target(index))
            for note in notes:
                print(f"keras-xmap: {path}: {note.message}", file=sys.stderr)
        except Exception as error:
            # Of a size that the model does not take, each backend has its own.
            errors[path] = error
            continue
        heatmap = _map_of_image(found, inputs.image_name)
        written = _write(folder, name, picture, heatmap)
        print(f"{path}: {answer} -> {written}")
    if len(errors) < len(names):
        _print_what_was_explained(explainer, output, inputs, arguments.mask)
    return errors


def _write(folder, name, picture, heatmap):
    folder.write_array(f"{name}.npy", heatmap)
    overlay = visualization.overlay(picture, heatmap)
    return folder.write_image(f"{name}.png", overlay)


def _print_what_was_explained(explainer, output, inputs, masks):
    layers_used = getattr(explainer, "layers_used", None)
    if layers_used:
        print(f"layer explained: {', '.join(layers_used)}")
    print(f"score explained: {explainer.score_used}")
    print(f"output explained: {output.described}")
    if inputs.takes_mask and not masks:
        print("mask: the whole image; `--mask FILE` gives a region")


def method_named(name):
    """Returns the class of a method by its name on the command line."""
    return methods()[method_name(name)]


def _check_there(paths):
    """Raises if none of the images is a file, before the model is loaded."""
    if not any(os.path.exists(path) for path in paths):
        raise FileNotFoundError(_not_there("An image", paths[0]))


def _not_there(what, path):
    return f"{what} must be a file. Received: {path}, which is not there."


def _read(path):
    """Returns an image file as RGB uint8."""
    if not os.path.exists(path):
        raise FileNotFoundError(_not_there("An image", path))
    return read_photo(path)


def _masks(paths, num_images):
    """Returns a boolean mask for each image, `None` for the whole image."""
    if not paths:
        return [None] * num_images
    if len(paths) not in (1, num_images):
        raise ValueError(
            "`--mask` must be given once for all images, or once for each in "
            f"their order. Received: {len(paths)} masks for {num_images} "
            "images."
        )
    masks = [_read(path).max(axis=-1) > 127 for path in paths]
    return masks * num_images if len(masks) == 1 else masks


def _check_mask_taken(paths, inputs):
    if paths and not inputs.takes_mask:
        raise ValueError(
            "`--mask` is for models with a mask as second input. Received: "
            f"--mask {paths[0]} for a model with one input."
        )


def load_model(path, safe):
    """Returns the model in a file; `safe` refuses one that holds code."""
    if not os.path.exists(path):
        raise FileNotFoundError(_not_there("A model", path))
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=safe)
    except Exception as error:
        raise ValueError(
            f"A model must be a file that Keras can load. Received: {path}: "
            f"{error} {_remedy(str(error), safe)}".rstrip()
        ) from error
    shapes = [tuple(x.shape) for x in keras.tree.flatten(model.outputs)]
    if not any(len(x) == 1 or 1 in x[1:] for x in shapes):
        return model
    try:
        # What a single unit means the loss may tell, which is loaded along.
        return keras.saving.load_model(path, safe_mode=safe)
    except Exception:
        # A loss, metric or optimizer that is not known here.
        return model


def _remedy(said, safe):
    """Returns what to do about an error of Keras that has a way out."""
    if safe and "safe_mode" in said:
        return "The model holds Python code; if you trust it, add `--unsafe`."
    if any(sign in said for sign in _UNKNOWN_LAYER):
        return (
            "A model with layers of your own must be explained in Python, "
            "where they are imported, by `keras_xmap.explainers`."
        )
    return ""


def _make_explainer(kind, model, target_layer, inputs):
    known = inspect.signature(kind).parameters
    options = {}
    if target_layer is not None:
        if "target_layer" not in known:
            raise ValueError(
                "`--target-layer` is for methods that look at a layer. "
                f"Received: --method {kind.__name__.lower()}, which explains "
                "the input itself."
            )
        options["target_layer"] = target_layer
    if "input_name" in known and inputs.image_name is not None:
        options["input_name"] = inputs.image_name
    return kind(model, **options)


def _map_of_image(found, image_name):
    """Returns the map `(height, width)` of the image among those found."""
    if isinstance(found, (dict, list, tuple)):
        found = found[image_name]
    return found[0]
