import keras
from keras import ops

from keras_xmap.metrics._under_map import UnderMap


class IncreaseInConfidence(UnderMap):
    """How often the score rises when only what the map shows is seen.

    `increase = 100 * mean(O > Y)`, in percent

    with `Y = S(I)` and `O = S(I * map)`, the map between 0 and 1. If a map
    hides what speaks against the class and shows what speaks for it, the model
    is surer than before: **higher is better**. It counts images, whatever the
    rise, and an image of which the model is sure leaves no room for one; read
    it beside `AverageDrop`.

    Two forward passes an image.

    Args:
        model: See `Deletion`.
        baseline: What the image fades to where the map is 0, see `Deletion`.
            Defaults to `"zero"`, as in the paper.
        input_name: See `Deletion`.
        score: See `Deletion`. Defaults to `"output"`.
        batch_size: See `Deletion`. Defaults to `32`.
        name: String. Defaults to `"increase_in_confidence"`.
        dtype: See `Deletion`.

    Call arguments:
        inputs: See `Deletion`.
        maps: Maps of values from 0 to 1, else see `Deletion`:
            `keras_xmap.ops.normalize(maps)` brings them there.
        target: See `Deletion`.
        sample_weight: See `Deletion`.

    Raises:
        TypeError: If `model` is no Keras layer.
        ValueError: If an argument is out of its range, a map is not between 0
            and 1, or maps, inputs, target and model do not fit each other.
        ImportError: If models of this Keras backend cannot be explained.

    References:
        - [Chattopadhay et al., 2018](https://arxiv.org/abs/1710.11063)

    Example:

    >>> model = keras.Sequential([keras.Input((1, 2, 1)),
    ...     keras.layers.GlobalAveragePooling2D()])
    >>> number = keras_xmap.targets.Component()
    >>> metric = keras_xmap.metrics.IncreaseInConfidence(model)
    >>> images = np.array([[[[3.0], [1.0]]], [[[3.0], [-1.0]]]], "float32")
    >>> metric.update_state(images, np.array([[[1.0, 0.0]]] * 2), number)
    >>> float(metric.result())  # of the second, from a mean of 1 to 1.5
    50.0
    """

    higher_is_better = True

    def __init__(
        self,
        model: keras.layers.Layer,
        baseline: object = "zero",
        input_name: str | int | None = None,
        score: str = "output",
        batch_size: int = 32,
        name: str = "increase_in_confidence",
        dtype: str | None = None,
    ):
        super().__init__(
            model, baseline, input_name, score, batch_size, name, dtype
        )

    def _image_scores(self, answers, num_positions):
        return 100.0 * ops.cast(answers[:, 1] > answers[:, 0], "float32")
