from keras_xmap.targets._combination import Combination
from keras_xmap.targets.conversion import for_output
from keras_xmap.targets.target import Target


class Difference(Combination):
    """Why `a` and not `b`: how much higher the one scores than the other.

    `S = S_a - S_b`

    Of two classes that end in one softmax, this is the logarithm of how many
    times likelier the model holds `a` than `b`. Its map leaves out what speaks
    for both alike.

    Args:
        a: What the score is raised by: a class, an array of classes `(batch,)`
            or `(batch, classes)`, a callable, an object of this module, or
            `None` for the class with the highest score.
        b: What it is lowered by, likewise. One class beside several is
            compared with each of them.
        output: Name or number of the output that is meant, where `a` and `b`
            do not say. Defaults to `None`: the model's only output.

    Example:

    >>> target = keras_xmap.targets.Difference(1, 2)
    >>> scores = target.scores(np.array([[0.0, 5.0, 3.0]]), target.parts)
    >>> np.asarray(scores).tolist()
    [2.0]
    """

    def __init__(self, a: object, b: object, output: str | int | None = None):
        super().__init__(output)
        self.a = a
        self.b = b
        for target in (a, b):
            for_output(target, output)  # refuses what is no class at once

    @property
    def terms(self) -> list[tuple[int, Target]]:
        return [
            (1, for_output(self.a, self.output)),
            (-1, for_output(self.b, self.output)),
        ]
