import math
import numbers

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap.explainers.explainer import class_scores
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import floating
from keras_xmap.explainers.gradient_explainer import with_floating

_NAMED_BASELINES = ("zero", "mean", "blur")
_BLUR = 0.1  # standard deviation, as a share of the size along an axis


class IntegratedGradients(GradientExplainer):
    """What each pixel adds to the score on the way from a baseline image.

    `A = (I - B) * integral from 0 to 1 of dS / dI(B + a * (I - B)) da`

    The attributions of all pixels sum to `S(I) - S(B)`, up to the error of
    the integral; `completeness_gap` tells it. Positive values speak for the
    target, negative ones against it.

    The integral is taken by Gauss-Legendre quadrature, the most accurate for
    few steps: on smooth networks (GELU, tanh, softmax) 16 steps leave a gap
    that the midpoint rule does not reach with hundreds, and on ReLU networks,
    whose gradient jumps on the way, it is on a par or better. `num_steps`
    forward and backward passes, one batch in memory at a time. What the map
    shows is a difference to the baseline: a pixel that is as in the baseline
    gets nothing, so try more than one.

    Args:
        model: See `Saliency`.
        num_steps: Integer >= 1: gradients on the way. Defaults to `50`.
        baseline: What an image without the evidence is like. `"zero"`: zeros,
            which are grey for a model that takes images from -1 to 1;
            `"mean"`: each image's own mean colour, one number per channel;
            `"blur"`: the image blurred by a Gaussian with a tenth of its
            size as standard deviation along each axis; a number; or an array
            of the shape of one image, or one that broadcasts to it. For
            models with several inputs also a structure of these, like the
            inputs. Inputs of shape `(batch, features)` have neither mean
            colour nor blur. Defaults to `"zero"`.
        channel_reduction: See `Saliency`. Defaults to `"sum"`, which keeps
            the sign and the sum.
        layers: Must be `None`: the path leads through inputs.
        score: See `Saliency`.

    Raises:
        ValueError: If an argument is out of its range, or `layers` is given;
            on explaining, if the baseline does not fit the inputs.
        TypeError: If the baseline is nothing of the above.

    References:
        - [Sundararajan et al., 2017](https://arxiv.org/abs/1703.01365)
        - [Sturmfels et al., 2020](https://distill.pub/2020/attribution-baselines/):
          what the baseline decides

    Example:

    >>> inputs = keras.Input((2,))
    >>> model = keras.Model(inputs, keras.ops.prod(inputs, -1, keepdims=True))
    >>> explainer = keras_xmap.explainers.IntegratedGradients(model)
    >>> explainer.explain(np.array([[2.0, 3.0]], "float32"), 0).round(4)
    array([[3., 3.]], dtype=float32)
    """

    def __init__(
        self,
        model,
        num_steps=50,
        baseline="zero",
        channel_reduction="sum",
        layers=None,
        score="logits",
    ):
        if layers is not None:
            raise ValueError(
                "Integrated gradients are defined for inputs only: `layers` "
                f"must be None. Received: layers={layers!r}. Use "
                "GradientInput or SmoothGrad, which take layers."
            )
        super().__init__(model, channel_reduction, score=score)
        self.num_steps = check_positive_integer("num_steps", num_steps)
        self.baseline = baseline
        for part in keras.tree.flatten(baseline):
            _check_baseline(part)
        self._gap_runner = engine.Runner(model, self._compute_gap)

    def completeness_gap(
        self, data, target=None, batch_size=32, verbose="auto"
    ):
        """Tells how far the attributions are from summing to the score.

        `sum(A) - (S(I) - S(B))`, over all pixels, channels and inputs. It is
        0 for an exact integral; a gap that is not small beside the sum of the
        map asks for more steps. It costs what `explain` costs, and a forward
        pass of the baseline.

        Args:
            data: See `explain`.
            target: See `explain`.
            batch_size: See `explain`.
            verbose: See `explain`.

        Returns:
            Float32 array `(n,)`, in the unit of the score; a target of shape
            `(n, classes)` gives `(n, classes)`.
        """
        return self._gap_runner.collect(
            data, targets.get(target), batch_size, verbose
        )

    def attributions(self, inputs, target, parts):
        clean = self._evaluate(inputs)
        return self._integrate(clean, self._baselines(clean), target, parts)

    def _integrate(self, clean, baselines, target, parts):
        nodes, weights = map(
            ops.convert_to_tensor, _gauss_legendre(self.num_steps)
        )
        images = floating(clean.inputs)
        ways = [
            ops.cast(x, "float32") - baseline
            for x, baseline in zip(images, baselines, strict=True)
        ]

        def on_the_way(images, number):
            return [
                ops.cast(baseline + nodes[number] * way, x.dtype)
                for x, baseline, way in zip(
                    images, baselines, ways, strict=True
                )
            ]

        def weighted(gradients, number):
            # A mean is taken of these, so that weights have to sum to n.
            weight = self.num_steps * weights[number]
            return keras.tree.map_structure(lambda g: weight * g, gradients)

        (mean,) = self._mean_over_copies(
            clean, target, parts, self.num_steps, on_the_way, (weighted,)
        )
        return mean.times(ways)

    def _compute_gap(self, inputs, target, parts):
        clean = self._evaluate(inputs)
        resolved = target.resolve(clean.scores, parts)
        baselines = self._baselines(clean)
        found = self._integrate(clean, baselines, target, parts)
        at_baseline = self._evaluate(
            with_floating(
                clean.inputs,
                [
                    ops.cast(b + ops.zeros_like(x, "float32"), x.dtype)
                    for x, b in zip(
                        floating(clean.inputs), baselines, strict=True
                    )
                ],
            )
        )
        gaps = [
            sum(_sum_per_image(x) for x in of_class)
            - ops.cast(score - start, "float32")
            for of_class, score, start in zip(
                found.per_class,
                class_scores(clean, target, resolved),
                class_scores(at_baseline, target, resolved),
                strict=True,
            )
        ]
        return join_classes(gaps, target.is_single(parts))

    def _baselines(self, clean):
        """Returns a float32 tensor per floating-point input, broadcastable."""
        images = floating(clean.inputs)
        given = self.baseline
        if isinstance(given, (dict, list, tuple)):
            given = _like_inputs(given, clean.inputs)
        else:
            given = [given] * len(images)
        return [
            _baseline(x, part, clean.input_data_format)
            for x, part in zip(images, given, strict=True)
        ]


def _sum_per_image(x):
    return ops.sum(x, axis=tuple(range(1, len(x.shape))))


def _check_baseline(baseline):
    if isinstance(baseline, str):
        check_one_of(
            "baseline",
            baseline,
            _NAMED_BASELINES,
            "Or pass a number, or an array of the shape of one image.",
        )
        return
    is_number = isinstance(baseline, numbers.Real) and not isinstance(
        baseline, bool
    )
    if is_number and not math.isfinite(baseline):
        raise ValueError(
            f"`baseline` must be finite. Received: baseline={baseline!r}."
        )
    if not is_number and not hasattr(baseline, "shape"):
        raise TypeError(
            "`baseline` must be 'zero', 'mean', 'blur', a number, an array, "
            "or a structure of these like the model's inputs. Received: "
            f"baseline={baseline!r} (of type {type(baseline).__name__})."
        )


def _like_inputs(baseline, inputs):
    """Returns the parts of a structure for the floating-point inputs."""
    try:
        keras.tree.assert_same_structure(inputs, baseline)
    except (ValueError, TypeError):
        shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
        raise ValueError(
            "`baseline` must be one for all inputs, or have their structure. "
            f"Received: baseline={baseline!r} for inputs of shapes {shapes}."
        ) from None
    is_floating = with_floating(
        inputs, [True] * len(floating(inputs)), otherwise=lambda x: False
    )
    return [
        part
        for part, keep in zip(
            keras.tree.flatten(baseline),
            keras.tree.flatten(is_floating),
            strict=True,
        )
        if keep
    ]


def _baseline(x, baseline, data_format):
    x = ops.cast(x, "float32")
    if isinstance(baseline, str):
        if baseline == "zero":
            return ops.zeros_like(x)
        if len(x.shape) < 3:
            raise ValueError(
                f"An input of shape {tuple(x.shape)} has no positions to take "
                f"the mean colour or the blur of. Received: baseline="
                f"{baseline!r}. Pass 'zero', a number or an array, for this "
                "input alone by a structure like the inputs."
            )
        first = 1 if data_format == "channels_last" else 2
        axes = tuple(range(first, first + len(x.shape) - 2))
        if baseline == "mean":
            return ops.mean(x, axis=axes, keepdims=True)
        return _blur(x, axes)
    baseline = ops.cast(ops.convert_to_tensor(baseline), "float32")
    shape, expected = tuple(baseline.shape), tuple(x.shape)
    if len(shape) == len(expected) - 1:
        expected = expected[1:]
    aligned = expected[len(expected) - len(shape) :]
    fits = len(shape) <= len(expected) and all(
        size == 1 or known in (None, size)
        for size, known in zip(shape, aligned, strict=True)
    )
    if not fits or (len(shape) == len(x.shape) and shape[0] != 1):
        raise ValueError(
            "`baseline` must have the shape of one image, or broadcast to it. "
            f"Received: a baseline of shape {shape} for inputs of shape "
            f"{tuple(x.shape)}."
        )
    engine.require(
        ops.all(ops.isfinite(baseline)),
        "`baseline` must be finite. Received: an array with NaN or infinite "
        "values.",
    )
    return baseline


def _blur(x, axes):
    """Blurs each axis by a Gaussian of `_BLUR` times its size.

    Near the border only pixels of the image are weighed.
    """
    for axis in axes:
        size = ops.shape(x)[axis]
        position = ops.arange(size, dtype="float32")
        distance = ops.expand_dims(position, 1) - position
        stddev = _BLUR * ops.cast(size, "float32")
        weights = ops.exp(-0.5 * ops.square(distance / stddev))
        weights = weights / ops.sum(weights, axis=1, keepdims=True)
        blurred = ops.tensordot(x, weights, axes=[[axis], [1]])
        x = ops.moveaxis(blurred, -1, axis)
    return x


def _gauss_legendre(count):
    """Returns nodes in (0, 1) and weights that sum to 1: two lists."""
    nodes, weights = [], []
    for number in range(count):
        # Newton's method, from a close guess, for a root of P_count.
        x = math.cos(math.pi * (number + 0.75) / (count + 0.5))
        for _ in range(5):
            value, slope = _legendre(count, x)
            x -= value / slope
        _, slope = _legendre(count, x)
        nodes.append((1 - x) / 2)
        weights.append(1 / ((1 - x * x) * slope * slope))
    return nodes, weights


def _legendre(degree, x):
    """Returns the value and the derivative of a Legendre polynomial."""
    before, value = 1.0, x
    for n in range(2, degree + 1):
        before, value = value, ((2 * n - 1) * x * value - (n - 1) * before) / n
    return value, degree * (x * value - before) / (x * x - 1)
