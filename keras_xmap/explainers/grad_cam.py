from keras import ops

from keras_xmap._typing import Tensor
from keras_xmap.explainers.cam_explainer import spatial_axes
from keras_xmap.explainers.channel_sum_explainer import ChannelSumExplainer


class GradCAM(ChannelSumExplainer):
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
            layer that is called several times. An operation such as `x + y`
            has a name, too: that of Keras in a functional model, `"add_3"`,
            else that of its kind in the layer, `"block/add"`. A layer past
            which the score sees the image, too, is explained alone, with a
            warning. A list of them fuses their maps; an integer `n` fuses
            those of the last layers of the `n` coarsest sizes, each with at
            least twice the positions of the one before, and `"stages"` those
            of all sizes from the first convolution on. Defaults to `None`: the
            layer nearest to the score whose output has the positions of the
            input, more than one of them, and is not itself the model's output,
            neither moved, resized nor squashed; what joins branches counts as
            one. Where the score is taken from a class token, it is the one
            whose tokens the last attention looks at. Where the score sees the
            image by several branches, it is one on each, and their sum is laid
            on the input before the ReLU, the amounts of each position spread
            over the pixels that it stands for.
        resize: Boolean: whether maps are laid on the input, each position
            where the layer looks, linear in between and 0 where it does not
            look. `False` gives a map of the layer's own positions, also
            where they cannot be followed to the input. Defaults to `True`.
        fusion: `"mean"` or `"max"`: how the maps of several layers that are
            asked for, each divided by its maximum, become one. Defaults to
            `"mean"`.
        tokens: How the tokens `(batch, tokens, channels)` of a layer lie in
            the image. `"auto"`: where the patches lie that they were cut
            from; tokens without one are dropped. A pair `(rows, columns)`
            tells it where that cannot be followed: the last tokens, row by
            row, tile the whole image. Defaults to `"auto"`.
        input_name: Name or number of the input the map is for, in a model
            with several: the key of a dict, the number in a list, or the
            name of the `keras.Input`; of a layer that is called on each of
            them, the call made from it is meant. Defaults to `None`: the one
            that the layer is made from.
        score: `"logits"` explains the score before the softmax or sigmoid
            that ends the model; `"output"` the output as it is. Defaults to
            `"logits"`.

    Raises:
        ValueError: If several layers are not to be resized; on explaining,
            if the layer does not exist, is not unique, has no part in the
            target, if it is not known where its positions lie, or if no layer
            is named and those there are do not hold all that the score sees.

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

    def channel_sum(self, activations: Tensor, gradients: Tensor) -> Tensor:
        weights = ops.mean(gradients, spatial_axes(gradients), keepdims=True)
        return ops.sum(weights * activations, axis=-1)

    def map_of_sum(self, total: Tensor) -> Tensor:
        return ops.relu(total)
