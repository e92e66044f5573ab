"""Metrics that hold what they were made for: a model, or an explainer."""

import inspect

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_positive_integer
from keras_xmap._repr import call_repr
from keras_xmap.metrics._image_mean import ImageMean


class MadeForOne(ImageMean):
    """Streamed mean of a metric that no config describes.

    Its first argument is what it holds. It copies and pickles with it, as
    explainers do, and prints as the call that makes it.

    Args:
        model: The model that its steps run.
        batch_size: Integer: images in one forward pass.
        name: String.
        dtype: Dtype of the sums.

    Attributes:
        score_used: String: where the score was found in the model; `None`
            before the first batch.
    """

    def __init__(self, model, batch_size, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.batch_size = check_positive_integer("batch_size", batch_size)
        self.score_used = None
        self._runner = engine.Runner(model, self._compute, self._note)

    def get_config(self):
        raise NotImplementedError(
            f"{type(self).__name__} holds a model, and its config cannot: a "
            "file would bring it back without the weights. Received: "
            "get_config(). Save the model, and make the metric anew from the "
            "loaded one; copies and pickles hold both."
        )

    def __reduce__(self):
        names = list(inspect.signature(type(self)).parameters)
        arguments = {name: getattr(self, name) for name in names}
        variables = [ops.convert_to_numpy(x) for x in self.variables]
        return _made, (type(self), arguments, variables)

    def __repr__(self):
        held = next(iter(inspect.signature(type(self)).parameters))
        is_default = self.dtype == keras.config.floatx()
        return call_repr(
            self, (held,), without=("dtype",) if is_default else ()
        )

    def _note(self, notes):
        vars(self).update(notes)


def _made(kind, arguments, variables):
    """Makes a metric again, from what `__reduce__` gave."""
    metric = kind(**arguments)
    for variable, value in zip(metric.variables, variables, strict=True):
        variable.assign(value)
    return metric


def on_host(tensors):
    """Returns tensors, in any structure, as arrays where they have values."""
    if engine.backend().is_tracing():
        return tensors
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


def check_is_batch(inputs):
    """Raises if inputs come in batches of their own."""
    if (
        hasattr(inputs, "element_spec")
        or hasattr(inputs, "__next__")
        or isinstance(inputs, keras.utils.PyDataset)
    ):
        raise TypeError(
            "`inputs` must be the images of one batch, as an array or a "
            f"structure of them. Received: inputs of type "
            f"{type(inputs).__name__}. Go through the data: `for images, "
            "labels in data: metric.update_state(images, ...)`."
        )


def without_half(inputs):
    """Returns inputs in float32 at least, as explainers look at them."""
    return engine.map_given(_without_half, inputs)


def check_single(target, parts, remedy):
    """Raises unless there is one class for each image."""
    if not target.is_single(parts):
        raise ValueError(
            "A map is judged by one class. Received: a target of shape "
            f"(batch, classes). Take one column after the other: {remedy}."
        )


def _without_half(x):
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.cast(x, "float32") if dtype in ("float16", "bfloat16") else x
