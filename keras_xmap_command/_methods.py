"""The methods by their names on the command line, and what people call them."""

import difflib
import re

# The name of the class in small letters, and the first line of its docstring,
# which `tests/cli` compares.
METHODS = {
    "cam": "The class map of a network that ends in global average pooling.",
    "deconvnet": "Gradients that pass a ReLU only where they are positive.",
    "distinctclasssaliency": "Which of an image's classes a pixel belongs to.",
    "eigencam": "What a layer shows most of, whatever the class.",
    "gradcam": "Where a layer sees what the score grows with.",
    "gradcamplusplus": (
        "Grad-CAM in which every position has a weight of its own."
    ),
    "gradientinput": (
        "The gradient times the image: what each pixel adds to the score."
    ),
    "guidedbackprop": (
        "Gradients that pass a ReLU only where they raise an active unit."
    ),
    "guidedgradcam": "Guided backpropagation where Grad-CAM finds the class.",
    "hirescam": "What each position of a layer adds to the score.",
    "integratedgradients": (
        "What each pixel adds to the score on the way from a baseline image."
    ),
    "layercam": (
        "Where a layer sees something that raises the score, at every depth."
    ),
    "occlusion": (
        "How far the score falls when a window of the image is covered."
    ),
    "quadtreeocclusion": (
        "`Occlusion` with fine strides, of which most windows are left out."
    ),
    "regioncam": (
        "Which region belongs to what speaks for the class, up to its border."
    ),
    "rise": "The mean score of the random masks that leave a pixel to be seen.",
    "saliency": (
        "How much each pixel could change the score: the plain gradient."
    ),
    "scorecam": (
        "Channels weighed by the score of the image that only they let through."
    ),
    "smoothgrad": "The gradient, averaged over noisy copies of the image.",
}

# What points best on photos, see docs/localization.md: what the command does by
# default. The explainers themselves begin with what their papers define.
DEFAULT_METHOD = "layercam"
DEFAULT_LAYERS = {"layercam": 2}

_ALSO_CALLED = {
    "deconv": "deconvnet",
    "deconvolution": "deconvnet",
    "gradcampp": "gradcamplusplus",
    "gradient": "saliency",
    "gradients": "saliency",
    "gradienttimesinput": "gradientinput",
    "gradientxinput": "gradientinput",
    "guidedbackpropagation": "guidedbackprop",
    "ig": "integratedgradients",
    "inputgradient": "gradientinput",
    "inputtimesgradient": "gradientinput",
    "inputxgradient": "gradientinput",
    "integratedgradient": "integratedgradients",
    "occlusionsensitivity": "occlusion",
    "vanillagradient": "saliency",
    "vanillagradients": "saliency",
}


def method_name(given):
    """Returns the name of the method that is meant, however it is spelled.

    Raises:
        ValueError: If none is.
    """
    plain = given.lower().replace("++", "plusplus").replace("*", "x")
    plain = re.sub("[^a-z0-9]", "", plain)
    plain = _ALSO_CALLED.get(plain, plain)
    if plain in METHODS:
        return plain
    close = difflib.get_close_matches(plain, METHODS, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(
        f"`--method` must be one of {', '.join(METHODS)}. Received: {given}."
        f"{hint}"
    )
