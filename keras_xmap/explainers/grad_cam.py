from keras import ops

from keras_xmap.explainers.activation import ActivationExplainer
from keras_xmap.explainers.activation import spatial_axes


class GradCAM(ActivationExplainer):
    """Where a layer sees what the score grows with.

    Each channel of the layer is weighed by the mean of its derivatives:

    `M = relu(sum_k mean_xy(dS / dA_k) * A_k)`

    One forward pass for all classes, and one backward pass per class, from
    the score down to the layer only.

    Args:
        model: `keras.Model` that runs on TensorFlow: functional, sequential,
            nested or subclassed. It is only called, in inference mode, and
            never changed.
        target_layer: `keras.layers.Layer`, its name, or its path such as
            `"base/Conv_1"`; `":0"` behind a name means the first call of a
            layer that is called several times. Defaults to `None`: the last
            layer called whose output has more than one position and is not
            itself the model's output.
        resize: Boolean: whether maps are brought to the size of the input,
            by linear interpolation. Defaults to `True`.
        score: `"logits"` explains the score before the softmax or sigmoid
            that ends the model; `"output"` the output as it is. Defaults to
            `"logits"`.

    References:
        - [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391)

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    >>> grad_cam = keras_xmap.explainers.GradCAM(model)
    >>> grad_cam.explain(np.ones((2, 32, 32, 3), "float32"), target=7).shape
    (2, 32, 32)
    """

    def map(self, activations, gradients):
        weights = ops.mean(gradients, spatial_axes(gradients), keepdims=True)
        return ops.relu(ops.sum(weights * activations, axis=-1))
