"""What a model answers, in words: a class and its probability, or a number."""

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

    def of_image(self, data):
        """Returns the outputs of one image by class, `(classes,)`.

        Of a single unit of two classes those of both; of a logit the
        probabilities.
        """
        (values,) = next(self.explain_batches(data))
        if len(values) > 1 or self.unit.meaning != "classes":
            return values
        if not self.is_probability:
            values = 1 / (1 + np.exp(-values))
        return np.concatenate([1 - values, values])

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


def answer_of(values, answers, output, asked, names):
    """Returns the class to explain, and what is said of it.

    Args:
        values: Array `(classes,)`, as `Answers.of_image` returns it.
        answers: The `Answers` that it is from.
        output: `ModelOutput`.
        asked: Integer, `"raise"`, `"lower"` or `None`: `--target`.
        names: `ClassNames`.
    """
    names.check_count(len(values))
    if asked in ("raise", "lower"):
        return asked, f"what would {asked} the number {values[-1]:.3f}"
    if len(values) == 1:
        _check_told(answers.unit)
        return asked, f"number {values[0]:.3f}"
    # A picture is mostly background; asked about is the object.
    is_object_map = output.is_map and output.has_one_unit
    chosen = asked
    if asked is None:
        chosen = 1 if is_object_map else int(values.argmax())
    is_two = output.has_one_unit
    kind = "probability" if is_two or answers.is_probability else "output"
    highest = "highest, " if asked is None and not is_object_map else ""
    said = names.described(chosen)
    if 0 <= chosen < len(values):
        said += f" ({highest}{kind} {values[chosen]:.3f})"
    return chosen, said


def _check_told(unit):
    if unit.meaning is None:
        raise ValueError(
            "`--target` must say what is asked of a single unit that may be "
            f"two classes or a number. Received: {unit.found}. `--target "
            "raise` shows what raises the number, which is class 1 of a "
            "logit, `--target lower` what lowers it, class 0. A model that is "
            "saved with the loss it was trained with needs neither."
        )
