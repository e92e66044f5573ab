import typing

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.metrics._image_mean import weights_of
from keras_xmap.metrics._made_for_one import MadeForOne
from keras_xmap.metrics._made_for_one import check_is_batch
from keras_xmap.metrics._made_for_one import check_single
from keras_xmap.metrics._made_for_one import without_half

if typing.TYPE_CHECKING:
    from keras_xmap.explainers import Explainer


class MaxSensitivity(MadeForOne):
    """How far the map of an image moves when nobody could see the change.

    `sensitivity = max over i of |map(I + n_i) - map(I)| / |map(I)|`

    with Euclidean norms over the map, and `n_i` uniform noise of at most
    `radius` times the range of the image's values. **Lower is better**: two
    images that look alike should be explained alike. It says nothing about
    being right, for a map that never changes reaches 0.

    The copies are explained for the target of the image itself. It is found by
    drawing, so that more samples can only raise it: compare methods by the same
    number. An image whose map is zero everywhere counts 0 if its copies' maps
    are so too, and infinity if not.

    `num_samples + 1` explanations an image, of `batch_size` images at a time.
    All images see the same noise, each in its own range.

    Args:
        explainer: The explainer whose maps are asked for, such as
            `GradCAM(model)`.
        radius: Float >= 0: the most that a value changes by, as a share of
            `max(I) - min(I)`, per image. Defaults to `0.02`.
        num_samples: Integer >= 1: copies of an image. Defaults to `10`.
        seed: Integer from 0 to 2147483647: the noise. Defaults to `0`.
        batch_size: Integer >= 1: images explained at a time. Defaults to
            `32`.
        name: String. Defaults to `"max_sensitivity"`.
        dtype: See `Deletion`.

    Call arguments:
        inputs: Array or tensor `(batch, ...)`, or the structure of them that
            the model takes. All floating-point inputs change, or the one that
            the explainer's `input_name` names.
        target: What is explained, see `keras_xmap.targets`. Defaults to
            `None`: the class with the highest score of the image.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

    Raises:
        TypeError: If `explainer` is none.
        ValueError: If an argument is out of its range, or inputs, target and
            model do not fit each other.

    References:
        - [Yeh et al., 2019](https://arxiv.org/abs/1901.09392)

    Example:

    >>> model = keras.Sequential([keras.Input((1, 2, 1)),
    ...     keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> number = keras_xmap.targets.Component()
    >>> image = np.array([[[[2.0], [4.0]]]], "float32")
    >>> gradient = keras_xmap.explainers.Saliency(model)  # does not change
    >>> keras_xmap.metrics.MaxSensitivity(gradient).image_scores(image, number)
    array([0.], dtype=float32)
    >>> product = keras_xmap.explainers.GradientInput(model)
    >>> metric = keras_xmap.metrics.MaxSensitivity(product)
    >>> metric.update_state(image, number)
    >>> 0 < float(metric.result()) < 0.02
    True
    """

    higher_is_better = False

    def __init__(
        self,
        explainer: "Explainer",
        radius: float = 0.02,
        num_samples: int = 10,
        seed: int = 0,
        batch_size: int = 32,
        name: str = "max_sensitivity",
        dtype: str | None = None,
    ):
        _check_explainer(explainer)
        super().__init__(explainer.model, batch_size, name, dtype)
        self.explainer = explainer
        self.radius = check_non_negative("radius", radius)
        self.num_samples = check_positive_integer("num_samples", num_samples)
        self.seed = check_seed("seed", seed)

    def update_state(
        self,
        inputs: Structure,
        target: object = None,
        sample_weight: object = None,
    ) -> None:
        """Adds images to the mean.

        Args:
            inputs: See `image_scores`.
            target: See `image_scores`.
            sample_weight: `None` or weights `(batch,)`. Defaults to `None`.
        """
        scores = ops.convert_to_tensor(self.image_scores(inputs, target))
        self._add(scores, weights_of(sample_weight, scores))

    def image_scores(self, inputs: Structure, target: object = None) -> Tensor:
        """Returns the value of each image, and leaves the mean as it is.

        Args:
            inputs: Array or tensor `(batch, ...)`, or the structure of them
                that the model takes.
            target: What is explained, see `keras_xmap.targets`. Defaults to
                `None`: the class with the highest score of the image.

        Returns:
            Float32 array `(batch,)`; a tensor inside of a compiled function.
        """
        check_is_batch(inputs)
        target = self.explainer.convert_target(target)
        if engine.backend().is_tracing():
            return self._runner.call(inputs, target)
        return self._runner.collect(inputs, target, self.batch_size, 0)

    def _compute(self, inputs, target, parts):
        explainer, inputs = self.explainer, without_half(inputs)
        own = explainer.evaluate(inputs)
        # The copies are explained for what the image itself answers.
        parts = explainer.resolved_parts(own, target, parts)
        check_single(target, parts, "update_state(inputs, classes[:, k])")
        maps, notes = explainer.compute(inputs, target, parts)
        flat = keras.tree.flatten(inputs)
        noisy = self._noisy(inputs, flat)

        def distance(number):
            copies = [
                self._moved(x, place, number) if place in noisy else x
                for place, x in enumerate(flat)
            ]
            copies = keras.tree.pack_sequence_as(inputs, copies)
            moved, _ = explainer.compute(copies, target, parts)
            pairs = zip(engine.given(moved), engine.given(maps), strict=True)
            return _norm([a - b for a, b in pairs])

        distances = engine.stack_of_samples(distance, self.num_samples)
        furthest = ops.max(distances, axis=0)
        length = _norm(engine.given(maps))
        is_flat = length == 0
        share = furthest / ops.where(is_flat, ops.ones_like(length), length)
        of_flat = ops.where(furthest > 0, float("inf"), 0.0)
        return ops.where(is_flat, of_flat, share), notes

    def _noisy(self, inputs, flat):
        """Returns the numbers of the inputs that change, a set."""
        name = getattr(self.explainer, "input_name", None)
        chosen = engine.chosen_inputs(self.explainer.model, inputs, name)
        found = {
            place
            for place, x in enumerate(flat)
            if any(x is one for one in chosen)
            and keras.backend.is_float_dtype(x.dtype)
        }
        if not found:
            kinds = [None if x is None else str(x.dtype) for x in flat]
            raise ValueError(
                "MaxSensitivity puts noise on floating-point inputs. Received: "
                f"inputs of {kinds}. Ids, texts and truth values have no value "
                "that is nearly the same: make a model that takes what their "
                "embedding puts out."
            )
        return found

    def _moved(self, x, place, number):
        """Returns input number `place` of copy `number`."""
        return x + engine.noise_in_range(
            _symmetric_noise,
            x,
            self.radius,
            (self.seed + place) % 2**31,
            number,
        )


def _symmetric_noise(shape, seed, number):
    return 2.0 * engine.uniform_noise(shape, seed, number) - 1.0


def _norm(maps):
    """Returns the Euclidean norm over all maps of an image, `(batch,)`."""
    flat = [
        ops.reshape(ops.cast(x, "float32"), (ops.shape(x)[0], -1)) for x in maps
    ]
    # By their peak, whose square may be no float32 number.
    peak = 0.0
    for x in flat:
        peak = ops.maximum(peak, ops.max(ops.abs(x), axis=-1))
    total = 0.0
    for x in flat:
        share = ops.divide_no_nan(x, peak[:, None])
        total = total + ops.sum(ops.square(share), axis=-1)
    return peak * ops.sqrt(total)


def _check_explainer(value):
    # Told by what it can do: `explainers` loads when it is first used.
    if not (hasattr(value, "resolved_parts") and hasattr(value, "compute")):
        raise TypeError(
            "`explainer` must be an explainer of images. Received: explainer="
            f"{value!r} (of type {type(value).__name__}). Make one, such as "
            "`keras_xmap.explainers.GradCAM(model)`."
        )
