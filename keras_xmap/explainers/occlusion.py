from collections.abc import Callable

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_positive_integer
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import filling_of_input
from keras_xmap._typing import Tensor
from keras_xmap.engine import InputLayout
from keras_xmap.explainers._views import check_baseline
from keras_xmap.explainers.perturbation_explainer import PerturbationExplainer


class Occlusion(PerturbationExplainer):
    """How far the score falls when a window of the image is covered.

    `effect(w) = S(I) - S(I with window w set to the baseline)`

    `M(x, y)` = mean of `effect(w)` over the windows `w` that cover `(x, y)`

    Positive where the image speaks for the class, negative where it speaks
    against it, in units of the score. Of a linear model, the effects of
    windows that tile the image sum to `S(I) - S(baseline)`.

    One forward pass per window, one batch in memory at a time: an image of
    224 x 224 takes 196 passes with the defaults and 2809 with `strides=4`.
    Nothing finer than a window is seen, and an object that two windows show
    alike has no effect, for covering one leaves the other.

    Args:
        model: See `GradCAM`; several inputs are occluded one at a time.
        patch_size: Integer >= 1, or tuple with one entry per axis of
            positions: the size of the windows, in pixels. Windows that cross
            the border are cut there. Defaults to `16`.
        strides: Integer or tuple, 1 to `patch_size`: how far one window lies
            from the next. Defaults to `None`: `patch_size`, windows side by
            side.
        baseline: What covers a window: a number; `"zero"`; `"mean"`, each
            image's own mean colour; `"blur"`, the image blurred by a Gaussian
            with a tenth of its size as standard deviation; or an array, one
            number for each channel or one image. Defaults to `0`, the grey of
            images with zero mean.
        input_name: Name or number of the input that is occluded, in a model
            with several: the key of a dict, the number in a list, or the
            name of the `keras.Input`. Defaults to `None`: each in turn.
        score: `"logits"` explains the score before the softmax or sigmoid
            that ends the model; `"output"` the output as it is, as in the
            paper's pictures. Defaults to `"logits"`.

    Raises:
        ValueError: If an argument is out of its range; on explaining, if
            `patch_size`, `strides` or `baseline` do not fit the input.

    References:
        - [Zeiler & Fergus, 2014](https://arxiv.org/abs/1311.2901)

    Example:

    >>> model = keras.Sequential([keras.Input((2, 2, 1)),
    ...     keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[1.0], [-2.0], [3.0], [0.0]])])
    >>> occlusion = keras_xmap.explainers.Occlusion(model, patch_size=(1, 2))
    >>> number = keras_xmap.targets.Component()
    >>> occlusion.explain(np.ones((1, 2, 2, 1), "float32"), target=number)
    array([[[-1., -1.],
            [ 3.,  3.]]], dtype=float32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        patch_size: int | tuple[int, ...] = 16,
        strides: int | tuple[int, ...] | None = None,
        baseline: object = 0,
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(model, input_name, score)
        self.patch_size = _check_sizes("patch_size", patch_size)
        self.strides = strides
        if strides is not None:
            self.strides = _check_sizes("strides", strides)
            _check_no_gaps(self.patch_size, self.strides)
        self.baseline = check_filling("baseline", baseline)

    def check_views(self) -> None:
        check_baseline(self.baseline)

    def maps_of_input(
        self, x: Tensor, clean: Tensor, scores: Callable, layout: InputLayout
    ) -> Tensor:
        rank = len(layout.axes)
        patch = _per_axis("patch_size", self.patch_size, rank, x)
        strides = self.strides or self.patch_size
        strides = _per_axis("strides", strides, rank, x)
        windows = [
            _Windows(*axis)
            for axis in zip(layout.size, patch, strides, strict=True)
        ]
        baseline = filling_of_input(x, self.baseline, layout.channel_axis)

        def effect(number):
            covered = ops.ones((), "bool")
            for along_axis, index in zip(
                windows, _unravel(number, windows), strict=True
            ):
                inside = along_axis.contains(index)
                covered = ops.logical_and(covered[..., None], inside)
            covered = layout.expand(covered)
            return clean - scores(ops.where(covered, baseline, x))

        count = 1
        for along_axis in windows:
            count = count * along_axis.count
        effects = engine.stack_of_samples(effect, count)
        maps = ops.reshape(
            ops.moveaxis(effects, 0, -1),
            (*ops.shape(clean), *(w.count for w in windows)),
        )
        for axis, along_axis in enumerate(windows, 2):
            maps = along_axis.mean_over_windows(maps, axis)
        return maps


class _Windows:
    """The windows along one axis: where they lie, and means over them."""

    def __init__(self, size, width, stride):
        self.size = size
        self.width = width
        self.stride = stride
        if isinstance(size, int):
            beyond = max(size - width, 0)
        else:
            beyond = ops.maximum(size - width, 0)
        self.count = (beyond + stride - 1) // stride + 1

    def contains(self, index):
        """Returns which positions window `index` covers, `(size,)`."""
        place, start = ops.arange(self.size), index * self.stride
        return ops.logical_and(place >= start, place < start + self.width)

    def mean_over_windows(self, x, axis):
        """Turns one value per window into one per position, along `axis`.

        A sum over the few windows that meet at a position, rather than a
        matrix product, which GPUs round to fewer digits.
        """
        place = ops.arange(self.size)
        last = ops.minimum(place // self.stride, self.count - 1)
        shape = [1] * len(x.shape)
        shape[axis] = -1
        total = number = 0.0
        for back in range(-(-self.width // self.stride)):
            window = ops.maximum(last - back, 0)
            covers = ops.logical_and(
                last >= back, place < window * self.stride + self.width
            )
            covers = ops.reshape(ops.cast(covers, x.dtype), shape)
            total = total + covers * ops.take(x, window, axis=axis)
            number = number + covers
        return total / number


def _unravel(number, windows):
    """Returns the window along each axis that window `number` is made of."""
    indices = []
    for along_axis in reversed(windows):
        indices.append(number % along_axis.count)
        number = number // along_axis.count
    return reversed(indices)


def _per_axis(name, sizes, rank, x):
    if isinstance(sizes, int):
        return (sizes,) * rank
    if len(sizes) != rank:
        raise ValueError(
            f"`{name}` must have one entry per axis of positions. Received: "
            f"{name}={sizes} for an input of shape {tuple(x.shape)}. An "
            "integer serves inputs of every number of axes."
        )
    return sizes


def _check_sizes(name, sizes):
    if isinstance(sizes, (list, tuple)):
        for size in sizes:
            check_positive_integer(name, size)
        return tuple(int(size) for size in sizes)
    return check_positive_integer(name, sizes)


def _check_no_gaps(patch_size, strides):
    both = (patch_size, strides)
    lengths = {len(sizes) for sizes in both if not isinstance(sizes, int)}
    rank = max(lengths, default=1)
    widths, steps = (
        (sizes,) * rank if isinstance(sizes, int) else sizes for sizes in both
    )
    if len(lengths) > 1 or any(
        step > width for width, step in zip(widths, steps, strict=True)
    ):
        raise ValueError(
            "`strides` must be at most `patch_size`, along each axis, so that "
            f"windows leave no gaps. Received: strides={strides}, "
            f"patch_size={patch_size}."
        )
