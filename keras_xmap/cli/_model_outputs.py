"""Which number of a model is explained."""

import keras

from keras_xmap import targets
from keras_xmap.cli._model_inputs import tensors_of


class ModelOutput:
    """One output of a model: scores, or maps of scores.

    Args:
        model: A Keras model.
        name: Name or number of the output, or `None` for the only one.
        inputs: The `ModelInputs` of the model.
        class_axis: Integer or `None`: the axis of the classes of maps, where
            it does not follow from the images.
    """

    def __init__(self, model, name, inputs, class_axis=None):
        structure = tensors_of(model, "output")
        flat = keras.tree.flatten(structure)
        if isinstance(structure, dict):
            names = keys = list(structure)
            flat = [structure[key] for key in keys]
        else:
            names = getattr(model, "output_names", ["output"])
            names, keys = list(names), list(range(len(flat)))
        self._is_single = not isinstance(structure, (dict, list, tuple))
        shapes = [tuple(tensor.shape) for tensor in flat]
        number = _chosen(name, names, shapes)
        self.name, self._key = names[number], keys[number]
        self._shape = shapes[number]
        self._axis = _class_axis(self._shape, inputs, class_axis)

    @property
    def is_map(self):
        return len(self._shape) > 2

    @property
    def described(self):
        """String: what is explained of it."""
        if not self.is_map:
            return self.name
        return (
            f"{self.name}, the mean over its positions, classes on axis "
            f"{self._axis}"
        )

    @property
    def has_one_unit(self):
        return len(self._shape) == 1 or self._shape[self._axis] == 1

    def target(self, index):
        """Returns what an explainer is asked for.

        Args:
            index: Integer or `None`, a class or the answer, or of scores an
                array of classes; `"raise"` or `"lower"`: what does that to a
                single unit.
        """
        key = None if self._is_single else self._key
        if isinstance(index, str):
            return self._of_unit(1 if index == "raise" else -1)
        if self.is_map:
            return targets.MaskedMean(index or 0, output=key, axis=self._axis)
        return targets.Class(index, output=key)

    def check_one_class(self, index):
        """Raises unless one class of each image is explained."""
        if index is None and self.is_map:
            raise ValueError(
                "`--target` must name the class that is explained of an output "
                f"of maps. Received: no --target for {self.described}."
            )

    def chosen(self, structure):
        """Returns the entry of this output in a structure of outputs."""
        return structure if self._is_single else structure[self._key]

    def by_class(self, values):
        """Returns values `(batch, classes)`, the mean of a map's."""
        if not self.is_map:
            return values if len(values.shape) == 2 else values[:, None]
        values = keras.ops.moveaxis(values, self._axis, -1)
        positions = tuple(range(1, len(values.shape) - 1))
        return keras.ops.mean(values, axis=positions)

    def _of_unit(self, sign):
        if not self.has_one_unit:
            raise ValueError(
                "`--target raise` and `--target lower` are for a single unit. "
                f"Received: an output of shape {self._shape}. Give the number "
                "of a class."
            )
        return lambda outputs: sign * self.by_class(self.chosen(outputs))[:, 0]


def _class_axis(shape, inputs, given):
    """Returns the axis of an output that holds its classes."""
    rank = len(shape)
    if given is not None:
        if rank < 3 or not -rank <= given < rank or given % rank == 0:
            raise ValueError(
                "`--class-axis` must be an axis of an output of maps, behind "
                f"the batch. Received: --class-axis {given} for an output of "
                f"shape {shape}."
            )
        return given
    if rank != 4:
        return -1
    usual = 1 if inputs.channels_first and shape[1] is not None else -1
    misfits = {
        1: _misfit(shape[2:], inputs.size),
        -1: _misfit(shape[1:3], inputs.size),
    }
    if misfits[-usual] < misfits[usual]:
        raise ValueError(
            f"The output of shape {shape} may have its classes on axis 1 or "
            f"on axis -1. By the images of this model it is {usual}, by the "
            f"sizes {-usual}. Expected: `--class-axis {-usual}` or "
            f"`--class-axis {usual}`. Received: neither."
        )
    return usual


def _misfit(size, image_size):
    """Returns how far a map is from being as long by wide as the image."""
    rows, columns = size
    if None in size or None in image_size:
        return 0 if rows == columns else 1
    height, width = image_size
    return abs(rows * width - columns * height)


def _chosen(name, names, shapes):
    """Returns the number of the output that is meant."""
    known = ", ".join(
        f"{name} {shape}" for name, shape in zip(names, shapes, strict=True)
    )
    if name is None:
        if len(names) == 1:
            return 0
        raise ValueError(
            "The model has several outputs; choose one by `--output NAME`. "
            f"Received: no `--output`. Outputs: {known}."
        )
    if name in names:
        return names.index(name)
    raise ValueError(
        "`--output` must be the name of an output of the model. Received: "
        f"--output {name}. Outputs: {known}. The folder of the results is "
        "`--directory`."
    )
