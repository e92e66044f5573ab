import keras

from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_string
from keras_xmap._typing import Number
from keras_xmap.layers import AreaRatioLoss
from keras_xmap.layers import MaskNoise
from keras_xmap.models._attention_parts import attention_and_noise
from keras_xmap.models._attention_parts import check_normalization


def pixel_attention(
    predictor: keras.Model,
    attention: keras.Model | None = None,
    area_ratio: Number = 0.95,
    noise: Number | MaskNoise = 0.05,
    area_weight: Number = 50.0,
    name: str = "pixel_attention",
) -> keras.Model:
    """Trains a regressor together with a map of the pixels that it needs.

    The predictor `F` answers twice, for the image and for a noisy one. A
    second model `R` decides where the noise may go and has to put it on a
    given share of the image; what it keeps clean is what carries the answer:

    `I' = I + R(I) * N`

    `loss = a |F(I) - P|^2 + b |F(I') - P|^2 + c (mean(R(I)) - area_ratio)^2`

    The result is an ordinary functional model of both. `a` and `b` are the
    loss weights of its first two outputs; `c` is in the model already:

    ```python
    model.compile(
        "adam",
        loss={"prediction": "mse", "noisy_prediction": "mse"},
        loss_weights={"prediction": a, "noisy_prediction": b},
    )
    model.fit(images, {"prediction": P, "noisy_prediction": P})
    ```

    The first term reaches the predictor alone, the third the attention
    model, the second both. Afterwards `predictor` answers as it would alone,
    and `ops.relevance(noise_mask)` is the map.

    Weak noise asks how much the answer depends on each pixel, and the map
    follows the pixels closely. It is flat then, and is to be read by rank or
    stretched. Strong noise makes it black and white, and blurs it: what lies
    beside an object disturbs the reading of its edge as much. Which serves
    better depends on the question; hold both against images left out.

    The two models can agree on a code instead: the attention model tells the
    answer by where it puts the noise; `collusion` measures that. And the map
    may protect the background while the predictor has learned nothing: train
    the predictor alone for a few epochs first. One with batch normalization
    is warned about, since its statistics would mix clean and
    noisy images and fit neither; freeze it or use group normalization.

    Args:
        predictor: `keras.Model` from one image to one output. Its weights
            are shared by both calls, and with the caller.
        attention: `keras.Model` from the same image to one map in [0, 1],
            `(batch, height, width)` with or without a channel, 1 where noise
            may go; or `None` for `attention_network`. Defaults to `None`.
        area_ratio: Float strictly between 0 and 1, the share of the image
            that takes noise; 1 minus the share of the object. Defaults to
            `0.95`.
        noise: Float > 0, the standard deviation of normal noise in the unit
            of the images, or a `keras_xmap.layers.MaskNoise`. A tenth to a
            quarter of the spread of the pixels is a start. Defaults to
            `0.05`, for pixels from 0 to 1.
        area_weight: Float >= 0, the weight `c` of the area term. Defaults to
            `50.0`.
        name: String, the name of the model. Defaults to
            `"pixel_attention"`.

    Returns:
        A `keras.Model` from images to a dict: `"prediction"`,
        `"noisy_prediction"`, which equals it outside training, and
        `"noise_mask"`, where noise may go: 1 where the answer does not need
        the image, in the shape that `attention` has.

    Raises:
        TypeError: If `predictor` or `attention` is not a `keras.Model`, or
            `noise` neither a number nor a `MaskNoise`.
        ValueError: If a number is out of range, or the models do not fit
            together.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression".

    Example:

    >>> layers = keras.layers
    >>> predictor = keras.Sequential(
    ...     [keras.Input((32, 32, 1)), layers.Flatten(), layers.Dense(2)]
    ... )
    >>> model = keras_xmap.models.pixel_attention(predictor)
    >>> model.compile(
    ...     "adam", {"prediction": "mse", "noisy_prediction": "mse"}
    ... )
    >>> data = keras_xmap.datasets.ellipses(64)
    >>> targets = {
    ...     "prediction": data.targets,
    ...     "noisy_prediction": data.targets,
    ... }
    >>> history = model.fit(data.images, targets, verbose=0)
    >>> maps = model.predict(data.images, verbose=0)["noise_mask"]
    >>> maps.shape
    (64, 32, 32, 1)
    >>> keras_xmap.ops.relevance(maps).shape[1:]
    TensorShape([32, 32])
    """
    area_ratio = check_fraction("area_ratio", area_ratio)
    area_weight = check_non_negative("area_weight", area_weight)
    check_string("name", name)
    attention, add_noise = attention_and_noise(
        predictor, attention, area_ratio, noise
    )
    check_normalization(predictor)
    images = keras.Input(predictor.inputs[0].shape[1:], name="images")
    noise_mask = AreaRatioLoss(area_ratio, area_weight)(attention(images))
    outputs = {
        "prediction": predictor(images),
        "noisy_prediction": predictor(add_noise([images, noise_mask])),
        "noise_mask": noise_mask,
    }
    return keras.Model(images, outputs, name=name)
