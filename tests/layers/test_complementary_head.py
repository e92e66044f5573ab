import keras
import numpy as np
import pytest

from keras_xmap import layers

RNG = np.random.default_rng(0)
FEATURES = RNG.uniform(size=(4, 6, 5, 3)).astype("float32")


def head(**kwargs):
    kwargs = {"num_classes": 3, "filters": 4, "seed": 1, **kwargs}
    layer = layers.ComplementaryHead(**kwargs)
    layer.build((None, 6, 5, 3))
    return layer


def values(layer, *inputs):
    outputs = layer(list(inputs) if len(inputs) > 1 else inputs[0])
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def min_max(maps):
    lower = maps.min(axis=(1, 2), keepdims=True)
    upper = maps.max(axis=(1, 2), keepdims=True)
    return (maps - lower) / (upper - lower)


def test_the_heads_the_erasing_and_the_fusion_are_those_of_the_paper():
    layer = head()
    logits_a, logits_b, fused = values(layer, FEATURES)
    map_a = keras.ops.convert_to_numpy(layer.head_a(FEATURES))
    np.testing.assert_allclose(logits_a, map_a.mean(axis=(1, 2)), rtol=1e-5)
    kept = FEATURES.copy()
    scaled_a = min_max(map_a)
    for image, scaled, logits in zip(kept, scaled_a, logits_a, strict=True):
        image[scaled[..., logits.argmax()] >= 0.6] = 0
    assert 0 < (kept == 0).mean() < 1
    map_b = keras.ops.convert_to_numpy(layer.head_b(kept))
    np.testing.assert_allclose(logits_b, map_b.mean(axis=(1, 2)), rtol=1e-5)
    scaled_b = min_max(map_b)
    np.testing.assert_allclose(fused, np.maximum(scaled_a, scaled_b), atol=1e-5)
    assert (fused > scaled_a + 0.1).any() and (fused > scaled_b + 0.1).any()


def one_map_head(threshold, num_classes=1):
    """A head A whose class map is the sum of the features, twice averaged."""
    layer = layers.ComplementaryHead(num_classes, threshold, filters=1)
    layer.build((None, 1, 4, 1))
    for inner in (layer.head_a, layer.head_b):
        for convolution in inner.layers[1:]:
            kernel = np.zeros(convolution.kernel.shape)
            kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1
            convolution.set_weights([kernel, np.zeros(kernel.shape[-1])])
    # So that the positions stay apart.
    layer.head_a.layers[0].call = lambda x: x
    layer.head_b.layers[0].call = lambda x: x
    return layer


@pytest.mark.parametrize(
    "threshold, left", [(0.6, [0, 1, 2, 0]), (0.2, [0, 0, 0, 0])]
)
def test_positions_above_the_threshold_are_erased(threshold, left):
    # Of 0, 1, 2, 4 the positions are at 0, .25, .5, 1 of the range.
    layer = one_map_head(threshold)
    x = np.array([0.0, 1.0, 2.0, 4.0]).reshape((1, 1, 4, 1))
    logits_a, logits_b, fused = values(layer, x)
    assert logits_a == pytest.approx(7 / 4)
    assert logits_b == pytest.approx(sum(left) / 4)
    scaled_b = np.array(left) / max(1, *left)
    expected = np.maximum([0, 0.25, 0.5, 1], scaled_b)
    np.testing.assert_allclose(fused.ravel(), expected, atol=1e-6)


def test_a_flat_map_erases_nothing_and_fuses_to_zero():
    logits_a, logits_b, fused = values(
        one_map_head(0.6), np.full((1, 1, 4, 1), 3.0)
    )
    assert logits_a == logits_b == pytest.approx(3.0)
    assert (fused == 0).all()


def test_labels_say_whose_map_erases():
    layer = head(threshold=0.4)
    map_a = keras.ops.convert_to_numpy(layer.head_a(FEATURES))
    scaled = min_max(map_a) >= 0.4
    top = np.eye(3)[map_a.mean(axis=(1, 2)).argmax(axis=-1)]
    labels = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]], "float32")
    used = np.where(labels.any(axis=-1, keepdims=True), labels, top)

    def erased_by(classes):
        where = scaled & (classes[:, None, None] > 0)
        return where.any(axis=-1, keepdims=True)

    erased = erased_by(used)
    _, logits_b, _ = values(layer, FEATURES, labels)
    map_b = keras.ops.convert_to_numpy(
        layer.head_b(np.where(erased, 0, FEATURES))
    )
    np.testing.assert_allclose(logits_b, map_b.mean(axis=(1, 2)), rtol=1e-5)
    _, by_top, _ = values(layer, FEATURES)
    _, by_zeros, _ = values(layer, FEATURES, np.zeros((4, 3)))
    assert (by_top == by_zeros).all()
    differs = (erased != erased_by(top)).any(axis=(1, 2, 3))
    assert differs.any() and not differs.all()
    assert ((np.abs(by_top - logits_b).max(axis=-1) > 1e-6) == differs).all()


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_no_gradient_of_head_b_reaches_head_a():
    inputs = keras.Input((6, 5, 3))
    layer = layers.ComplementaryHead(3, filters=4, seed=1)
    model = keras.Model(inputs, layer(inputs)[1:])
    model.compile(keras.optimizers.SGD(1.0), ["mse", "mse"])
    before = [w.copy() for w in layer.head_a.get_weights()]
    b_before = [w.copy() for w in layer.head_b.get_weights()]
    model.fit(FEATURES, [np.ones((4, 3)), np.ones((4, 6, 5, 3))], verbose=0)
    after, b_after = layer.head_a.get_weights(), layer.head_b.get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert all((a != b).any() for a, b in zip(b_before, b_after, strict=True))


def test_a_seed_repeats_the_weights_and_heads_differ():
    one, other = head(), head()
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()
    first_a, first_b = one.head_a.get_weights()[0], one.head_b.get_weights()[0]
    assert (first_a != first_b).all()
    assert (head(seed=None).get_weights()[0] != first_a).any()


@pytest.mark.parametrize(
    "kwargs, received",
    [
        ({"num_classes": 0}, "Received: num_classes=0"),
        ({"threshold": 1.0}, "Received: threshold=1.0"),
        ({"filters": 2.5}, "Received: filters=2.5"),
        ({"data_format": "last"}, "Received: data_format='last'"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, received):
    with pytest.raises(ValueError, match=received):
        layers.ComplementaryHead(**{"num_classes": 3, **kwargs})


def test_inputs_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"input_shape=\(None, 4, 3\)"):
        layers.ComplementaryHead(3)(keras.Input((4, 3)))
    pair = [keras.Input((4, 4, 3)), keras.Input((2,))]
    with pytest.raises(ValueError, match=r"labels.shape=\(None, 2\) for num"):
        layers.ComplementaryHead(3)(pair)
