from collections.abc import Callable

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import filling_of_input
from keras_xmap._typing import Tensor
from keras_xmap.engine import InputLayout
from keras_xmap.explainers._views import check_baseline
from keras_xmap.explainers._windows import check_no_gaps
from keras_xmap.explainers._windows import check_sizes
from keras_xmap.explainers._windows import covered
from keras_xmap.explainers._windows import maps_of_effects
from keras_xmap.explainers._windows import number_of
from keras_xmap.explainers._windows import windows_of
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
        self.patch_size = check_sizes("patch_size", patch_size)
        self.strides = strides
        if strides is not None:
            self.strides = check_sizes("strides", strides)
            check_no_gaps(self.patch_size, self.strides)
        self.baseline = check_filling("baseline", baseline)

    def check_views(self) -> None:
        check_baseline(self.baseline)

    def maps_of_input(
        self, x: Tensor, clean: Tensor, scores: Callable, layout: InputLayout
    ) -> Tensor:
        windows = windows_of(x, layout, self.patch_size, self.strides)
        baseline = filling_of_input(x, self.baseline, layout.channel_axis)

        def effect(number):
            inside = covered(x, layout, windows, number[None])
            return clean - scores(ops.where(inside, baseline, x))

        effects = engine.stack_of_samples(effect, number_of(windows))
        effects = ops.reshape(
            ops.moveaxis(effects, 0, -1),
            (*ops.shape(clean), *(w.count for w in windows)),
        )
        return maps_of_effects(effects, windows)
