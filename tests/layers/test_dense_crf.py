import keras
import numpy as np
import pytest
from reference import dense_crf as reference

from keras_xmap.layers import DenseCRF

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (2, 6, 5, 3)).astype("float32")
SCORES = RNG.normal(size=(2, 6, 5, 4)).astype("float32")
SETTING = (2, 4, 60, 1, 2)
PARAMETERS = dict(
    zip(
        (
            "appearance_weight",
            "position_stddev",
            "color_stddev",
            "smoothness_weight",
            "smoothness_stddev",
        ),
        SETTING,
        strict=True,
    )
)
EXPECTED = np.stack(
    [
        reference.dense_crf(image, scores, SETTING, 4)
        for image, scores in zip(IMAGE, SCORES, strict=True)
    ]
)


def new(**options):
    options = {"data_format": "channels_last", **options}
    return DenseCRF(PARAMETERS, num_iterations=4, **options)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_it_is_the_mean_field_of_each_image(data_format, dtype):
    image, scores = IMAGE.astype(dtype), SCORES
    if data_format == "channels_first":
        image, scores = np.moveaxis(image, -1, 1), np.moveaxis(scores, -1, 1)
    q = np.asarray(new(data_format=data_format)([image, scores]))
    if data_format == "channels_first":
        q = np.moveaxis(q, 1, -1)
    np.testing.assert_allclose(q, EXPECTED, atol=1e-5)


def test_probabilities_mean_what_their_logits_do():
    p = reference.softmax(SCORES.astype("float64")).astype("float32")
    q = np.asarray(new(from_logits=False)([IMAGE, p]))
    np.testing.assert_allclose(q, EXPECTED, atol=1e-5)


def test_a_probability_of_zero_is_a_small_one():
    p = np.zeros((1, 2, 2, 2), "float32")
    p[..., 0] = 1
    q = np.asarray(new(from_logits=False)([IMAGE[:1, :2, :2], p]))
    small = np.log(np.where(p == 1, 1, 1e-5))
    expected = reference.dense_crf(IMAGE[0, :2, :2], small[0], SETTING, 4)
    np.testing.assert_allclose(q[0], expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_does_not_touch_the_colours(policy):
    """Colours of 130.6 and 130.9 are one number in bfloat16."""
    image = np.full((1, 1, 8, 1), 130.6, "float32")
    image[:, :, 4:] = 130.9
    scores = np.zeros((1, 1, 8, 2), "float32")
    scores[0, 0, 0, 0] = scores[0, 0, 7, 1] = 1
    parameters = {**PARAMETERS, "position_stddev": 80, "color_stddev": 0.05}
    layer = DenseCRF(
        {**parameters, "smoothness_weight": 0.0},
        data_format="channels_last",
        dtype=policy,
    )
    q = layer([image, scores])
    assert keras.backend.standardize_dtype(q.dtype) == layer.compute_dtype
    labels = np.asarray(keras.ops.argmax(q, axis=-1))
    assert labels.tolist() == [[[0, 0, 0, 0, 1, 1, 1, 1]]]


def test_a_model_with_it_is_saved_by_the_name_of_its_parameters(tmp_path):
    image = keras.Input((None, None, 3), dtype="uint8")
    scores = keras.Input((None, None, 4))
    layer = DenseCRF("sec", data_format="channels_last")
    model = keras.Model([image, scores], layer([image, scores]))
    assert model.output_shape == (None, None, None, 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].parameters == "sec"
    x = [IMAGE.astype("uint8"), SCORES]
    expected = reference.dense_crf(
        x[0][1], SCORES[1], (10, 80 / 12, 13, 3, 3 / 12)
    )
    q = loaded.predict(x, verbose=0)
    np.testing.assert_allclose(q[1], expected, atol=1e-5)


@pytest.mark.slow
def test_a_network_learns_through_it():
    """Pixels of one colour are judged by all of them together."""
    labels = np.zeros((4, 10, 10), "int32")
    labels[:, :, 4:] = 1
    image = 180.0 * labels[..., None] + RNG.normal(0, 8, (4, 10, 10, 3))
    noise = RNG.normal(size=(4, 10, 10, 2)).astype("float32")
    features = (noise + 0.4 * np.eye(2)[labels]).astype("float32")
    inputs = [keras.Input((10, 10, 3)), keras.Input((10, 10, 2))]
    scores = keras.layers.Conv2D(
        2, 1, kernel_initializer="zeros", data_format="channels_last"
    )(inputs[1])
    q = DenseCRF("paper", 3, data_format="channels_last")([inputs[0], scores])
    model = keras.Model(inputs, q)
    model.compile(
        keras.optimizers.Adam(0.1),
        keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    one_hot = np.eye(2, dtype="float32")[labels]
    x = [image.clip(0, 255).astype("float32"), features]
    history = model.fit(x, one_hot, epochs=30, batch_size=4, verbose=0)
    assert history.history["accuracy"][-1] > 0.9
    alone = (features.argmax(-1) == labels).mean()
    assert alone < 0.75


BAD = [
    ({"parameters": "voc"}, "Received: parameters='voc'"),
    ({"num_iterations": 0.5}, "Received: num_iterations=0.5"),
    ({"data_format": "first"}, "Received: data_format='first'"),
]


@pytest.mark.parametrize("options, message", BAD)
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        DenseCRF(**options)


CALLS = {
    "one input": (IMAGE, r"called on a list `\[image, scores\]`"),
    "another size": ([IMAGE, SCORES[:, :3]], r"scores.shape=\(2, 3, 5, 4\)"),
    "no batch": ([IMAGE[0], SCORES[0]], r"image.shape=\(6, 5, 3\)"),
    "a third": ([IMAGE, SCORES, SCORES], "called on a list"),
}


@pytest.mark.parametrize("case", CALLS)
def test_inputs_that_do_not_fit_are_refused(case):
    inputs, message = CALLS[case]
    with pytest.raises(ValueError, match=message):
        new()(inputs)
