import keras
from keras import ops

from keras_xmap._checks import check_image_and_scores
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor
from keras_xmap.ops.crf_parameters import crf_parameters

# Beyond this many entries an image's kernel is computed anew in each
# iteration, in blocks of columns, instead of held: 64 MiB of float32, and 16.
_MAX_HELD = 2**24
_MAX_BLOCK = 2**22


def mean_field(
    image: Tensor,
    scores: Tensor,
    parameters: str | dict[str, float] = "paper",
    num_iterations: int = 10,
) -> Tensor:
    """Refines scores of classes by the edges of the image: a dense CRF.

    Every pixel is linked with every other one of the image. Two that are
    near and alike in colour, or very near, want the same class:

    `k(i, j) = w_a exp(-|p_i - p_j|^2 / 2 s_a^2 - |c_i - c_j|^2 / 2 s_c^2)`
    `+ w_s exp(-|p_i - p_j|^2 / 2 s_s^2)`

    of which each Gaussian is normalised symmetrically, by the square roots
    of the sums over its row and its column. From `q = softmax(scores)` on,
    all pixels at once,

    `q_i = softmax(scores_i + sum_j k(i, j) q_j)`

    The sum is exact and holds `j = i`, as in the authors' code. The result is
    differentiable in the scores and in the image. Time grows with the square
    of the number of pixels: meant for the size of a network's output, such as
    41 x 41, while it trains; for whole photos see
    `segmentation.refine_with_crf`. Up to 4096 pixels the kernel is held in
    memory; beyond, or where height or width are unknown while a function is
    traced, it is computed anew for each iteration, block by block.

    Args:
        image: Tensor `(batch, height, width, channels)`, integers or floats
            from 0 to 255, not normalised: for an image in [0, 1] all colours
            are alike.
        scores: Tensor `(batch, height, width, classes)`: logits, or the
            logarithm of probabilities.
        parameters: `"paper"`, `"deeplab"`, `"sec"` (those of the paper for
            maps 12 times smaller than the image), `"irn"`; or a dict with
            `appearance_weight` and `smoothness_weight` >= 0 and
            `position_stddev`, `smoothness_stddev` (in pixels) and
            `color_stddev` > 0. Standard deviations in pixels shrink with
            the image. Defaults to `"paper"`.
        num_iterations: Integer >= 1. Defaults to `10`.

    Returns:
        Probabilities of the shape and float dtype of `scores`, computed in
        float32 at least.

    Raises:
        ValueError: If the shapes do not fit or an option is unknown.

    References:
        - [Krähenbühl & Koltun, 2011](https://arxiv.org/abs/1210.5644)
        - [Chen et al., 2014](https://arxiv.org/abs/1412.7062) (`"deeplab"`)
        - [Kolesnikov & Lampert,
          2016](https://arxiv.org/abs/1603.06098) (`"sec"`)
        - [Ahn et al., 2019](https://arxiv.org/abs/1904.05044) (`"irn"`)

    Example:

    >>> image = np.array([[0, 0, 0, 255, 255, 255]]).reshape(1, 1, 6, 1)
    >>> scores = np.zeros((1, 1, 6, 2))
    >>> scores[0, 0, 0, 0] = scores[0, 0, 5, 1] = 2.0  # one pixel a side
    >>> q = keras_xmap.ops.mean_field(image, scores)
    >>> np.asarray(q).argmax(-1).tolist()
    [[[0, 0, 0, 1, 1, 1]]]
    """
    parameters = crf_parameters(parameters)
    check_positive_integer("num_iterations", num_iterations)
    image, scores = as_tensor("image", image), as_tensor("scores", scores)
    check_image_and_scores(image.shape, scores.shape)
    is_float = keras.backend.is_float_dtype(scores.dtype)
    dtype = scores.dtype if is_float else keras.config.floatx()
    scores = ops.cast(
        scores, keras.backend.result_type(scores.dtype, "float32")
    )
    messages = []
    if parameters["appearance_weight"]:
        messages.append(_appearance(image, scores, parameters))
    if parameters["smoothness_weight"]:
        messages.append(_smoothness(scores, parameters))
    q = ops.softmax(scores)
    for _ in range(num_iterations):
        q = ops.softmax(sum((message(q) for message in messages), scores))
    return ops.cast(q, dtype)


def _appearance(image, scores, parameters):
    """Returns the function from q to the message of the appearance kernel."""
    features = _features(image, scores, parameters)
    num_pixels = features.shape[1]
    if num_pixels is not None and num_pixels**2 <= _MAX_HELD:
        kernel = _gaussian(features, features)
        total = ops.sum(kernel, axis=-1, keepdims=True)

        def apply(values):
            return ops.matmul(kernel, values)
    else:

        def apply(values):
            return _apply_in_blocks(features, values)

        total = apply(ops.ones_like(features[..., :1]))
    # Never 0: the kernel of a pixel with itself is 1.
    norm = ops.rsqrt(total)

    def message(q):
        flat = ops.reshape(q, _flat_shape(q))
        flat = norm * apply(norm * flat)
        return parameters["appearance_weight"] * ops.reshape(flat, ops.shape(q))

    return message


def _smoothness(scores, parameters):
    """Returns the function from q to the message of the smoothness kernel.

    The kernel, and the sums over its rows, are products of those along the
    height and along the width.
    """
    _, height, width, classes = ops.shape(scores)
    stddev = parameters["smoothness_stddev"]
    down = _normalised_gaussian_1d(height, stddev, scores.dtype)
    along = _normalised_gaussian_1d(width, stddev, scores.dtype)

    def message(q):
        rows = ops.matmul(down, ops.reshape(q, (-1, height, width * classes)))
        rows = ops.reshape(rows, (-1, width, classes))
        both = ops.reshape(ops.matmul(along, rows), ops.shape(q))
        return parameters["smoothness_weight"] * both

    return message


def _normalised_gaussian_1d(length, stddev, dtype):
    position = ops.cast(ops.arange(length), dtype) / stddev
    difference = position[:, None] - position
    kernel = ops.exp(-0.5 * difference * difference)
    norm = ops.rsqrt(ops.sum(kernel, axis=-1))
    return norm[:, None] * kernel * norm


def _features(image, scores, parameters):
    """Returns `(batch, pixels, 2 + channels)`, in standard deviations."""
    image = ops.cast(image, scores.dtype) / parameters["color_stddev"]
    _, height, width, _ = ops.shape(image)
    zero = ops.zeros_like(image[..., :1])
    planes = [
        zero + ops.reshape(_positions(height, parameters, zero), (-1, 1, 1))
    ]
    planes.append(
        zero + ops.reshape(_positions(width, parameters, zero), (-1, 1))
    )
    features = ops.concatenate([*planes, image], axis=-1)
    features = ops.reshape(features, _flat_shape(features))
    return features - ops.mean(features, axis=1, keepdims=True)


def _positions(length, parameters, like):
    return (
        ops.cast(ops.arange(length), like.dtype) / parameters["position_stddev"]
    )


def _flat_shape(x):
    batch, height, width, channels = ops.shape(x)
    return (batch, height * width, channels)


def _gaussian(rows, columns):
    """Returns the kernel `(batch, rows, columns)`; `rows` are all pixels."""
    # A matrix product is the fast way to all distances, but GPUs round what
    # they multiply to 11 bits, and distances are small differences of large
    # products. Of features split in two parts of 11 bits nothing is lost.
    size = ops.max(ops.abs(rows), axis=(1, 2), keepdims=True)
    size = ops.stop_gradient(ops.maximum(size, 1.0))
    rows, columns = rows / size, columns / size
    coarse = [ops.round(1024.0 * part) / 1024.0 for part in (rows, columns)]
    coarse = [ops.stop_gradient(part) for part in coarse]
    fine = [rows - coarse[0], columns - coarse[1]]
    left = [coarse[0], coarse[0], fine[0], fine[0]]
    right = [coarse[1], fine[1], coarse[1], fine[1]]
    product = ops.matmul(
        ops.concatenate(left, axis=-1),
        ops.swapaxes(ops.concatenate(right, axis=-1), -1, -2),
    )
    rows = 0.5 * ops.sum(rows * rows, axis=-1)[..., :, None]
    columns = 0.5 * ops.sum(columns * columns, axis=-1)[..., None, :]
    exponent = size * size * (product - rows - columns)
    return ops.exp(ops.minimum(exponent, 0.0))


@ops.custom_gradient
def _apply_in_blocks(features, values):
    """Returns `kernel @ values` without ever holding the kernel.

    The backward pass computes it anew as well: the kernel is symmetric, so
    the gradient in the values is the kernel applied to the upstream gradient.
    """
    result = _sum_over_blocks(
        features,
        (values,),
        lambda kernel, _, values: ops.matmul(kernel, values),
        ops.zeros_like(values),
    )

    def gradient(*args, upstream=None):
        upstream = args[-1] if upstream is None else upstream
        in_values = _sum_over_blocks(
            features,
            (upstream,),
            lambda kernel, _, upstream: ops.matmul(kernel, upstream),
            ops.zeros_like(upstream),
        )

        def pull(kernel, columns, upstream_block, values_block):
            # Of k(i, j) = exp(-|f_i - f_j|^2 / 2), pixel i as row and column.
            weight = ops.matmul(upstream, ops.swapaxes(values_block, -1, -2))
            weight += ops.matmul(values, ops.swapaxes(upstream_block, -1, -2))
            weight *= kernel
            total = ops.sum(weight, axis=-1, keepdims=True)
            return ops.matmul(weight, columns) - total * features

        in_features = _sum_over_blocks(
            features, (upstream, values), pull, ops.zeros_like(features)
        )
        return in_features, in_values

    return result, gradient


def _sum_over_blocks(features, values, term, start):
    """Sums `term(kernel, columns, *values)` over blocks of columns."""
    num_pixels = ops.shape(features)[1]
    if isinstance(num_pixels, int):
        block = max(1, min(num_pixels, _MAX_BLOCK // num_pixels))
    else:
        block = ops.clip(_MAX_BLOCK // num_pixels, 1, num_pixels)
    num_blocks = (num_pixels + block - 1) // block

    def step(number, total):
        position = number * block + ops.arange(block)
        inside = ops.cast(position < num_pixels, features.dtype)[:, None]
        position = ops.minimum(position, num_pixels - 1)
        columns = ops.take(features, position, axis=1)
        parts = [ops.take(v, position, axis=1) * inside for v in values]
        kernel = _gaussian(features, columns)
        return total + term(kernel, columns, *parts)

    return ops.fori_loop(0, num_blocks, step, start)
