import keras
from keras import ops

from keras_xmap import engine
from keras_xmap.metrics._made_for_one import on_host
from keras_xmap.metrics._under_map import UnderMap


class AverageDrop(UnderMap):
    """How far the score falls when only what the map shows is seen.

    `drop = 100 * mean(max(0, Y - O) / Y)`, in percent

    with `Y = S(I)` and `O = S(I * map)`, the map between 0 and 1. If a map
    shows what the model needs, little is lost: **lower is better**. A map of
    ones loses nothing, and one that is wide does well for being wide: read it
    beside `IncreaseInConfidence` and a metric that asks for the order of
    pixels, such as `Deletion`.

    Two forward passes an image.

    Args:
        model: See `Deletion`.
        baseline: What the image fades to where the map is 0, see `Deletion`.
            Defaults to `"zero"`, as in the paper.
        input_name: See `Deletion`.
        score: See `Deletion`. A drop is a share of the score, which must not
            be negative: a probability. Defaults to `"output"`.
        batch_size: See `Deletion`. Defaults to `32`.
        name: String. Defaults to `"average_drop"`.
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
            and 1, the score of an image is negative, or maps, inputs, target
            and model do not fit each other.
        ImportError: If models of this Keras backend cannot be explained.

    References:
        - [Chattopadhay et al., 2018](https://arxiv.org/abs/1710.11063)

    Example:

    >>> model = keras.Sequential([keras.Input((1, 2, 1)),
    ...     keras.layers.GlobalAveragePooling2D()])
    >>> number = keras_xmap.targets.Component()
    >>> metric = keras_xmap.metrics.AverageDrop(model)
    >>> image = np.array([[[[3.0], [1.0]]]], "float32")
    >>> metric.update_state(image, np.array([[[1.0, 0.0]]]), number)
    >>> float(metric.result())  # from a mean of 2 to one of 1.5
    25.0
    """

    higher_is_better = False

    def __init__(
        self,
        model: keras.layers.Layer,
        baseline: object = "zero",
        input_name: str | int | None = None,
        score: str = "output",
        batch_size: int = 32,
        name: str = "average_drop",
        dtype: str | None = None,
    ):
        super().__init__(
            model, baseline, input_name, score, batch_size, name, dtype
        )

    def _image_scores(self, answers, num_positions):
        before, after = answers[:, 0], answers[:, 1]
        engine.require(
            ops.all(before >= 0),
            "A drop is a share of the score, which must be >= 0, such as a "
            "probability. Measure AverageDrop(model, score='output') of a "
            "model that ends in a softmax or sigmoid, such as "
            "keras.Sequential([model, keras.layers.Softmax()]). Received: the "
            "score of an image of",
            on_host(ops.min(before)),
        )
        fall = ops.maximum(before - after, 0.0)
        return 100.0 * ops.divide_no_nan(fall, before)
