from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients


class Saliency(GradientExplainer):
    """How much each pixel could change the score: the plain gradient.

    `M(x, y) = max_c |dS / dI(x, y, c)|`

    One forward and one backward pass. The map is sharp and noisy, and holds
    for the immediate neighbourhood of the image only.

    Args:
        model: See `GradCAM`.
        channel_reduction: How the derivatives of a pixel's channels become
            one number: `"max"` of, `"mean"` of, or Euclidean `"norm"` of the
            absolute values; `"sum"` of the signed values; `None` keeps the
            shape of the input. Defaults to `"max"`.
        target_layer: `keras.layers.Layer`, its name or its path, as for
            `GradCAM`: the score is differentiated by its output, and the map
            has the layer's resolution. A list of them gives a list of maps,
            all from one forward and one backward pass a class. Defaults to
            `None`: by the inputs.
        input_name: Name or number of the input that is explained, in a model
            with several: the key of a dict, the number in a list, or the
            name of the `keras.Input`. Defaults to `None`: all of them, each
            with a map of its own.
        score: `"logits"` explains the score before the softmax or sigmoid
            that ends the model; `"output"` the output as it is. Defaults to
            `"logits"`.

    References:
        - [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034)

    Example:

    >>> model = keras.Sequential([keras.Input((2, 2, 1)),
    ...     keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[1.0], [-2.0], [3.0], [0.0]])])
    >>> saliency = keras_xmap.explainers.Saliency(model)
    >>> number = keras_xmap.targets.Component()
    >>> saliency.explain(np.ones((1, 2, 2, 1), "float32"), target=number)
    array([[[1., 2.],
            [3., 0.]]], dtype=float32)
    """

    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        evaluation = self.evaluate(inputs)
        return self.gradients(evaluation, target, parts)
