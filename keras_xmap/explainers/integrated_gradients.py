import keras
import numpy as np
from keras import ops

from keras_xmap import targets
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import is_number
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import filling_of_input
from keras_xmap._typing import Structure
from keras_xmap.explainers._views import check_baseline
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients
from keras_xmap.explainers.gradient_explainer import channel_axis_of
from keras_xmap.explainers.gradient_explainer import floating
from keras_xmap.explainers.gradient_explainer import with_floating
from keras_xmap.targets import class_scores


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
        target_layer: See `Saliency`: the way leads from the baseline to what
            the layer puts out, while all else stays as it is. `baseline` is
            then one for the layer's output, or a list with one for each of
            several layers. Of token ids, texts and categories it is the
            embedding layer that is explained: the attributions of a text's
            tokens sum to `S(I) - S(B)`, where in `B` every token has the
            embedding 0 or, with `baseline=embeddings[padding_id]`, that of
            padding. Defaults to `None`: the inputs.
        input_name: See `Saliency`; all inputs leave their baseline also then.
        score: See `Saliency`.

    Raises:
        ValueError: If an argument is out of its range or the baseline is
            nothing of the above; on explaining, if the baseline does not fit
            the inputs.

    References:
        - [Sundararajan et al., 2017](https://arxiv.org/abs/1703.01365)
        - [Sturmfels et al., 2020](https://distill.pub/2020/attribution-baselines/):
          what the baseline decides

    Example:

    >>> inputs = keras.Input((2,))
    >>> model = keras.Model(inputs, keras.ops.prod(inputs, -1, keepdims=True))
    >>> explainer = keras_xmap.explainers.IntegratedGradients(model)
    >>> number = keras_xmap.targets.Component()
    >>> explainer.explain(np.array([[2.0, 3.0]], "float32"), number).round(4)
    array([[3., 3.]], dtype=float32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        num_steps: int = 50,
        baseline: object = "zero",
        channel_reduction: str | None = "sum",
        target_layer: object = None,
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model, channel_reduction, target_layer, input_name, score
        )
        self.num_steps = check_positive_integer("num_steps", num_steps)
        self.baseline = keras.tree.map_structure(
            lambda part: check_filling("baseline", part), baseline
        )

    def check_views(self) -> None:
        super().check_views()
        check_baseline(self.baseline)

    def completeness_gap(
        self,
        data: Structure,
        target: object = None,
        batch_size: int = 32,
        verbose: str | int = "auto",
    ) -> np.ndarray:
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
        return self._runner_of("_compute_gap").collect(
            data, self.convert_target(target), batch_size, verbose
        )

    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        clean = self.evaluate(inputs)
        ways = self._ways(clean, target, parts)
        return _joined([self._along(way, clean, target, parts) for way in ways])

    def _ways(self, clean, target, parts):
        """Returns the ways to integrate along: one for all inputs together,

        or one for each of the layers.
        """
        score = class_scores(clean, target, parts)[0]
        if self._layers is None:
            images = floating(clean.inputs)
            if not images:
                raise clean.without_gradient(score)
            return [_Way(images, self._baselines(clean), None)]
        calls = self._calls(clean, score)
        given = self.baseline
        if not isinstance(given, list):
            given = [given] * len(calls)
        if len(given) != len(calls):
            raise ValueError(
                "`baseline` must be one for all layers, or a list with one "
                f"for each of them. Received: {len(given)} baselines for "
                f"target_layer={self.target_layer!r}."
            )
        return [
            _Way([call.outputs], [_baseline_of_layer(call, part)], call)
            for call, part in zip(calls, given, strict=True)
        ]

    def _along(self, way, clean, target, parts):
        """Returns the attributions by one way, as `Gradients`."""
        nodes, weights = _gauss_legendre(self.num_steps)

        def on_the_way(unchanged, number):
            return way.at(nodes[number])

        def weighted(gradients, number):
            # A mean is taken of these, so that weights have to sum to n.
            weight = self.num_steps * weights[number]
            return keras.tree.map_structure(lambda g: weight * g, gradients)

        (mean,) = self.mean_over_copies(
            clean,
            target,
            parts,
            self.num_steps,
            on_the_way,
            (weighted,),
            where=way.call,
            alone=True,
        )
        return mean.times(way.steps)

    def _compute_gap(self, inputs, target, parts):
        clean = self.evaluate(inputs)
        target = target.for_units(clean.units)
        resolved = target.resolve(clean.scores, parts)
        at_image = class_scores(clean, target, resolved)
        gaps = []
        for way in self._ways(clean, target, parts):
            at_baseline = class_scores(
                self._at_baseline(clean, way), target, resolved
            )
            found = self._along(way, clean, target, parts)
            of_classes = [
                sum(_sum_per_image(x) for x in of_class)
                - ops.cast(score - start, "float32")
                for of_class, score, start in zip(
                    found.per_class, at_image, at_baseline, strict=True
                )
            ]
            gaps.append(join_classes(of_classes, target.is_single(parts)))
        several = isinstance(self.target_layer, (list, tuple))
        notes = {"score_used": clean.score_used}
        return gaps if several else gaps[0], notes

    def _at_baseline(self, clean, way):
        if way.call is not None:
            return self.evaluate_replaced(
                clean, way.call, lambda x: way.at(0.0)[0]
            )
        return self.evaluate(with_floating(clean.inputs, way.at(0.0)))

    def _baselines(self, clean):
        """Returns a float32 tensor per floating-point input, broadcastable."""
        images = floating(clean.inputs)
        given = self.baseline
        if isinstance(given, (dict, list, tuple)):
            given = _like_inputs(given, clean.inputs)
        else:
            given = [given] * len(images)
        return [
            filling_of_input(
                ops.cast(x, "float32"),
                part,
                None if is_number(part) else clean.channel_axis(x),
            )
            for x, part in zip(images, given, strict=True)
        ]


class _Way:
    """The straight way of tensors from their baselines.

    Attributes:
        steps: List of float32 tensors: what lies between the two.
        call: The `LayerCall` that puts the tensor out; `None` for inputs.
    """

    def __init__(self, ends, baselines, call):
        self._ends = ends
        self._baselines = baselines
        self.call = call
        self.steps = [
            ops.cast(x, "float32") - baseline
            for x, baseline in zip(ends, baselines, strict=True)
        ]

    def at(self, share):
        """Returns the tensors after a share of the way, from 0 to 1."""
        return [
            ops.cast(baseline + share * step, x.dtype)
            for x, baseline, step in zip(
                self._ends, self._baselines, self.steps, strict=True
            )
        ]


def _joined(parts):
    """Returns the `Gradients` of several ways as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    notes = {
        **first.notes,
        "layers_used": [x for p in parts for x in p.notes["layers_used"]],
    }
    return Gradients(
        [x for part in parts for x in part.values],
        [axis for part in parts for axis in part.channel_axes],
        [
            [x for of_part in of_class for x in of_part]
            for of_class in zip(*(p.per_class for p in parts), strict=True)
        ],
        notes,
    )


def _baseline_of_layer(call, part):
    x = ops.cast(call.outputs, "float32")
    return filling_of_input(x, part, channel_axis_of(call))


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


def _sum_per_image(x):
    return ops.sum(x, axis=tuple(range(1, len(x.shape))))


def _gauss_legendre(count):
    """Returns nodes in (0, 1) and weights that sum to 1, as tensors."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return [
        ops.convert_to_tensor(x.astype("float32"))
        for x in ((1 + nodes) / 2, weights / 2)
    ]
