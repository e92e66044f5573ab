import keras
import numpy as np
import pytest

from keras_xmap.models import complementary
from keras_xmap.models import complementary_maps

RNG = np.random.default_rng(0)
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def backbone(name=None):
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
        ],
        name=name,
    )


def arrays(outputs):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def scenes(count, parts=2, seed=0):
    """Class 0 is bright, class 1 dark: `parts` blobs of one kind on grey."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = 0.5 + rng.normal(0, 0.02, size=(count, 12, 12, 1))
    masks = np.zeros((count, 12, 12), "bool")
    for image, mask, label in zip(images, masks, labels, strict=True):
        for part in range(parts):
            # The first is seen better than the second.
            contrast = 0.5 if part == 0 else 0.2
            row, column = rng.integers(0, 9), rng.integers(0, 3) + 6 * part
            place = slice(row, row + 3), slice(column, column + 3)
            image[place] += contrast * (1 if label == 0 else -1)
            mask[place] = True
    return images.astype("float32"), labels, masks


def compiled(model):
    model.compile(
        keras.optimizers.Adam(0.003),
        loss=[CROSS_ENTROPY, CROSS_ENTROPY],
        metrics=[["accuracy"], ["accuracy"]],
    )
    return model


def test_the_model_is_backbone_and_head():
    inner = backbone()
    model = complementary(inner, 2, threshold=0.5, filters=4)
    images, _, _ = scenes(4)
    head = model.get_layer("complementary_head")
    expected = arrays(head(inner(images)))
    outputs = arrays(model(images))
    for output, logits in zip(outputs, expected, strict=False):
        np.testing.assert_allclose(output, logits, atol=1e-6)
    maps = arrays(complementary_maps(model)(images))
    fused = np.moveaxis(keras.ops.convert_to_numpy(expected[2]), -1, 1)
    np.testing.assert_allclose(maps, fused, atol=1e-6)
    assert head.threshold == 0.5 and head.filters == 4
    assert model.output_names == ["head_a", "head_b"]


@pytest.mark.slow
def test_plain_fit_trains_both_heads_and_the_second_sees_more():
    keras.utils.set_random_seed(1)
    model = compiled(complementary(backbone(), 2, filters=16))
    images, labels, _ = scenes(128)
    model.fit(images, [labels, labels], epochs=25, batch_size=16, verbose=0)
    images, labels, masks = scenes(64, seed=1)
    scores = model.evaluate(
        images, [labels, labels], return_dict=True, verbose=0
    )
    assert scores["head_a_accuracy"] > 0.95
    assert scores["head_b_accuracy"] > 0.95
    assert scores["loss"] == pytest.approx(
        scores["head_a_loss"] + scores["head_b_loss"], rel=1e-4
    )
    # The fused map of the true class covers what map A covers, and more.
    fused = complementary_maps(model).predict(images, verbose=0)
    fused = fused[np.arange(64), labels]
    features = model.layers[1](images)
    map_a = model.get_layer("complementary_head").head_a(features)
    map_a = keras.ops.convert_to_numpy(map_a)[np.arange(64), ..., labels]
    map_a -= map_a.min(axis=(1, 2), keepdims=True)
    map_a /= map_a.max(axis=(1, 2), keepdims=True)
    assert (fused >= map_a - 1e-5).all()
    recall_a, recall = (m[masks].mean() for m in (map_a, fused))
    assert recall > recall_a + 0.05


@pytest.mark.slow
def test_the_labels_can_be_an_input():
    model = complementary(backbone(), 2, filters=4, label_input=True)
    images, labels, _ = scenes(8)
    one_hot = np.eye(2, dtype="float32")[labels]
    head = model.get_layer("complementary_head")
    expected = arrays(head([model.get_layer(index=1)(images), one_hot]))
    outputs = arrays(model({"image": images, "label": one_hot}))
    np.testing.assert_allclose(outputs[1], expected[1], atol=1e-6)
    compiled(model).fit(
        {"image": images, "label": one_hot}, [labels, labels], verbose=0
    )
    maps = complementary_maps(model)
    given = maps.predict({"image": images, "label": 0 * one_hot}, verbose=0)
    assert given.shape == (8, 2, 12, 12)


def test_maps_of_classes_have_one_layout_in_every_data_format():
    features = keras.layers.MaxPooling2D(data_format="channels_first")
    model = complementary(
        keras.Sequential([keras.Input((4, 12, 10)), features]), 3, filters=4
    )
    head = model.get_layer("complementary_head")
    assert head.data_format == "channels_first"
    assert complementary_maps(model).output.shape == (None, 3, 6, 5)


def test_it_is_saved_and_read_with_its_maps(tmp_path):
    model = complementary(backbone(), 2, filters=4)
    images, _, _ = scenes(4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    pairs = zip(arrays(model(images)), arrays(again(images)), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(
        arrays(complementary_maps(model)(images)),
        arrays(complementary_maps(again)(images)),
        atol=1e-6,
    )


def test_mixed_precision_gives_float32_logits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = complementary(backbone(), 2, filters=4)
    finally:
        keras.config.set_dtype_policy("float32")
    head = model.get_layer("complementary_head")
    assert head.compute_dtype == "bfloat16"
    outputs = model(scenes(4)[0])
    dtypes = {keras.backend.standardize_dtype(y.dtype) for y in outputs}
    assert dtypes == {"float32"}


def test_a_frozen_backbone_stays_as_it_is():
    inner = backbone()
    inner.trainable = False
    before = [w.copy() for w in inner.get_weights()]
    model = compiled(complementary(inner, 2, filters=4))
    images, labels, _ = scenes(8)
    model.fit(images, [labels, labels], verbose=0)
    for a, b in zip(before, inner.get_weights(), strict=True):
        assert (a == b).all()


@pytest.mark.slow
def test_two_replicas_train_as_one_device_does(strategy):
    images, labels, _ = scenes(8)
    losses, weights = [], []
    keras.utils.set_random_seed(2)
    start = complementary(backbone(), 2, filters=4).get_weights()
    for replicated in (False, True):
        if replicated:
            with strategy.scope():
                model = complementary(backbone(), 2, filters=4)
        else:
            model = complementary(backbone(), 2, filters=4)
        model.compile(
            keras.optimizers.SGD(0.1), loss=[CROSS_ENTROPY, CROSS_ENTROPY]
        )
        model.set_weights(start)
        history = model.fit(
            images, [labels, labels], batch_size=4, shuffle=False, verbose=0
        )
        losses.append(history.history["loss"][0])
        weights.append(model.get_weights())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_what_is_no_backbone_is_named():
    with pytest.raises(TypeError, match="Received: backbone=<Dense"):
        complementary(keras.layers.Dense(2), 2)
    flat = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"inputs of shapes \[\(None, 4\)"):
        complementary(flat, 2)
    with pytest.raises(ValueError, match="must be built. Received: backbone="):
        complementary(keras.Sequential([keras.layers.Flatten()]), 2)
    with pytest.raises(ValueError, match="Received: label_input='yes'"):
        complementary(backbone(), 2, label_input="yes")
    with pytest.raises(ValueError, match="Received: 0 of them in model 'n'"):
        complementary_maps(backbone(name="n"))
