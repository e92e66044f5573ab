"""A layer's output, seen as a map of positions of the model's input."""

import math

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._axes import spatial_shape
from keras_xmap.ops import resize

MAX_PREFIX_TOKENS = 16


class SpatialLayer:
    """One call of a layer, and the input whose positions it shows.

    Args:
        evaluation: `engine.Evaluation` of the batch.
        call: `LayerCall` of the layer.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.

    Attributes:
        call: See above.
        outputs: Tensor the layer put out.
        inputs: List of the inputs whose positions it shows.
        path: String: where in the model the layer stands, and which of its
            calls it is where there are several.
    """

    def __init__(self, evaluation, call, tokens="auto", input_name=None):
        self.call = call
        self.outputs = call.outputs
        self.path = evaluation.name_of(call)
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
            for x in chosen_inputs(evaluation.inputs, input_name)
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
            spatial_shape(ops.shape(x), self._input_data_format)
            for x in self.inputs
        ]
        if not sizes or any(_differ(size, sizes[0]) for size in sizes):
            raise ValueError(
                "It is not clear to which size the map should be brought. "
                "Expected: inputs of one size that layer "
                f"{self.path!r} is computed from. Received: sizes {sizes}. "
                "Name the input by `input_name`, or pass `resize=False`."
            )
        return sizes[0]

    def lay(self, maps):
        """Returns maps of the positions, laid on the input.

        Args:
            maps: Tensor `(batch, *positions)`.
        """
        return resize(maps[..., None], self.size)[..., 0]

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


def chosen_inputs(inputs, input_name):
    """Returns the inputs that `input_name` means: a list, all for `None`."""
    if input_name is None:
        return keras.tree.flatten(inputs)
    try:
        if ops.is_tensor(inputs):
            # Indexed, the only input would be cut along its batch.
            inputs = [inputs]
        return [inputs[input_name]]
    except (KeyError, IndexError, TypeError):
        names = list(inputs) if isinstance(inputs, dict) else None
        known = names or f"0 to {len(keras.tree.flatten(inputs)) - 1}"
        raise ValueError(
            "`input_name` must be the name or the number of an input of the "
            f"model. Received: input_name={input_name!r}. Inputs: {known}."
        ) from None


def check_tokens(tokens):
    """Returns `tokens`: `"auto"`, or a pair of positive integers."""
    if isinstance(tokens, str) and tokens == "auto":
        return tokens
    pair = isinstance(tokens, (list, tuple)) and len(tokens) == 2
    if not pair or any(not isinstance(n, int) or n < 1 for n in tokens):
        raise ValueError(
            "`tokens` must be 'auto' or a grid (rows, columns). Received: "
            f"tokens={tokens!r}."
        )
    return tuple(tokens)


def token_grid(num_tokens, size, tokens="auto"):
    """Returns `(num_prefix_tokens, rows, columns)`.

    Args:
        num_tokens: Integer: tokens of a layer's output.
        size: Tuple of two integers: height and width of the input.
        tokens: `"auto"`: the fewest prefix tokens (class, distillation,
            registers) behind which as many tokens remain as square patches
            tile the input; or the grid itself, a tuple `(rows, columns)`.

    Raises:
        ValueError: If the tokens make no grid.
    """
    if tokens != "auto":
        rows, columns = tokens
        if rows * columns > num_tokens:
            raise ValueError(
                "`tokens` must be a grid (rows, columns) of no more cells "
                f"than there are tokens. Received: tokens={tokens} for "
                f"{num_tokens} tokens."
            )
        return num_tokens - rows * columns, rows, columns
    height, width = size
    for prefix in range(min(MAX_PREFIX_TOKENS, num_tokens - 1) + 1):
        # Patches of side p: (height / p) * (width / p) of them.
        patch = math.isqrt(height * width // (num_tokens - prefix))
        if (
            patch > 0
            and height % patch == 0
            and width % patch == 0
            and height * width // patch**2 == num_tokens - prefix
        ):
            return prefix, height // patch, width // patch
    raise ValueError(
        "The tokens of the layer must make a grid of square patches. Received: "
        f"{num_tokens} tokens on an input of size {tuple(size)}. Pass the grid "
        "as `tokens=(rows, columns)`, or a `target_layer` before the tokens."
    )


def to_grid(x, grid):
    """Returns tokens `(batch, tokens, channels)` as a map, without prefix.

    Args:
        x: Tensor `(batch, tokens, channels)`.
        grid: `(num_prefix_tokens, rows, columns)`, as of `token_grid`.
    """
    prefix, rows, columns = grid
    return ops.reshape(x[:, prefix:], (-1, rows, columns, x.shape[-1]))
