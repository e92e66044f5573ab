from typing import Any

import keras
from keras import ops

from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive
from keras_xmap._numeric import check_numeric
from keras_xmap._saving import registered
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor


@registered
class GuidedReLU(keras.layers.Layer):
    """ReLU whose backward pass keeps only evidence in favour.

    Forwards it is `keras.layers.ReLU`. Backwards a gradient passes where the
    input was on the slope and the gradient itself is positive:

    `dx = dy * [0 < x < max_value] * [dy > 0]`

    The result is not the derivative of the forward pass, and a model trained
    with it follows another path; it is meant for models whose gradients are
    looked at. For models that already hold ordinary ReLUs use
    `explainers.GuidedBackprop`, which needs no change to the model.

    Args:
        max_value: Float > 0, the ceiling of the activation, or `None` for
            no ceiling. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        Any.

    Output shape:
        That of the input.

    Raises:
        ValueError: If `max_value` is neither `None` nor a positive number.

    References:
        - [Springenberg et al., 2015](https://arxiv.org/abs/1412.6806)

    Example:

    >>> layer = keras_xmap.layers.GuidedReLU(max_value=6.0)
    >>> np.asarray(layer(np.array([-1.0, 2.0, 8.0]))).tolist()
    [0.0, 2.0, 6.0]
    """

    def __init__(self, max_value: Number | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_value = check_optional(check_positive, "max_value", max_value)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return self._guided_relu(check_numeric("inputs", inputs))

    def _guided_relu(self, inputs):
        @ops.custom_gradient
        def guided_relu(x):
            on_slope = x > 0
            if self.max_value is not None:
                on_slope = ops.logical_and(on_slope, x < self.max_value)

            # Backends pass the gradient by position or by this name.
            def backward(*args, upstream=None):
                if upstream is None:
                    (upstream,) = args
                passes = ops.logical_and(on_slope, upstream > 0)
                return ops.where(passes, upstream, ops.zeros_like(upstream))

            y = keras.activations.relu(x, max_value=self.max_value)
            return y, backward

        return guided_relu(inputs)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "max_value": self.max_value}
