from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap.targets.class_target import single_class
from keras_xmap.targets.target import Target


class Component(Target):
    """One number of a regression output.

    Args:
        index: Integer >= 0: which component. Defaults to `0`.
        sign: `1` explains what raises the number, `-1` what lowers it.
            Defaults to `1`.
        output: Name or number of the output, of shape `(batch, components)`
            or `(batch,)`, that is meant. Defaults to `None`: the only one.

    Raises:
        ValueError: If `sign` is neither 1 nor -1.
    """

    def __init__(
        self, index: int = 0, sign: int = 1, output: str | int | None = None
    ):
        super().__init__(output)
        self.index = single_class(index)
        self.sign = check_one_of("sign", sign, (1, -1))

    @property
    def key(self):
        return (*super().key, self.index, self.sign)

    def is_of_places(self, outputs):
        return False

    def scores(self, outputs, parts):
        output = self._select(outputs)
        if len(output.shape) == 1:
            output = ops.expand_dims(output, -1)
        if len(output.shape) != 2 or self.index >= output.shape[-1]:
            raise ValueError(
                f"The output has no component {self.index}. Expected: shape "
                f"(batch, components). Received: shape {tuple(output.shape)}."
            )
        return self.sign * output[:, self.index]
