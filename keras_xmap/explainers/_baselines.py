"""What an image without the evidence is like."""

import math
import numbers

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_one_of
from keras_xmap.explainers.gradient_explainer import floating
from keras_xmap.explainers.gradient_explainer import with_floating

_NAMED_BASELINES = ("zero", "mean", "blur")
_BLUR = 0.1  # standard deviation, as a share of the size along an axis


def check_baselines(baseline):
    """Returns `baseline`, one or a structure of them, checked."""
    for part in keras.tree.flatten(baseline):
        _check_baseline(part)
    return baseline


def baselines_of_inputs(baseline, evaluation):
    """Returns a float32 tensor per floating-point input, broadcastable.

    Args:
        baseline: As `check_baselines` returned it.
        evaluation: `engine.Evaluation` of the images.
    """
    images = floating(evaluation.inputs)
    if isinstance(baseline, (dict, list, tuple)):
        given = _like_inputs(baseline, evaluation.inputs)
    else:
        given = [baseline] * len(images)
    return [
        _baseline(x, part, evaluation.input_data_format)
        for x, part in zip(images, given, strict=True)
    ]


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
