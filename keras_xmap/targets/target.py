"""What every target is, and how it finds its output."""

import abc
import copy

import keras
import numpy as np

from keras_xmap import engine
from keras_xmap._checks import is_integer
from keras_xmap._checks import message
from keras_xmap._repr import call_repr
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor


class Target(abc.ABC):
    """Base of everything that can be explained.

    Args:
        output: Name or number of the model's output that is meant. Defaults
            to `None`: the model's only output.
    """

    # How each output is read if it has a single unit; see `for_units`.
    _units: Structure = None
    # Why a map of this target may be zero everywhere, beside what the method
    # knows of; the end of a sentence.
    cause_of_zeros: str | None = None

    def __init__(self, output: str | int | None = None):
        known = isinstance(output, str) or is_integer(output)
        if output is not None and not known:
            expected = "the name or the number of an output, or None"
            raise ValueError(message("output", expected, output))
        self.output = output

    def __repr__(self):
        return call_repr(self)

    @property
    def parts(self) -> dict[str, Tensor]:
        """Dict of arrays the scores depend on: `(batch, ...)` or scalars."""
        return {}

    @property
    def key(self) -> tuple:
        """Hashable: two targets of one key differ in their parts only."""
        # The class itself: another one may bear its name.
        return (type(self), self.output)

    @abc.abstractmethod
    def scores(self, outputs: Structure, parts: dict[str, Tensor]) -> Tensor:
        """Returns the scores, of shape `(batch,)` or `(batch, classes)`.

        Args:
            outputs: The scores in the structure of the model's outputs.
            parts: Like `self.parts`, as tensors, for this batch.
        """

    def resolve(
        self, outputs: Structure, parts: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Returns `parts` completed by what only the outputs can tell.

        Methods that look at changed copies of an image explain, for all of
        them, the target that the image itself has.
        """
        return parts

    def is_single(self, parts: dict[str, Tensor]) -> bool:
        """Returns whether `scores` has shape `(batch,)`: no axis of classes."""
        return True

    def for_labels(self, labels: Structure) -> "Target":
        """Returns the target of a batch with these labels: this one.

        Only `"labels"` is another target for each batch.
        """
        return self

    def for_units(self, units: Structure) -> "Target":
        """Returns the target of a model whose single units are read so.

        Args:
            units: `units` of the `engine.Evaluation` that is explained.
        """
        target = copy.copy(self)
        target._units = units
        return target

    def expects_maps(self) -> np.ndarray | None:
        """Returns which classes of which images have a map, `(n, classes)`.

        `None` if all have one: then none is to be zero everywhere.
        """
        return None

    def is_of_places(self, outputs: Structure) -> bool:
        """Returns whether the score is of certain places of an output.

        A mirrored or resized image has them elsewhere. Where nothing else is
        known, that is so for every output with positions.

        Args:
            outputs: The outputs of the model.
        """
        if self.output is not None:
            outputs = self._select(outputs)
        return any(
            len(x.shape) > 2
            for x in keras.tree.flatten(outputs)
            if x is not None
        )

    def slice(self, start: int, stop: int) -> dict[str, Tensor]:
        """Returns `parts` for the images from `start` to before `stop`."""
        return {
            name: part[start:stop] if np.ndim(part) else part
            for name, part in self.parts.items()
        }

    def check_length(self, num_images: int) -> None:
        """Checks that there is one entry for each of `num_images` images."""
        for name, part in self.parts.items():
            if np.ndim(part) and len(part) != num_images:
                raise ValueError(
                    "`target` must have one entry per image. Received: "
                    f"{name} of shape {tuple(np.shape(part))} for "
                    f"{num_images} images."
                )

    def _select(self, outputs):
        """Returns the one output that is meant."""
        if self.output is None:
            flat = keras.tree.flatten(outputs)
            if len(flat) == 1:
                return flat[0]
            raise ValueError(
                "The model has several outputs; say which one is explained, "
                "by `keras_xmap.targets.Class(index, output=...)` or by a "
                "callable of the outputs. Received: a target without "
                f"`output`. Outputs: {describe_outputs(outputs)}."
            )
        return named_output(outputs, "output", self.output)

    def _unit(self):
        """Returns how the output that is meant is read: an `engine.Unit`."""
        return (
            engine.Unit() if self._units is None else self._select(self._units)
        )


def named_output(outputs, argument, name):
    if not isinstance(outputs, (dict, list, tuple)):
        # Indexed, the only output would be cut along its batch.
        outputs = [outputs]
    try:
        return outputs[name]
    except (KeyError, IndexError, TypeError):
        raise ValueError(
            f"`{argument}` must be the name or the number of an output. "
            f"Received: {argument}={name!r}. Outputs: "
            f"{describe_outputs(outputs)}."
        ) from None


def describe_outputs(outputs):
    """Returns the names and shapes of outputs, for messages."""
    if isinstance(outputs, dict):
        items = outputs.items()
    else:
        items = enumerate(keras.tree.flatten(outputs))
    return ", ".join(f"{name!r} {_shape(output)}" for name, output in items)


def _shape(output):
    try:
        return tuple(output.shape)
    except (AttributeError, ValueError):  # none, or a score not found
        return "(of no known score)"
