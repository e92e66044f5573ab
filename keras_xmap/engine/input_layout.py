"""Which axes of an input are positions, and which one the channels."""

from keras import ops

from keras_xmap._typing import Tensor


class InputLayout:
    """Which axes of an input are its positions.

    Attributes:
        number: Integer: the input's number among the model's inputs.
        axes: Tuple of integers: the axes of the positions.
        size: Tuple: the sizes of these axes, integers or scalar tensors.
        channel_axis: Integer: the axis of the channels, or `None`.
    """

    def __init__(self, x: Tensor, number: int, channel_axis: int | None):
        rank = len(x.shape)
        self.axes = tuple(
            axis for axis in range(1, rank) if axis != channel_axis
        )
        self.number = number
        self.channel_axis = channel_axis
        self.size = tuple(ops.shape(x)[axis] for axis in self.axes)
        self._others = [axis for axis in range(rank) if axis not in self.axes]

    def expand(self, values: Tensor) -> Tensor:
        """Gives `values`, of shape `size`, the rank of the input."""
        for axis in self._others:
            values = ops.expand_dims(values, axis)
        return values
