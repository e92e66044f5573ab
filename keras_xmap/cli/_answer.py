"""What a model answers, in words: a class and its probability, or a number."""

import keras
import numpy as np
from keras import ops

from keras_xmap import explainers


class Answers(explainers.Explainer):
    """The numbers of a model's output by class, of which one is the answer.

    Args:
        model: The model.
        output: `ModelOutput`: which of its outputs is meant.

    Attributes:
        unit: `engine.Unit`: how the output is read if it has a single unit.
    """

    def __init__(self, model, output):
        super().__init__(model, score="output")
        self._output = output
        self.unit = None

    def of_images(self, data):
        """Returns the outputs of a batch by class, `(batch, classes)`.

        Of a single unit of two classes those of both; of a logit the
        probabilities.
        """
        size = len(keras.tree.flatten(data)[0])
        (values,) = self.explain_batches(data, batch_size=size)
        if values.shape[1] > 1 or self.unit.meaning != "classes":
            return values
        if not self.is_probability:
            values = 1 / (1 + np.exp(-values))
        return np.concatenate([1 - values, values], axis=1)

    @property
    def is_probability(self):
        """Boolean: whether the output is one of its own."""
        is_so = self.unit.meaning == "classes" and self.unit.threshold == 0.5
        return self.unit.is_probability or is_so

    def compute(self, inputs, target, parts):
        evaluation = self.evaluate(inputs)
        values = ops.cast(self._output.chosen(evaluation.outputs), "float32")
        notes = {
            "unit": self._output.chosen(evaluation.units),
            "score_used": evaluation.score_used,
        }
        return self._output.by_class(values), notes


def answers_of(values, answers, output, target, top_k, names):
    """Returns the classes to explain of an image, and what is said of them.

    Args:
        values: Array `(classes,)`, a row of what `Answers.of_images` returns.
        answers: The `Answers` that it is from.
        output: `ModelOutput`.
        target: Integer, `"raise"`, `"lower"` or `None`: `--target`.
        top_k: Integer: how many of the highest classes, or `None`.
        names: `ClassNames`.

    Returns:
        A list of pairs: what `ModelOutput.target` takes, and a string.
    """
    names.check_count(len(values))
    if target in ("raise", "lower"):
        return [(target, f"what would {target} the number {values[-1]:.3f}")]
    if top_k is not None and not 1 <= top_k <= len(values):
        raise ValueError(
            "`--top-k` must be at most the number of classes. Received: "
            f"--top-k {top_k} for {len(values)}."
        )
    if len(values) == 1:
        _check_told(answers.unit)
        return [(target, f"number {values[0]:.3f}")]
    if target is not None and target >= len(values):
        raise ValueError(
            "`--target` must be a class of the output, from 0 to "
            f"{len(values) - 1}. Received: --target {target}."
        )
    # A picture is mostly background; asked about is the object.
    is_object_map = output.is_map and output.has_one_unit
    if target is None and top_k is None and is_object_map:
        target = 1
    chosen = [target]
    if target is None:
        chosen = np.argsort(-values, kind="stable")[: top_k or 1].tolist()
    kind = "output"
    if output.has_one_unit or answers.is_probability:
        kind = "probability"
    highest = values.argmax() if target is None else None
    return [
        (
            index,
            f"{names.described(index)} ("
            + ("highest, " if index == highest else "")
            + f"{kind} {values[index]:.3f})",
        )
        for index in chosen
    ]


def _check_told(unit):
    if unit.meaning is None:
        raise ValueError(
            "`--target` must say what is asked of a single unit that may be "
            f"two classes or a number. Received: {unit.found}. `--target "
            "raise` shows what raises the number, which is class 1 of a "
            "logit, `--target lower` what lowers it, class 0. A model that is "
            "saved with the loss it was trained with needs neither."
        )
