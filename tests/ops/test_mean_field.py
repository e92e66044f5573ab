import sys

import keras
import numpy as np
import pytest
from reference import dense_crf as reference

from keras_xmap.ops import mean_field

MODULE = sys.modules["keras_xmap.ops.mean_field"]
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (2, 7, 9, 3))
SCORES = RNG.normal(size=(2, 7, 9, 4)).astype("float32")
PUBLISHED = {
    "paper": (10, 80, 13, 3, 3),
    "deeplab": (4, 121, 5, 3, 3),
    "sec": (10, 80 / 12, 13, 3, 3 / 12),
    "irn": (10, 50, 5, 3, 3),
}


def parameters(w_a=0, s_a=1, s_c=1, w_s=0, s_s=1):
    return {
        "appearance_weight": w_a,
        "position_stddev": s_a,
        "color_stddev": s_c,
        "smoothness_weight": w_s,
        "smoothness_stddev": s_s,
    }


@pytest.fixture
def in_blocks(monkeypatch):
    """Holds no kernel, and has a last block that is not full."""
    monkeypatch.setattr(MODULE, "_MAX_HELD", 0)
    monkeypatch.setattr(MODULE, "_MAX_BLOCK", 63 * 10)


@pytest.mark.parametrize("kernel", ["appearance", "smoothness"])
def test_two_pixels_whose_kernel_is_a_half(kernel):
    scores = -np.array([[[[0.2, 0.9], [1.0, 0.3]]]])
    stddev = 1 / np.sqrt(2 * np.log(2))
    chosen = parameters(w_s=2, s_s=stddev)
    if kernel == "appearance":
        chosen = parameters(w_a=2, s_a=stddev)
    q = mean_field(np.zeros((1, 1, 2, 3)), scores, chosen, num_iterations=3)
    expected = [0.73201913, 0.26798087]
    np.testing.assert_allclose(np.asarray(q)[0, 0, 0], expected, rtol=2e-6)


def test_the_reference_knows_the_sum_with_and_without_the_pixel_itself():
    scores = -np.array([[0.2, 0.9], [1.0, 0.3]])
    features = np.array([[0.0], [np.sqrt(2 * np.log(2))]])
    for holds_self, expected in [(True, 0.73201913), (False, 0.51287787)]:
        kernel = 2 * reference.gaussian(features, holds_self)
        q = reference.mean_field(kernel, scores, 3)
        assert q[0, 0] == pytest.approx(expected, abs=1e-8)


def golden_image_and_scores():
    image = np.zeros((1, 4, 4, 3))
    image[:, :, 2:] = 200
    p = np.where(np.arange(4) < 2, 0.4, 0.7) * np.ones((4, 1))
    p[1, 1], p[2, 3] = 0.6, 0.45
    return image, np.log(np.stack([1 - p, p], -1))[None]


def test_four_by_four_pixels_after_one_iteration():
    q = mean_field(*golden_image_and_scores(), parameters(4, 80, 13, 3, 3), 1)
    expected = [
        [0.302754, 0.321843, 0.926676, 0.930448],
        [0.302752, 0.517174, 0.927101, 0.931007],
        [0.300917, 0.320391, 0.926393, 0.824006],
        [0.297595, 0.315861, 0.924654, 0.928495],
    ]
    # In float32 the squares of colours leave five digits of a distance.
    np.testing.assert_allclose(np.asarray(q)[0, ..., 1], expected, atol=5e-6)


def test_four_by_four_pixels_after_ten_iterations():
    q = np.asarray(mean_field(*golden_image_and_scores()))[0, ..., 1]
    left, right = q[:, :2], q[:, 2:]
    bounds = [left.min(), left.max(), right.min(), right.max()]
    np.testing.assert_allclose(
        bounds, [0.000019, 0.000057, 0.999966, 0.999988], atol=1e-6
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_published_setting_equals_the_sum_over_pairs(name):
    expected = np.stack(
        [
            reference.dense_crf(image, scores, PUBLISHED[name])
            for image, scores in zip(IMAGE, SCORES, strict=True)
        ]
    )
    q = np.asarray(mean_field(IMAGE, SCORES, name))
    assert q.dtype == np.float32
    np.testing.assert_allclose(q, expected, atol=2e-4)
    q = mean_field(IMAGE.astype("uint8"), SCORES, name)
    np.testing.assert_allclose(np.asarray(q), expected, atol=2e-4)


def test_a_kernel_in_blocks_is_the_kernel(in_blocks):
    expected = reference.dense_crf(IMAGE[0], SCORES[0], PUBLISHED["paper"])
    q = np.asarray(mean_field(IMAGE, SCORES))
    np.testing.assert_allclose(q[0], expected, atol=1e-5)


def test_large_images_go_by_blocks(monkeypatch):
    """As many blocks as the bounds ask for, and none of a held kernel."""
    image = RNG.integers(0, 256, (1, 66, 64, 1))
    scores = RNG.normal(size=(1, 66, 64, 2)).astype("float32")
    blocks = []
    gaussian = MODULE._gaussian

    def spy(rows, columns):
        blocks.append(columns.shape[1])
        return gaussian(rows, columns)

    monkeypatch.setattr(MODULE, "_gaussian", spy)
    q = np.asarray(mean_field(image, scores, num_iterations=1))
    assert blocks
    assert max(blocks) == 2**22 // (66 * 64)
    monkeypatch.setattr(MODULE, "_MAX_HELD", 2**26)
    held = np.asarray(mean_field(image, scores, num_iterations=1))
    assert blocks[-1] == 66 * 64
    np.testing.assert_allclose(q, held, atol=1e-5)


def differences(function, x, positions, step=1e-4):
    """Returns central differences of a scalar function at some entries."""
    slopes = []
    for position in positions:
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[position] += sign * step
            ends.append(float(function(moved)))
        slopes.append((ends[0] - ends[1]) / (2 * step))
    return np.array(slopes)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("blocks", [False, True])
def test_the_gradients_are_the_finite_differences(blocks, request):
    import tensorflow as tf

    if blocks:
        request.getfixturevalue("in_blocks")
    image = 4.0 * RNG.normal(size=(2, 7, 9, 3))
    scores = RNG.normal(size=(2, 7, 9, 2))
    weights = RNG.normal(size=scores.shape)
    setting = parameters(2, 4, 6, 1, 2)

    def loss(image, scores):
        return tf.reduce_sum(weights * mean_field(image, scores, setting, 3))

    def gradients(image, scores):
        with tf.GradientTape() as tape:
            tape.watch([image, scores])
            value = loss(image, scores)
        return tape.gradient(value, [image, scores])

    pair = [tf.constant(image), tf.constant(scores)]
    in_image, in_scores = map(np.asarray, gradients(*pair))
    positions = [(0, 0, 0, 0), (1, 3, 4, 1), (1, 6, 8, 1), (0, 2, 7, 0)]
    expected = differences(lambda x: loss(image, x), scores, positions)
    found = [in_scores[p] for p in positions]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    expected = differences(lambda x: loss(x, scores), image, positions)
    assert np.abs(expected).min() > 1e-4
    found = [in_image[p] for p in positions]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)
    # And where the whole is compiled.
    compiled = tf.function(gradients, jit_compile=True)(*pair)
    np.testing.assert_allclose(compiled[0], in_image, atol=1e-9)
    np.testing.assert_allclose(compiled[1], in_scores, atol=1e-9)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_sizes_may_stay_unknown_in_a_traced_function():
    import tensorflow as tf

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 3)),
            tf.TensorSpec((None, None, None, 4)),
        ]
    )
    def traced(image, scores):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            q = mean_field(image, scores)
            loss = tf.reduce_sum(q[..., 0] ** 2)
        return q, tape.gradient(loss, scores)

    image = IMAGE.astype("float32")
    expected = np.asarray(mean_field(image, SCORES))
    q, gradient = traced(image, SCORES)
    np.testing.assert_allclose(q, expected, atol=1e-5)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    q, _ = traced(image[:, :3], SCORES[:, :3])
    expected = np.asarray(mean_field(image[:, :3], SCORES[:, :3]))
    np.testing.assert_allclose(q, expected, atol=1e-5)


def test_without_weights_it_is_softmax():
    q = np.asarray(mean_field(IMAGE, SCORES, parameters()))
    np.testing.assert_allclose(q, reference.softmax(SCORES), atol=1e-6)


def test_equal_scores_stay_equal():
    q = np.asarray(mean_field(IMAGE, np.full((2, 7, 9, 5), 3.0)))
    # Each iteration multiplies a rounding that differs between classes.
    np.testing.assert_allclose(q, 0.2, atol=1e-4)


def test_a_constant_of_a_pixel_changes_nothing():
    shift = 10 * RNG.normal(size=(2, 7, 9, 1))
    q = np.asarray(mean_field(IMAGE, SCORES))
    shifted = np.asarray(mean_field(IMAGE, (SCORES + shift).astype("float32")))
    np.testing.assert_allclose(shifted, q, atol=1e-5)


def test_classes_may_be_renumbered():
    order = [2, 0, 3, 1]
    q = np.asarray(mean_field(IMAGE, SCORES))
    renumbered = np.asarray(mean_field(IMAGE, SCORES[..., order]))
    np.testing.assert_allclose(renumbered, q[..., order], atol=1e-6)


def test_classes_end_where_the_image_has_its_edge():
    image = np.zeros((1, 16, 16, 3))
    image[:, :, 9:] = (200, 40, 40)
    scores = RNG.normal(0, 0.3, size=(1, 16, 16, 2))
    scores[:, :, :7, 0] += 1
    scores[:, :, 7:, 1] += 1  # two columns of the wrong side
    q = np.asarray(mean_field(image, scores))
    labels = np.broadcast_to(np.arange(16) >= 9, (16, 16))
    assert (q[0].argmax(-1) == labels).all()
    np.testing.assert_allclose(q.sum(-1), 1, atol=1e-6)
    # Of an image of one colour the edge is that of the scores.
    flat = np.asarray(mean_field(np.zeros_like(image), scores, "sec"))
    assert flat[0, :, 8].argmax(-1).mean() > 0.9


def test_large_scores_and_far_colours_stay_finite():
    image = np.zeros((1, 4, 4, 3))
    image[:, 2:] = 255
    setting = parameters(10, 80, 0.01, 3, 3)
    scores = np.array([1e4, -1e4]) * np.ones((1, 4, 4, 1))
    q = np.asarray(mean_field(image, scores, setting))
    np.testing.assert_array_equal(q, [1, 0] * np.ones((1, 4, 4, 1)))


@pytest.mark.parametrize(
    "dtype",
    [
        "float16",
        "bfloat16",
        pytest.param("float64", marks=pytest.mark.tensorflow),
        "int32",
    ],
)
def test_the_dtype_is_that_of_the_scores(dtype):
    scores = keras.ops.cast(SCORES, dtype)
    q = mean_field(IMAGE, scores)
    found = keras.backend.standardize_dtype(q.dtype)
    assert found == ("float32" if dtype == "int32" else dtype)
    as_float32 = keras.ops.cast(scores, "float32")
    expected = np.asarray(mean_field(IMAGE, as_float32))
    q = np.asarray(keras.ops.cast(q, "float32"))
    np.testing.assert_allclose(q, expected, atol=0.005)


BAD = [
    (IMAGE[0], SCORES, {}, r"Received: image.shape=\(7, 9, 3\), scores"),
    (IMAGE, SCORES[:, :5], {}, r"scores.shape=\(2, 5, 9, 4\)"),
    (IMAGE[:1], SCORES, {}, r"image.shape=\(1, 7, 9, 3\)"),
    (IMAGE, SCORES, {"parameters": "voc"}, "Received: parameters='voc'"),
    (IMAGE, SCORES, {"parameters": {"s": 1}}, r"Received: parameters=\{'s'"),
    (
        IMAGE,
        SCORES,
        {"parameters": parameters(s_c=0)},
        "Received: color_stddev=0",
    ),
    (
        IMAGE,
        SCORES,
        {"parameters": parameters(w_a=-1)},
        "Received: appearance_weight=-1",
    ),
    (IMAGE, SCORES, {"num_iterations": 0}, "Received: num_iterations=0"),
]


@pytest.mark.parametrize("image, scores, options, message", BAD)
def test_what_does_not_fit_is_refused(image, scores, options, message):
    with pytest.raises(ValueError, match=message):
        mean_field(image, scores, **options)


def test_products_of_eleven_bits_lose_nothing(monkeypatch):
    """As GPUs take them; distances are small differences of products."""
    matmul = keras.ops.matmul

    def rounded(x):
        x = np.asarray(x, "float32")
        mantissa, exponent = np.frexp(x)
        return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent)

    image = RNG.uniform(0, 255, (1, 12, 12, 3)).astype("float32")
    setting = {**parameters(), "appearance_weight": 1, "position_stddev": 50}
    features = MODULE._features(
        keras.ops.convert_to_tensor(image),
        keras.ops.zeros((1, 12, 12, 2)),
        {**setting, "color_stddev": 5},
    )
    f = np.asarray(features, "float64")[0]
    exact = np.exp(-0.5 * ((f[:, None] - f) ** 2).sum(-1))
    products = []

    def matmul_of_eleven_bits(a, b):
        products.append(1)
        return matmul(
            rounded(a).astype("float32"), rounded(b).astype("float32")
        )

    monkeypatch.setattr(keras.ops, "matmul", matmul_of_eleven_bits)
    kernel = np.asarray(MODULE._gaussian(features, features))[0]
    assert products
    np.testing.assert_allclose(kernel, exact, atol=2e-3)
    # Without the two parts it would not be a kernel.
    plain = rounded(f) @ rounded(f).T
    norms = 0.5 * (f**2).sum(-1)
    plain = np.exp(np.minimum(plain - norms[:, None] - norms, 0))
    assert np.abs(plain - exact).max() > 0.1
