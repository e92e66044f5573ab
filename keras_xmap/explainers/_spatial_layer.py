"""A layer's output, seen as a map of positions of the model's input."""

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap.explainers._tokens import to_grid
from keras_xmap.explainers._tokens import token_grid


class SpatialLayer:
    """One call of a layer, and the input whose positions it shows.

    Args:
        evaluation: `engine.Evaluation` of the batch.
        call: `LayerCall` of the layer.
        tokens: See `GradCAM`.
        which: See `GradCAM`.

    Attributes:
        outputs: Tensor the layer put out.
        inputs: List of the inputs whose positions it shows.
        path: String: where in the model the layer stands.
    """

    def __init__(self, evaluation, call, tokens="auto", which=None):
        self.outputs = call.outputs
        self.path = call.path
        self._data_format = call.data_format
        self._input_data_format = evaluation.input_data_format
        rank = len(call.outputs.shape)
        if rank < 3:
            raise ValueError(
                "`target_layer` must be a spatial layer. Expected: an output "
                "of shape (batch, height, width, channels), or of another "
                f"number of positions. Received: target_layer={call.path!r} "
                f"with shape {tuple(call.outputs.shape)}. Name the last "
                "convolution."
            )
        made_from = [
            x
            for x in _chosen_inputs(evaluation.inputs, which)
            if evaluation.is_made_from(call.outputs, x)
        ]
        self.inputs = [x for x in made_from if len(x.shape) == rank]
        self._grid = None
        if rank == 3 and not self.inputs:
            self.inputs = [x for x in made_from if len(x.shape) == 4]
            if self.inputs:
                num_tokens = call.outputs.shape[1]
                self._grid = token_grid(num_tokens, self.size, tokens)

    @property
    def size(self):
        """Tuple: the size of the input that the positions stand for."""
        sizes = [
            ops.shape(x)[1:-1]
            if self._input_data_format == "channels_last"
            else ops.shape(x)[2:]
            for x in self.inputs
        ]
        if not sizes or any(_differ(size, sizes[0]) for size in sizes):
            raise ValueError(
                "It is not clear to which size the map should be brought. "
                "Expected: inputs of one size that layer "
                f"{self.path!r} is computed from. Received: sizes {sizes}. "
                "Name the input by `which`, or pass `resize=False`."
            )
        return sizes[0]

    def check_reached(self, gradients):
        """Checks that more than the prefix tokens has a part in the score.

        Args:
            gradients: Derivatives of a score by `outputs`.
        """
        if self._grid is None or self._grid[0] == 0:
            return
        of_prefix = gradients[:, : self._grid[0]]
        of_patches = gradients[:, self._grid[0] :]
        engine.require(
            ops.any(of_patches != 0) | ops.all(of_prefix == 0),
            "The score depends on this layer by its class token alone, which "
            f"has no place in the image. Received: target_layer={self.path!r}. "
            "Name an earlier layer, such as the normalisation before the last "
            "attention.",
        )

    def arrange(self, x):
        """Returns a tensor of the layer as `(batch, *positions, channels)`.

        Args:
            x: `outputs`, or derivatives by it.

        Returns:
            Float32 tensor.
        """
        x = ops.cast(x, "float32")
        if self._grid is not None:
            return to_grid(x, self._grid)
        if self._data_format == "channels_first":
            return ops.moveaxis(x, 1, -1)
        return x


def _differ(one, other):
    """Whether two sizes are known to differ; tensors are not known."""
    return any(
        isinstance(a, int) and isinstance(b, int) and a != b
        for a, b in zip(one, other, strict=True)
    )


def _chosen_inputs(inputs, which):
    if which is None:
        return keras.tree.flatten(inputs)
    try:
        return [inputs[which]]
    except (KeyError, IndexError, TypeError):
        names = list(inputs) if isinstance(inputs, dict) else None
        known = names or f"0 to {len(keras.tree.flatten(inputs)) - 1}"
        raise ValueError(
            "`which` must be the name or the number of an input of the model. "
            f"Received: which={which!r}. Inputs: {known}."
        ) from None
