import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._axes import spatial_axes
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_non_negative_integer
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import is_integer
from keras_xmap._typing import Structure
from keras_xmap.explainers._model_reader import ModelReader
from keras_xmap.explainers.gradient_explainer import floating
from keras_xmap.explainers.gradient_explainer import with_floating
from keras_xmap.ops import gaussian_blur


class ClassModel(ModelReader):
    """The image that a model takes for the best example of a class.

    `I* = argmax_I S(I) - weight_decay * |I|^2`

    by gradient ascent from the zero image (or any other):

    `I <- I + learning_rate * d(S(I) - weight_decay * |I|^2) / dI`

    It explains a class, not an image, so it takes no images and is no
    `Explainer`: `class_model(target)` returns one image per class. One
    forward and one backward pass per step, all steps in one compiled loop.

    Without regularisation the image holds mostly high frequencies that move
    the score and tell a reader little; `total_variation`, `jitter` and `blur`
    are what later papers added for legible pictures. Do not read the picture
    as what objects of the class look like: many images reach the same score,
    and the ascent shows one of them.

    Args:
        model: `keras.Model`, or any Keras layer, that runs on TensorFlow, see
            `GradCAM`. Several inputs are changed together; inputs of integers
            stay as they are.
        num_steps: Integer >= 1: steps of ascent. Defaults to `200`.
        learning_rate: Float > 0: the length of a step, in units of the input
            per unit of the gradient. The paper states none; take less where
            inputs are small numbers. Defaults to `1.0`.
        weight_decay: Float >= 0, the lambda of the paper, which states no
            value. Defaults to `0.001`.
        total_variation: Float >= 0: what the sum of squared differences of
            neighbouring pixels weighs against the score. Defaults to `0.0`.
        jitter: Integer >= 0: before each step the image is rolled by up to
            this many pixels along each axis, and back after it. The shifts
            are a fixed sequence. Defaults to `0`.
        blur: Float >= 0: after each step the image is blurred by a Gaussian
            of this standard deviation, in pixels. Defaults to `0.0`.
        target_layer: `keras.layers.Layer`, its name or its path: what is
            maximised is then a channel of this layer, the mean of its
            activation over all positions, and `target` is the channel.
            Defaults to `None`: a class of the model.
        score: `"logits"` raises the score before the softmax or sigmoid that
            ends the model; `"output"` the output as it is, which can also be
            raised by lowering the other classes. Defaults to `"logits"`.

    Attributes:
        score_used: String: where the score was found in the model; `None`
            before the first call.

    Raises:
        TypeError: If `model` is no Keras layer.
        ValueError: If an argument is out of its range, or if steps of
            `learning_rate` overshoot `weight_decay` and `total_variation`.

    References:
        - [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034)
        - [Mahendran & Vedaldi, 2014](https://arxiv.org/abs/1412.0035): total
          variation, with beta = 2
        - [Yosinski et al., 2015](https://arxiv.org/abs/1506.06579): blur

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[1.0], [-2.0]])])
    >>> class_model = keras_xmap.explainers.ClassModel(model, weight_decay=0.1)
    >>> number = keras_xmap.targets.Component()
    >>> np.round(class_model(number), 4)  # w / (2 * weight_decay)
    array([[  5., -10.]], dtype=float32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        num_steps: int = 200,
        learning_rate: float = 1.0,
        weight_decay: float = 0.001,
        total_variation: float = 0.0,
        jitter: int = 0,
        blur: float = 0.0,
        target_layer: object = None,
        score: str = "logits",
    ):
        super().__init__(model, score)
        self.num_steps = check_positive_integer("num_steps", num_steps)
        self.learning_rate = check_positive("learning_rate", learning_rate)
        self.weight_decay = check_non_negative("weight_decay", weight_decay)
        self.total_variation = check_non_negative(
            "total_variation", total_variation
        )
        self.jitter = check_non_negative_integer("jitter", jitter)
        self.blur = check_non_negative("blur", blur)
        self.target_layer = target_layer
        self._check_step(num_axes=0)

    def __call__(
        self,
        target: object,
        shape: tuple[int, ...] | None = None,
        start: Structure = None,
    ) -> Structure:
        """Makes one image per entry of `target`.

        Args:
            target: What is maximised, see `keras_xmap.targets`: a class, an
                array of classes `(n,)`, or anything else that scores one
                number per image.
            shape: Tuple: the shape of one image, without batch. Defaults to
                `None`: that of the model's only input.
            start: Floating-point array `(n, *shape)`, or the structure of
                them that the model takes, from which to ascend. Defaults to
                `None`: the zero image.

        Returns:
            Float32 tensor `(n, *shape)`, in the structure of `start`; one
            image where `target` is the same for all.

        Raises:
            ValueError: If target, shape, start and model do not fit.
        """
        if target is None:
            raise ValueError(
                "`target` must say what is to be maximised. Received: "
                "target=None. Pass a class, such as `target=3`."
            )
        target = targets.get(target)
        if start is None:
            start = self._zeros(target, shape)
        elif shape is not None:
            raise ValueError(
                "Pass `shape` or `start`, not both. Received: "
                f"shape={shape} and a start."
            )
        return self._runner.call(start, target)

    def _compute_float32(self, inputs, target, parts):
        clean = engine.evaluate(self.model, inputs, self.score)
        outputs, score_used = self._outputs(clean)
        # The channels of a layer are numbers, also where there is but one.
        units = clean.units
        if self.target_layer is not None:
            units = engine.Unit("number")
        target = target.for_units(units)
        parts = target.resolve(outputs, parts)
        start = floating(inputs)
        if not start:
            raise clean.without_gradient(self._one_score(clean, target, parts))
        looks_around = self.total_variation or self.blur or self.jitter
        channels = [
            clean.channel_axis(x) if looks_around else None for x in start
        ]
        axes = [
            _axes_with_neighbours(len(x.shape), channel_axis)
            for x, channel_axis in zip(start, channels, strict=True)
        ]
        self._check_step(max(len(of_input) for of_input in axes))

        def step(index, images):
            copies = [
                ops.cast(self._jittered(x, of_input, index, 1), like.dtype)
                for x, of_input, like in zip(images, axes, start, strict=True)
            ]
            gradients = self._gradients(
                with_floating(inputs, copies), target, parts
            )
            return [
                self._moved(
                    x,
                    self._jittered(gradient, of_input, index, -1),
                    of_input,
                    channel_axis,
                )
                for x, gradient, of_input, channel_axis in zip(
                    images, gradients, axes, channels, strict=True
                )
            ]

        images = [ops.cast(x, "float32") for x in start]
        images = ops.fori_loop(0, self.num_steps, step, images)
        return with_floating(inputs, images), {"score_used": score_used}

    def _gradients(self, images, target, parts):
        """Returns the derivatives of the score by the images: a list."""
        evaluation = engine.evaluate(self.model, images, self.score)
        score = self._one_score(evaluation, target, parts)
        found = evaluation.gradients(score, floating(evaluation.inputs))
        return [ops.cast(x, "float32") for x in found]

    def _moved(self, x, gradient, axes, channel_axis):
        """Returns the image after one step of ascent."""
        penalty = self.weight_decay * x
        if self.total_variation:
            penalty = penalty + self.total_variation * _roughness(x, axes)
        moved = x + self.learning_rate * (gradient - 2 * penalty)
        if self.blur and axes:
            moved = _blurred(moved, self.blur, channel_axis)
        return ops.reshape(moved, ops.shape(x))

    def _jittered(self, x, axes, index, sign):
        if self.jitter and axes:
            share = engine.uniform_noise((len(axes),), 0, index)
            shifts = ops.floor(share * (2 * self.jitter + 1)) - self.jitter
            shifts = sign * ops.cast(shifts, "int32")
            for number, axis in enumerate(axes):
                x = ops.roll(x, shifts[number], axis=axis)
        return x

    def _outputs(self, evaluation):
        """Returns what the target chooses from, and a description of it."""
        if self.target_layer is None:
            return evaluation.scores, evaluation.score_used
        call = evaluation.layer_call(self.target_layer, None)
        axes = spatial_axes(len(call.outputs.shape), call.data_format)
        means = evaluation.derive(
            lambda x: ops.mean(ops.cast(x, "float32"), axis=axes), call.outputs
        )
        return means, f"mean activations of layer {call.path!r}"

    def _one_score(self, evaluation, target, parts):
        outputs, _ = self._outputs(evaluation)
        score = evaluation.derive(lambda x: target.scores(x, parts), outputs)
        if len(score.shape) != 1:
            raise ValueError(
                "ClassModel makes one image per class. Expected: a target "
                "with one score per image. Received: scores of shape "
                f"{tuple(score.shape)}. Pass the classes as an array (n,)."
            )
        return score

    def _zeros(self, target, shape):
        if shape is None:
            inputs = getattr(self.model, "inputs", None) or ()
            known = [tuple(x.shape[1:]) for x in inputs]
            shape = known[0] if len(known) == 1 else None
            if shape is None or None in shape:
                raise ValueError(
                    "The model does not tell the shape of one image. "
                    f"Received: shape=None for inputs of shapes {known}. Pass "
                    "`shape`, or, for several inputs, `start`."
                )
        if not isinstance(shape, (list, tuple)) or not all(
            is_integer(size) and size > 0 for size in shape
        ):
            raise ValueError(
                "`shape` must hold the sizes of one image, without batch. "
                f"Received: shape={shape!r}."
            )
        counts = [
            ops.shape(part)[0]
            for part in target.parts.values()
            if len(part.shape)
        ]
        return ops.zeros((counts[0] if counts else 1, *shape), "float32")

    def _check_step(self, num_axes):
        """Checks that the steps do not overshoot what the penalties ask for.

        The sum of squared differences has curvature of up to 8 per axis.
        """
        steepest = self.weight_decay + 4 * num_axes * self.total_variation
        if self.learning_rate * steepest >= 1:
            raise ValueError(
                "`learning_rate` is too large for the penalties: the image "
                "would grow without end. Received: learning_rate="
                f"{self.learning_rate}, weight_decay={self.weight_decay}, "
                f"total_variation={self.total_variation}. Pass learning_rate "
                f"< {1 / steepest:.4g}."
            )


def _axes_with_neighbours(rank, channel_axis):
    """Returns the axes of positions; features have no neighbours."""
    if rank < 3:
        return ()
    return tuple(axis for axis in range(1, rank) if axis != channel_axis)


def _blurred(x, stddev, channel_axis):
    if channel_axis is None:
        return gaussian_blur(x[..., None], stddev)[..., 0]
    is_last = channel_axis == len(x.shape) - 1
    data_format = "channels_last" if is_last else "channels_first"
    return gaussian_blur(x, stddev, data_format)


def _roughness(x, axes):
    """Returns half the derivative of the sum of squared differences."""
    rough = ops.zeros_like(x)
    for axis in axes:
        for offset in (-1, 1):
            rough = rough + x - _neighbour(x, axis, offset)
    return rough


def _neighbour(x, axis, offset):
    """Returns `x` moved along an axis; beyond the border is the border."""
    size = ops.shape(x)[axis]
    index = ops.clip(ops.arange(size) + offset, 0, size - 1)
    return ops.take(x, index, axis=axis)
