from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients


class GuidedBackprop(GradientExplainer):
    """Gradients that pass a ReLU only where they raise an active unit.

    On the way back through every ReLU, `dx = dy * [x > 0] * [dy > 0]`; for a
    ReLU with a maximum also `[x < max]`. All else is the ordinary gradient.

    A ReLU is what computes one: `keras.layers.ReLU`, `maximum(x, 0)`,
    `where(x > 0, x, 0)`, `clip(x, 0, 6)`, `(x + abs(x)) / 2` are. What else
    on the way is not linear, such as other activations, attention and layer
    normalisation, is named in a warning; max pooling, which only selects, is
    not.

    The pictures are crisp, but they show the image's structure more than the
    class: they hardly change when the top layers are randomised, nor between
    classes. Do not use them to tell which class a pixel speaks for.

    Args:
        model: A model with at least one ReLU, in any spelling; otherwise see
            `Saliency`.
        channel_reduction: See `Saliency`; `None` gives the signed picture of
            the paper, in the shape of the input. Defaults to `"max"`.
        target_layer: See `Saliency`.
        input_name: See `Saliency`.
        score: See `Saliency`.

    Raises:
        ValueError: On explaining, if no ReLU lies between input and target.

    Warns:
        UserWarning: Names what is neither a ReLU nor linear on the way, and
            therefore keeps its ordinary gradient.

    References:
        - [Springenberg et al., 2014](https://arxiv.org/abs/1412.6806)
        - [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292): what the
          map does not depend on

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.ReLU(),
    ...     keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[1.0], [1.0], [-5.0], [4.0]])])
    >>> guided = keras_xmap.explainers.GuidedBackprop(model)
    >>> number = keras_xmap.targets.Component()
    >>> guided.explain(np.array([[-1.0, 0.0, 2.0, 3.0]], "float32"), number)
    array([[0., 0., 0., 4.]], dtype=float32)
    """

    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        evaluation = self.evaluate(inputs)
        return self.gradients(evaluation, target, parts, rule="guided")
