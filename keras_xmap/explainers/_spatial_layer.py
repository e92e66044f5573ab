"""A layer's output, seen as a map of positions of the model's input."""

import math

from keras import ops

from keras_xmap import engine
from keras_xmap._axes import channel_axis
from keras_xmap._axes import spatial_shape
from keras_xmap.explainers._layers_and_scales import check_entries
from keras_xmap.ops import resize


class SpatialLayer:
    """One call of a layer, and the input whose positions it shows.

    Args:
        evaluation: `engine.Evaluation` of the batch.
        call: `LayerCall` of the layer.
        tokens: See `GradCAM`.
        shown: List of the inputs that may be shown. Defaults to `None`: all.

    Attributes:
        call: See above.
        outputs: Tensor the layer put out.
        inputs: List of the inputs whose positions it shows.
        path: String: where in the model the layer stands, and which of its
            calls it is where there are several.
    """

    def __init__(self, evaluation, call, tokens="auto", shown=None):
        self.call = call
        self.outputs = call.outputs
        self.path = evaluation.name_of(call)
        self._data_format = call.data_format
        self._input_data_format = evaluation.input_data_format
        if len(call.outputs.shape) < 3:
            raise ValueError(
                "`target_layer` must be a spatial layer. Expected: an output "
                "of shape (batch, height, width, channels), or of another "
                f"number of positions. Received: target_layer={call.path!r} "
                f"with shape {tuple(call.outputs.shape)}. Name the last "
                "convolution."
            )
        made_from = [
            x
            for x in (evaluation.given_inputs if shown is None else shown)
            if evaluation.is_made_from(call.outputs, x)
        ]
        images = [x for x in made_from if len(x.shape) == 4]
        is_of_tokens = len(call.outputs.shape) == 3 and bool(images)
        # Of a layer that puts out no tokens of an image it tells nothing.
        self._tokens = tokens if tokens != "auto" and is_of_tokens else None
        self._is_of_tokens = is_of_tokens
        if self._tokens is None:
            self._place(evaluation, made_from)
            if not self._geometries:
                check_entries(evaluation, call)
        else:
            self.inputs = images
            self._is_placed = False
            self._grid = token_grid(call.outputs.shape[1], tokens)

    def _place(self, evaluation, made_from):
        """Finds the inputs that the layer is a map of, and how it lies."""
        self.inputs, self._geometries, errors = [], [], []
        for x in made_from:
            try:
                geometry = evaluation.geometry(
                    self.outputs, x, self._data_format
                )
            except engine.GeometryError as error:
                # A vector that is added to an image moves nothing in it.
                if len(x.shape) > 2 or len(made_from) == 1:
                    errors.append(error)
            else:
                self.inputs.append(x)
                self._geometries.append(geometry)
        # An input that cannot be followed may lie anywhere beside the others.
        unknown = [error for error in errors if error.is_unknown]
        self._error = (unknown or errors or [None])[0]
        self._is_placed = bool(self.inputs) and not unknown

    @property
    def size(self):
        """Tuple: the size of the input that the positions stand for."""
        self.check_placed()
        if self._tokens is None:
            sizes = [geometry.size for geometry in self._geometries]
        else:
            sizes = [self._size_as_told(x) for x in self.inputs]
        if any(_differ(size, sizes[0]) for size in sizes):
            raise ValueError(
                "It is not clear to which size the map should be brought. "
                "Expected: inputs of one size that layer "
                f"{self.path!r} is computed from. Received: sizes {sizes}. "
                "Name the input by `input_name`, or pass `resize=False`."
            )
        return sizes[0]

    def check_placed(self):
        """Checks that it is known where the positions lie in the input."""
        if self._tokens is not None or self._is_placed:
            return
        error = self._error
        found = "no input that it is computed from" if error is None else error
        remedy = (
            "Explain the layer with `resize=False`, as in GradCAM(model, "
            f"{self.path!r}, resize=False), for a map of its own positions"
        )
        if error is not None and error.is_mixed:
            remedy = "Explain the input, as in Saliency(model)"
        elif self._is_of_tokens and not self.inputs:
            remedy += "; where its rows are tokens of an image in order, tell "
            remedy += "their grid by `tokens=(rows, columns)`"
        raise ValueError(
            f"It is not known where the positions of layer {self.path!r}, "
            f"of shape {tuple(self.outputs.shape)}, lie in the input. "
            "Expected: positions that can be followed from the input to the "
            f"layer. Received: {found}. {remedy}."
        )

    def lies_as(self, other):
        """Whether its positions are known to lie where those of `other` do."""
        return (
            self._is_placed
            and other._is_placed
            and len(self._geometries) == len(other._geometries)
            and all(
                one.is_same(another)
                for one, another in zip(
                    self._geometries, other._geometries, strict=True
                )
            )
        )

    def lay(self, maps, size=None):
        """Lays maps of the layer's positions on the input.

        Args:
            maps: Tensor `(batch, *positions)`.
            size: Tuple: the size of the result, which stands for the whole
                input. Defaults to `None`: the size of the input.

        Returns:
            Tensor `(batch, *size)`.

        Raises:
            ValueError: If it is not known where the positions lie.
        """
        return self._laid("lay", maps, size)

    def spread(self, maps):
        """Lays amounts of positions on the input, with their sum."""
        laid = self._laid("spread", maps, None)
        if self._tokens is None:
            return laid
        pixels = ops.cast(math.prod(self.size), maps.dtype)
        count = ops.cast(math.prod(ops.shape(maps)[1:]), maps.dtype)
        return laid * count / pixels

    def gather(self, maps):
        """Reads maps of the input's size at the layer's positions."""
        self.check_placed()
        if self._tokens is None:
            return self._geometries[0].gather(maps)
        return resize(maps[..., None], self._grid[1:])[..., 0]

    def _laid(self, how, maps, size):
        own = self.size
        size = own if size is None else size
        if self._tokens is not None:
            return resize(maps[..., None], size)[..., 0]
        first, *others = self._geometries
        if any(not first.is_same(other) for other in others):
            raise ValueError(
                "It is not clear where the map should be laid. Expected: "
                f"inputs that layer {self.path!r} sees in the same places. "
                f"Received: input_name=None for {len(self.inputs)} inputs that "
                "are moved against each other. Name the input by `input_name`, "
                "or pass `resize=False`."
            )
        return getattr(first, how)(maps, size)

    def lay_beside(self, x, maps):
        """Lays maps on one of `inputs`, at its size; see `beside`."""
        if self._tokens is not None:
            maps = resize(maps[..., None], self._size_as_told(x))[..., 0]
        else:
            self.check_placed()
            maps = self._geometry(x).lay(maps)
        return self.beside(x, maps)

    def beside(self, x, maps):
        """Returns laid maps with the axes of an input, to be multiplied."""
        if self._tokens is not None:
            return ops.expand_dims(maps, channel_axis(self._input_data_format))
        return self._geometry(x).beside(maps, x)

    def _geometry(self, x):
        pairs = zip(self._geometries, self.inputs, strict=True)
        return next(geometry for geometry, shown in pairs if shown is x)

    def _size_as_told(self, x):
        return spatial_shape(ops.shape(x), self._input_data_format)

    def check_reached(self, gradients):
        """Checks that more than the prefix tokens has a part in the score.

        Args:
            gradients: Derivatives of a score by `outputs`.
        """
        if self._tokens is not None:
            has_prefix = self._grid[0] > 0
        else:
            has_prefix = any(x.has_prefix for x in self._geometries)
        if not has_prefix:
            return
        engine.require(
            ops.any(self.arrange(gradients) != 0) | ops.all(gradients == 0),
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
        if self._tokens is not None:
            return to_grid(x, self._grid)
        if self._geometries:
            return self._geometries[0].arrange(x)
        if self._data_format == "channels_first":
            return ops.moveaxis(x, 1, -1)
        return x


def _differ(one, other):
    """Whether two sizes are known to differ; tensors are not known."""
    return len(one) != len(other) or any(
        isinstance(a, int) and isinstance(b, int) and a != b
        for a, b in zip(one, other, strict=True)
    )


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


def token_grid(num_tokens, tokens):
    """Returns `(num_prefix_tokens, rows, columns)`.

    Args:
        num_tokens: Integer: tokens of a layer's output.
        tokens: The grid, a tuple `(rows, columns)`.

    Raises:
        ValueError: If there are fewer tokens than that.
    """
    rows, columns = tokens
    if rows * columns > num_tokens:
        raise ValueError(
            "`tokens` must be a grid (rows, columns) of no more cells "
            f"than there are tokens. Received: tokens={tokens} for "
            f"{num_tokens} tokens."
        )
    return num_tokens - rows * columns, rows, columns


def to_grid(x, grid):
    """Returns tokens `(batch, tokens, channels)` as a map, without prefix.

    Args:
        x: Tensor `(batch, tokens, channels)`.
        grid: `(num_prefix_tokens, rows, columns)`, as of `token_grid`.
    """
    prefix, rows, columns = grid
    return ops.reshape(x[:, prefix:], (-1, rows, columns, x.shape[-1]))
