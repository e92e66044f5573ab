import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_integer
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_threshold
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import filling_of_input
from keras_xmap._typing import Tensor
from keras_xmap.engine import InputLayout
from keras_xmap.explainers._scattered_windows import ScatteredWindows
from keras_xmap.explainers._views import check_baseline
from keras_xmap.explainers._windows import check_no_gaps
from keras_xmap.explainers._windows import check_sizes
from keras_xmap.explainers._windows import covered
from keras_xmap.explainers._windows import maps_of_effects
from keras_xmap.explainers._windows import windows_of
from keras_xmap.explainers.perturbation_explainer import PerturbationExplainer
from keras_xmap.explainers.perturbation_explainer import Scores


class QuadtreeOcclusion(PerturbationExplainer):
    """`Occlusion` with fine strides, of which most windows are left out.

    Windows a pixel or two apart have nearly the same effect, and their mean
    is all that a map shows. So 12 windows over each position come first, at
    most a quarter of all, scattered evenly. In four steps more follow where
    the map is undecided: at positions that may or may not be among the
    highest 2, 5 or 15 % of all. With `k` windows over it, a position is taken
    to be off by about `s / (2 sqrt(k))`, where `s` is the standard deviation
    of the map; where it matters most, so many are found that this is
    `tolerance * s`. Of several classes one is enough.

    A window that was not found has the mean effect of those found around it,
    in the smallest box that holds one: as wide as two patches, and halves of
    it. The map is that of `Occlusion`: the mean effect of the windows that
    cover a position. At `tolerance=0` every window is covered, and the maps
    are those of `Occlusion`.

    The windows lie on no grid, whose rows would meet the strides of the
    network at the same few offsets, nor at the corners of the cells of a
    quadtree, of which the method has its name. Detail far smaller than
    `patch_size` may be missed where few windows meet it: take smaller
    patches, or a lower `tolerance`.

    One forward pass a window, and one for the image itself. Windows of all
    the images of a batch fill the passes of the model, each as large as the
    batch, whichever images have more of them. A map does not depend on the
    other images beside it.

    Args:
        model: See `GradCAM`; several inputs are occluded one at a time.
        patch_size: See `Occlusion`. Defaults to `16`.
        strides: Integer or tuple, 1 to `patch_size`: how far one window lies
            from the next. The finer they are, the more is left out. Defaults
            to `None`: an eighth of `patch_size`, at least 1.
        tolerance: Float from 0 to below 1, see above. Defaults to `0.04`.
        max_passes: Integer: forward passes for an image at most, that of the
            image itself and the first windows included. In the step where
            they run short, the windows are found that matter most. Defaults
            to `None`: no limit.
        baseline: See `Occlusion`. Defaults to `0`.
        input_name: See `Occlusion`.
        score: See `Occlusion`.

    Raises:
        ValueError: If an argument is out of its range; on explaining, if
            `patch_size`, `strides` or `baseline` do not fit the input, if
            `max_passes` does not suffice for the first windows, or if a target
            is of certain places in the batch.

    References:
        - [Zeiler & Fergus, 2014](https://arxiv.org/abs/1311.2901)
        - [Roberts,
          2018](http://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/)

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 1)),
    ...     keras.layers.Cropping2D(((0, 24), (0, 24))),  # sees one corner
    ...     keras.layers.GlobalAveragePooling2D()])
    >>> images = np.ones((1, 32, 32, 1), "float32")
    >>> number = keras_xmap.targets.Component()
    >>> quadtree = keras_xmap.explainers.QuadtreeOcclusion(model, 8, strides=1)
    >>> heatmap = quadtree.explain(images, number)[0]
    >>> dense = keras_xmap.explainers.Occlusion(model, 8, strides=1)
    >>> bool(np.allclose(heatmap, dense.explain(images, number)[0], atol=0.02))
    True
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        patch_size: int | tuple[int, ...] = 16,
        strides: int | tuple[int, ...] | None = None,
        tolerance: float = 0.04,
        max_passes: int | None = None,
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
        self.tolerance = check_threshold("tolerance", tolerance)
        self.max_passes = check_optional(
            check_integer, "max_passes", max_passes, 2
        )
        self.baseline = check_filling("baseline", baseline)

    def check_views(self) -> None:
        check_baseline(self.baseline)

    def maps_of_input(
        self, x: Tensor, clean: Tensor, scores: Scores, layout: InputLayout
    ) -> Tensor:
        strides = self.strides or _eighth(self.patch_size)
        windows = windows_of(x, layout, self.patch_size, strides)
        baseline = filling_of_input(x, self.baseline, layout.channel_axis)
        baseline = ops.broadcast_to(baseline, ops.shape(x))
        scores_of = scores.of_images()

        def effects(numbers, images):
            inside = covered(x, layout, windows, numbers)
            changed = ops.where(
                inside,
                ops.take(baseline, images, axis=0),
                ops.take(x, images, axis=0),
            )
            return ops.take(clean, images, axis=0) - scores_of(changed, images)

        scattered = ScatteredWindows(windows, clean, effects)
        if self.max_passes is not None:
            self._require_first_windows(scattered)
        found = scattered.found(self.tolerance, self.max_passes)
        return maps_of_effects(ops.moveaxis(found, -1, 1), windows)

    def _require_first_windows(self, scattered):
        engine.require(
            scattered.num_at_first < self.max_passes,
            "`max_passes` must suffice for the image itself and the windows "
            "that come first. Allow for more, or take larger patches. "
            "Received: (max_passes, windows)",
            self.max_passes,
            scattered.num_at_first,
        )


def _eighth(patch_size):
    if isinstance(patch_size, int):
        return max(1, patch_size // 8)
    return tuple(max(1, size // 8) for size in patch_size)
