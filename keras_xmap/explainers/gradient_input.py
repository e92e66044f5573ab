import keras

from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients


class GradientInput(GradientExplainer):
    """The gradient times the image: what each pixel adds to the score.

    `A = I * dS / dI`, then summed over channels. Positive values speak for
    the target, negative ones against it. Of a network of linear layers,
    ReLUs and max pooling without biases, the map sums to the score; biases
    take a share of the score that no pixel gets.

    One forward pass, and one backward pass per class. A pixel of value 0 gets
    nothing, so the map depends on how images are scaled: where black is not
    what a missing object looks like, use `IntegratedGradients` with a
    baseline.

    Args:
        model: See `Saliency`.
        channel_reduction: See `Saliency`. Defaults to `"sum"`, which keeps
            the sign and the sum.
        target_layer: See `Saliency`; then activation times gradient, which
            summed over channels is the map of `HiResCAM` at the layer's
            resolution.
        input_name: See `Saliency`.
        score: See `Saliency`.

    References:
        - [Shrikumar et al., 2016](https://arxiv.org/abs/1605.01713)
        - [Ancona et al., 2017](https://arxiv.org/abs/1711.06104): how it
          relates to other methods

    Example:

    >>> model = keras.Sequential([keras.Input((3,)),
    ...     keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[2.0], [-1.0], [4.0]])])
    >>> explainer = keras_xmap.explainers.GradientInput(model)
    >>> number = keras_xmap.targets.Component()
    >>> explainer.explain(np.array([[1.0, 3.0, 0.5]], "float32"), target=number)
    array([[ 2., -3.,  2.]], dtype=float32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        channel_reduction: str | None = "sum",
        target_layer: object = None,
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model, channel_reduction, target_layer, input_name, score
        )

    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        found = self.gradients(self.evaluate(inputs), target, parts)
        return found.times(found.values)
