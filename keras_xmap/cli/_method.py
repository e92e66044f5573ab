"""A method of explanation, and how the command uses it on a model."""

import inspect

from keras import tree

from keras_xmap import engine
from keras_xmap import explainers
from keras_xmap_command import DEFAULT_LAYERS
from keras_xmap_command import METHODS
from keras_xmap_command import method_name


def methods():
    """Returns the explainers of images by their name on the command line."""
    names = {name.lower(): name for name in explainers.__all__}
    return {name: getattr(explainers, names[name]) for name in METHODS}


def method_named(name):
    """Returns the class of a method by its name on the command line."""
    return methods()[method_name(name)]


def check_layer(kind, target_layer):
    """Raises if a layer is asked for where the method looks at none."""
    if target_layer is not None and not _takes(kind, "target_layer"):
        raise ValueError(
            "`--target-layer` is for methods that look at a layer. "
            f"Received: --method {kind.__name__.lower()}, which explains "
            "the input itself."
        )


class Method:
    """A method on a model.

    Args:
        kind: Class of the explainer.
        model: The model.
        target_layer: The layer or layers to look at; `None` for the default
            of the command, which is the method's own where a model has layers
            of too few sizes.
        inputs: `ModelInputs`.
        views: Views of each photo whose maps are averaged, or `None`.
        score: `"logits"` or `"output"`, as of the explainer.

    Attributes:
        explainer: The explainer.
    """

    def __init__(self, kind, model, target_layer, inputs, views, score):
        self._options = {"score": score}
        if _takes(kind, "input_name") and inputs.image_name is not None:
            self._options["input_name"] = inputs.image_name
        self._kind, self._model = kind, model
        self._image_name, self._views = inputs.image_name, views
        default = DEFAULT_LAYERS.get(kind.__name__.lower())
        self._has_default = target_layer is None and default is not None
        self.explainer = self._made(target_layer or default)

    def explain(self, data, target):
        """Returns the maps of a batch over the photo."""
        size = len(tree.flatten(data)[0])
        try:
            (maps,) = self.explainer.explain_batches(
                data, target, batch_size=size, views=self._views
            )
        except engine.TooFewSizesError:
            if not self._has_default:
                raise
            self._has_default = False
            self.explainer = self._made(None)
            return self.explain(data, target)
        if isinstance(maps, (dict, list, tuple)):
            maps = maps[self._image_name]
        return maps

    def _made(self, target_layer):
        layer = {} if target_layer is None else {"target_layer": target_layer}
        return self._kind(self._model, **layer, **self._options)


def _takes(kind, argument):
    return argument in inspect.signature(kind).parameters
