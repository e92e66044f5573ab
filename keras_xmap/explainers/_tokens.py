"""The tokens of a transformer, laid out as the grid of patches they are."""

import math

from keras import ops

MAX_PREFIX_TOKENS = 16


def check_tokens(tokens):
    """Returns `tokens`: `"auto"`, or a pair of positive integers."""
    if tokens == "auto":
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
        f"The {num_tokens} tokens of the layer make no grid of square patches "
        f"on an input of size {tuple(size)}. Pass the grid as `tokens=(rows, "
        "columns)`, or a `target_layer` before the tokens."
    )


def to_grid(x, grid):
    """Returns tokens `(batch, tokens, channels)` as a map, without prefix.

    Args:
        x: Tensor `(batch, tokens, channels)`.
        grid: `(num_prefix_tokens, rows, columns)`, as of `token_grid`.
    """
    prefix, rows, columns = grid
    return ops.reshape(x[:, prefix:], (-1, rows, columns, x.shape[-1]))
