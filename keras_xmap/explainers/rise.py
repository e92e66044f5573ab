from collections.abc import Callable

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._typing import Tensor
from keras_xmap.engine import InputLayout
from keras_xmap.explainers.perturbation_explainer import PerturbationExplainer


class RISE(PerturbationExplainer):
    """The mean score of the random masks that leave a pixel to be seen.

    `M(x, y) = sum_i S(I * m_i) * m_i(x, y) / (num_masks * keep_probability)`

    estimates `E[S(I * m) | (x, y) is seen]`. Mask `m_i` is a small grid of
    zeros and ones, enlarged to cells of `ceil(size / grid_size)` pixels by
    linear interpolation, and shifted at random by less than a cell.

    The model is a black box: one forward pass per mask, one batch in memory
    at a time. All images see the same masks, so a map does not depend on the
    batch, the order or the replica its image was explained in. The map is
    noisy, by about 1 / sqrt(num_masks); its level is the score of a half
    covered image everywhere, and only the differences on top of it tell
    pixels apart. Use `Occlusion` for effects in units of the score.

    Args:
        model: See `GradCAM`; several inputs are masked one at a time.
        num_masks: Integer >= 1. The paper takes 4000 for VGG16 and 8000 for
            ResNet50. Defaults to `4000`.
        grid_size: Integer >= 1: cells of the grid along each axis. Defaults
            to `7`.
        keep_probability: Float between 0 and 1: how likely a cell is to be
            seen. Defaults to `0.5`.
        seed: Integer from 0 to 2**31 - 1: the masks; the same seed gives the
            same maps. Defaults to `0`.
        input_name: Name or number of the input that is masked, in a model
            with several: the key of a dict, the number in a list, or the
            name of the `keras.Input`. Defaults to `None`: each in turn.
        score: `"output"` explains the output as it is, a probability as in
            the paper; `"logits"` the score before the softmax or sigmoid
            that ends the model. Defaults to `"output"`.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421)

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 1)),
    ...     keras.layers.Cropping2D(((0, 4), (0, 4))),  # sees one corner
    ...     keras.layers.GlobalAveragePooling2D()])
    >>> rise = keras_xmap.explainers.RISE(model, 200, grid_size=2)
    >>> number = keras_xmap.targets.Component()
    >>> heatmap = rise.explain(np.ones((1, 8, 8, 1), "float32"), number)[0]
    >>> bool(heatmap[:4, :4].mean() > heatmap[4:, 4:].mean())
    True
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        num_masks: int = 4000,
        grid_size: int = 7,
        keep_probability: float = 0.5,
        seed: int = 0,
        input_name: str | int | None = None,
        score: str = "output",
    ):
        super().__init__(model, input_name, score)
        self.num_masks = check_positive_integer("num_masks", num_masks)
        self.grid_size = check_positive_integer("grid_size", grid_size)
        self.keep_probability = check_fraction(
            "keep_probability", keep_probability
        )
        self.seed = check_seed("seed", seed)

    def maps_of_input(
        self, x: Tensor, clean: Tensor, scores: Callable, layout: InputLayout
    ) -> Tensor:
        def sample(index):
            mask = self._mask(layout, index)
            seen = x * ops.cast(layout.expand(mask), x.dtype)
            of_mask = scores(seen)
            for _ in layout.axes:
                of_mask = of_mask[..., None]
            return of_mask * mask

        # Zeros: only their shape counts, and to ask for that is no pass.
        like = ops.zeros((ops.shape(x)[0], clean.shape[1], *layout.size))
        mean = engine.mean_of_samples(sample, self.num_masks, like)
        return mean / self.keep_probability

    def _mask(self, layout, index):
        """Returns mask number `index`, float32 of shape `layout.size`."""
        num_axes = len(layout.axes)
        num_cells = self.grid_size**num_axes
        # Inputs of one model get masks of their own.
        noise = engine.uniform_noise(
            (num_cells + num_axes,), (self.seed + layout.number) % 2**31, index
        )
        mask = ops.cast(noise[:num_cells] < self.keep_probability, "float32")
        mask = ops.reshape(mask, (self.grid_size,) * num_axes)
        for axis, size in enumerate(layout.size):
            mask = self._enlarge(mask, axis, size, noise[num_cells + axis])
        return mask

    def _enlarge(self, mask, axis, size, shift):
        """Enlarges the grid along one axis, and cuts `size` pixels out of it.

        The grid becomes one cell longer than the image, so that every shift
        below one cell, given as a share of it, leaves enough.
        """
        cell = (size + self.grid_size - 1) // self.grid_size
        shift = ops.floor(shift * ops.cast(cell, "float32"))
        place = ops.arange(size, dtype="float32") + shift + 0.5
        length = ops.cast((self.grid_size + 1) * cell, "float32")
        centre = place * self.grid_size / length - 0.5
        centre = ops.clip(centre, 0.0, self.grid_size - 1.0)
        lower = ops.floor(centre)
        shape = [1] * len(mask.shape)
        shape[axis] = -1
        weight = ops.reshape(centre - lower, shape)
        lower = ops.cast(lower, "int32")
        upper = ops.minimum(lower + 1, self.grid_size - 1)
        before = ops.take(mask, lower, axis=axis)
        after = ops.take(mask, upper, axis=axis)
        return before + (after - before) * weight
