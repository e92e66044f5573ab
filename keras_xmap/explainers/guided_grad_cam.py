import keras

from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap.explainers.grad_cam import GradCAM
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients
from keras_xmap.targets import class_scores


class GuidedGradCAM(GradientExplainer):
    """Guided backpropagation where Grad-CAM finds the class.

    `A = guided(dS / dI) * resize(relu(sum_k mean_xy(dS / dA_k) * A_k))`

    The fine picture of `GuidedBackprop`, which hardly tells classes apart,
    times the coarse map of `GradCAM`, which does. One forward pass for both
    and all classes, and two backward passes per class. The detail inside of
    the coarse map is still that of guided backpropagation: it shows the
    image's structure, whatever the network learned, so use `GradCAM` to tell
    where the evidence is. An input whose positions the layer does not show,
    such as a vector beside an image, has no map: `None`.

    Args:
        model: A model with at least one ReLU and a spatial layer; otherwise
            see `Saliency`.
        target_layer: The layer that Grad-CAM looks at, see `GradCAM`.
        channel_reduction: See `Saliency`; `None` gives the signed picture of
            the paper, in the shape of the input. Defaults to `"max"`.
        input_name: See `GradCAM`.
        score: See `Saliency`.

    Attributes:
        layers_used: List of paths of the layers that Grad-CAM looked at;
            `None` before the first explanation.

    Raises:
        ValueError: On explaining, if no ReLU lies between input and target,
            or if the model has no spatial layer.

    References:
        - [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391)
        - [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292): what the
          detail does not depend on

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    >>> explainer = keras_xmap.explainers.GuidedGradCAM(model)
    >>> explainer.explain(np.ones((2, 32, 32, 3), "float32"), target=7).shape
    (2, 32, 32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = None,
        channel_reduction: str | None = "max",
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model, channel_reduction, input_name=input_name, score=score
        )
        self.target_layer = target_layer
        self._grad_cam = GradCAM(
            model, target_layer, input_name=input_name, score=score
        )

    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        evaluation = self.evaluate(inputs)
        scores = class_scores(evaluation, target, parts)
        maps, layers = self._grad_cam.explained(
            evaluation, scores, target, parts
        )
        guided = self.gradients(evaluation, target, parts, rule="guided")
        shown = [x for layer in layers for x in layer.inputs]
        per_class = []
        for coarse, of_class in zip(maps, guided.per_class, strict=True):
            per_class.append(
                [
                    x * layers[0].beside(value, coarse)
                    if any(value is image for image in shown)
                    else None
                    for x, value in zip(of_class, guided.values, strict=True)
                ]
            )
        guided.notes["layers_used"] = [layer.path for layer in layers]
        return guided.replaced(per_class)
