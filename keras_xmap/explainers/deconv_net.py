from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients


class DeconvNet(GradientExplainer):
    """Gradients that pass a ReLU only where they are positive.

    On the way back through every ReLU, `dx = dy * [dy > 0]`, whether the unit
    was active or not: the signal from above is itself put through the ReLU.
    All else is the ordinary gradient, so max pooling sends it back to where
    the maximum was (the paper's switches). One forward pass, and one backward
    pass per class.

    As with `GuidedBackprop`, the picture shows the image's structure more
    than the class, and without max pooling it hardly depends on the image at
    all. Do not use it to tell which class a pixel speaks for.

    Args:
        model: A model with at least one ReLU, in any spelling; otherwise see
            `Saliency`.
        channel_reduction: See `Saliency`; `None` gives the signed picture of
            the paper, in the shape of the input. Defaults to `"max"`.
        target_layer: See `Saliency`; a ReLU has to lie behind it.
        input_name: See `Saliency`.
        score: See `Saliency`.

    Raises:
        ValueError: On explaining, if no ReLU lies between input and target.

    Warns:
        UserWarning: See `GuidedBackprop`, which also tells what is a ReLU.

    References:
        - [Zeiler & Fergus, 2014](https://arxiv.org/abs/1311.2901)
        - [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292): what maps
          of this kind do not depend on

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.ReLU(),
    ...     keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[1.0], [1.0], [-5.0], [4.0]])])
    >>> deconv_net = keras_xmap.explainers.DeconvNet(model)
    >>> number = keras_xmap.targets.Component()
    >>> deconv_net.explain(np.array([[-1.0, 0.0, 2.0, 3.0]], "float32"), number)
    array([[1., 1., 0., 4.]], dtype=float32)
    """

    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        evaluation = self.evaluate(inputs)
        return self.gradients(evaluation, target, parts, rule="deconvnet")
