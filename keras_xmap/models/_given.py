"""The one check of models that a builder is given."""

from keras_xmap._checks import check_model
from keras_xmap.models._surgery import is_graph


def check_graph(name, model):
    """Returns `model`, which must be one whose layers can be seen."""
    check_model(
        name,
        model,
        "Put a layer into a `keras.Sequential`, with a `keras.Input` first.",
    )
    if not is_graph(model):
        raise ValueError(
            f"`{name}` must be a functional or sequential model, so that its "
            f"layers can be seen. Received: {name}={model.name!r} of the "
            f"class {type(model).__name__}."
        )
    if not model.built:
        raise ValueError(
            f"`{name}` must be built. Received: {name}={model.name!r}, a "
            "sequential model of unknown input. Start it with `keras.Input`."
        )
    return model


def check_image_model(name, model):
    """Returns `model`, which must be one whose layers are seen, of an image."""
    check_graph(name, model)
    shapes = [tuple(x.shape) for x in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            f"`{name}` must have one input, images with a batch, two spatial "
            f"and a channel axis. Received: {name}={model.name!r} of inputs "
            f"of shapes {shapes}."
        )
    return model


def check_feature_model(name, model):
    """Returns `model`, which must map one image to one map of features."""
    check_image_model(name, model)
    shapes = [tuple(x.shape) for x in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            f"`{name}` must have one output, a feature map with a batch, two "
            f"spatial and a channel axis. Received: {name}={model.name!r} of "
            f"outputs of shapes {shapes}. Build a classifier without its "
            "top, `include_top=False`."
        )
    return model
