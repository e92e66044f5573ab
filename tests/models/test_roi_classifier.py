import keras
import numpy as np
import pytest
from conformance.test_models import backbone
from conformance.test_models import fit
from conformance.test_models import images
from conformance.test_models import masks

from keras_xmap.models import roi_classifier

MERGES = ["multiply", "add", "hard_image", "hard_features"]


def predict(model, image, mask=None):
    x = image if mask is None else {"image": image, "mask": mask}
    return model.predict(x, verbose=0)


def nested(side=16):
    """An inner model between preprocessing, arithmetic and a head."""
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Rescaling(0.5)(inputs)
    inner = keras.Sequential(
        [
            keras.Input((side, side, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="first"),
            keras.layers.Conv2D(5, 3, activation="relu", name="second"),
        ],
        name="inner",
    )
    x = keras.layers.GlobalAveragePooling2D()(inner(x) * 2.0)
    return keras.Model(inputs, keras.layers.Dense(3, name="scores")(x))


def application(side=32, **kwargs):
    """MobileNetV2 with weights under which its units are not all silent."""
    model = keras.applications.MobileNetV2(
        (side, side, 3), alpha=0.35, weights=None, **kwargs
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            beta = rng.uniform(0, 1, size=beta.shape)
            layer.set_weights([gamma, beta, mean, variance])
    return model


def sequential(side=16):
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            keras.layers.DepthwiseConv2D(3, name="first"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def features():
    """A backbone that ends in a feature map, as `include_top=False` does."""
    model = backbone(16)
    return keras.Model(model.input, model.get_layer("second").output)


BACKBONES = {
    "functional": lambda: backbone(16),
    "sequential": sequential,
    "inner model": nested,
    "without top": features,
}


@pytest.mark.parametrize("merge", ["multiply", "add"])
@pytest.mark.parametrize("name", BACKBONES)
def test_at_first_the_output_is_the_backbones_exactly(name, merge):
    model = BACKBONES[name]()
    side = model.input_shape[1]
    expected = predict(model, images(side))
    assert np.ptp(expected, axis=0).max() > 0
    given = roi_classifier(model, merge=merge)
    outputs = predict(given, images(side), masks(side))
    assert np.abs(outputs - expected).max() == 0
    assert len(given.weights) == len(model.weights) + 2


def test_several_layers_have_attention_of_their_own():
    model = nested()
    given = roi_classifier(model, merge_layer=["second", "inner/first"])
    layers = [
        given.get_layer(f"{n}_roi_attention") for n in ("first", "second")
    ]
    assert [layer.kernel.shape[-1] for layer in layers] == [4, 5]
    before = predict(given, images(16), masks(16))
    assert np.abs(before - predict(model, images(16))).max() == 0
    for layer in layers:
        layer.kernel.assign(np.ones(layer.kernel.shape))
        after = predict(given, images(16), masks(16))
        assert np.abs(after - before).max() > 1e-3
        before = after


@pytest.mark.parametrize("make", [nested, lambda: backbone(16)])
def test_a_hard_image_is_the_backbone_on_the_masked_image(make):
    model = make()
    given = roi_classifier(model, merge="hard_image")
    expected = predict(model, images(16) * masks(16)[..., None])
    outputs = predict(given, images(16), masks(16))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    assert np.abs(expected - predict(model, images(16))).max() > 1e-3
    assert len(given.weights) == len(model.weights)


def test_hard_features_are_zero_outside_of_the_mask():
    model = backbone(16)
    given = roi_classifier(model, merge_layer="first", merge="hard_features")
    mask = masks(7)
    first, second = (model.get_layer(name) for name in ("first", "second"))
    x = keras.ops.convert_to_numpy(first(images(16))) * mask[..., None]
    x = keras.ops.convert_to_numpy(second(x)).mean((1, 2))
    expected = keras.ops.convert_to_numpy(model.get_layer("scores")(x))
    outputs = predict(given, images(16), mask)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize("merge", MERGES)
def test_a_new_classifier_stands_on_the_mean_of_the_features(merge):
    model = features()
    given = roi_classifier(model, 5, merge=merge)
    x = predict(model, images(16)).mean((1, 2))
    kernel, bias = given.get_layer("roi_classes").get_weights()
    logits = x @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    outputs = predict(given, images(16), np.ones((4, 16, 16)))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4)
    logits_too = roi_classifier(model, 5, merge=merge, activation=None)
    assert logits_too.layers[-1].activation is keras.activations.linear


@pytest.mark.slow
@pytest.mark.parametrize("include_top", [False, True])
def test_an_application_starts_as_it_was_and_is_entered_first(include_top):
    model = application(include_top=include_top)
    given = roi_classifier(model)
    names = [layer.name for layer in given.layers if "_roi_" in layer.name]
    assert names == ["Conv1_roi_attention"]
    at = given.get_layer(names[0]).output.shape
    assert at == given.get_layer("Conv1").output.shape
    expected = predict(model, images(32))
    assert np.ptp(expected, axis=0).max() > 0
    outputs = predict(given, images(32), masks(32))
    assert np.abs(outputs - expected).max() == 0


def test_training_moves_the_copy_alone_and_frozen_layers_not_at_all():
    model = backbone(16)
    model.get_layer("first").trainable = False
    before = model.get_weights()
    given = roi_classifier(model)
    frozen = given.get_layer("first").get_weights()
    fit(given, {"image": images(16), "mask": masks(16)})
    for old, new in zip(before, model.get_weights(), strict=True):
        assert (old == new).all()
    for old, new in zip(
        frozen, given.get_layer("first").get_weights(), strict=True
    ):
        assert (old == new).all()
    kernel = given.get_layer("first_roi_attention").get_weights()[0]
    assert (kernel != 0).any()
    other = given.get_layer("second").get_weights()[0]
    assert (other != model.get_layer("second").get_weights()[0]).any()


def test_layers_and_models_that_are_called_twice_stay_shared():
    inputs = keras.Input((16, 16, 3))
    first = keras.layers.Conv2D(3, 3, padding="same", name="first")
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    x = first(inputs)
    model = keras.Model(inputs, twice(twice(x)) + x)
    given = roi_classifier(model)
    assert len(given.weights) == 6
    outputs = predict(given, images(16), masks(16))
    assert np.abs(outputs - predict(model, images(16))).max() == 0
    with pytest.raises(ValueError, match="Received: 'twice', which is called"):
        roi_classifier(model, merge_layer="twice")


def test_what_a_normalization_adapted_to_is_kept():
    normalization = keras.layers.Normalization()
    normalization.adapt(images(16))
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), normalization, keras.layers.Conv2D(2, 3)]
    )
    given = roi_classifier(model)
    outputs = predict(given, images(16), masks(16))
    assert np.abs(outputs - predict(model, images(16))).max() == 0


def test_channels_first_is_understood():
    inputs = keras.Input((3, 8, 6))
    pooling = keras.layers.AveragePooling2D(2, data_format="channels_first")
    model = keras.Model(inputs, pooling(inputs))
    given = roi_classifier(model, merge="hard_image")
    attention = given.get_layer("image_roi_attention")
    assert attention.data_format == "channels_first"
    convolution = keras.layers.Conv2D(2, 3, data_format="channels_first")
    model = keras.Model(inputs, convolution(inputs))
    given = roi_classifier(model, 4)
    attention = given.get_layer(f"{convolution.name}_roi_attention")
    assert attention.data_format == "channels_first"
    assert attention.output.shape == (None, 2, 6, 4)
    assert given.get_layer("roi_pooling").output.shape == (None, 2)


@pytest.mark.parametrize("shape", [(4, 16, 16), (4, 16, 16, 1), (4, 5, 9)])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_masks_of_any_size_and_type_are_taken(shape, dtype):
    given = roi_classifier(backbone(16))
    layer = given.get_layer("first_roi_attention")
    layer.kernel.assign(np.ones(layer.kernel.shape))
    rng = np.random.default_rng(0)
    mask = (rng.uniform(size=shape) > 0.5).astype(dtype)
    outputs = predict(given, images(16), mask)
    expected = predict(given, images(16), mask.astype("float32"))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    if dtype == "uint8":
        outputs = predict(given, images(16), mask * 255)
        np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_an_empty_mask_is_no_error():
    given = roi_classifier(backbone(16))
    layer = given.get_layer("first_roi_attention")
    layer.kernel.assign(np.ones(layer.kernel.shape))
    outputs = predict(given, images(16), np.zeros((4, 16, 16)))
    expected = predict(backbone_like(given), images(16))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def backbone_like(given):
    model = backbone(16)
    for name in ("first", "second", "scores"):
        model.get_layer(name).set_weights(given.get_layer(name).get_weights())
    return model


def test_weight_decay_can_leave_the_attention_alone():
    given = roi_classifier(nested(), merge_layer=["first", "second"])
    optimizer = keras.optimizers.AdamW(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["roi_attention"])
    weights = given.trainable_variables
    before = [keras.ops.convert_to_numpy(w).copy() for w in weights]
    optimizer.build(weights)
    optimizer.apply([keras.ops.zeros(w.shape) for w in weights], weights)
    for old, new in zip(before, weights, strict=True):
        same = (old == keras.ops.convert_to_numpy(new)).all()
        assert same == ("roi_attention" in new.path or not old.any())


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_backbone_from_outside_of_the_scope_trains_inside(strategy):
    model = backbone(16)
    x = {"image": images(16), "mask": masks(16)}
    expected, _ = fit(roi_classifier(model), x)
    with strategy.scope():
        given = roi_classifier(model)
    loss, _ = fit(given, x)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.tensorflow
def test_the_model_can_be_explained():
    from keras_xmap import explainers

    # Blind outside of the mask: so must be its maps.
    given = roi_classifier(backbone(16), merge="hard_image")
    mask = np.zeros((4, 16, 16), "float32")
    mask[:, 3:9, 4:10] = 1
    x = {"image": images(16), "mask": mask}
    saliency = explainers.Saliency(given).explain(x, target=0, verbose=0)
    assert saliency["image"].shape == (4, 16, 16)
    assert (saliency["image"][mask == 0] == 0).all()
    assert (saliency["image"][mask == 1] > 0).mean() > 0.5
    grad_cam = explainers.GradCAM(given, target_layer="first")
    maps = grad_cam.explain(x, target=0, verbose=0)
    assert maps.shape == (4, 16, 16)
    assert grad_cam.layers_used == ["first"]


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def pair():
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    return keras.Model(inputs, keras.layers.Add()(inputs))


def dense():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Dense(2)])


def probabilities():
    model = backbone(16)
    outputs = keras.layers.Softmax(name="end")(model.output)
    return keras.Model(model.input, outputs)


def ambiguous():
    model = nested()
    inputs = keras.Input((16, 16, 3))
    other = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(3, 1, name="first")]
    )
    return keras.Model(inputs, model(other(inputs)))


@pytest.mark.parametrize(
    "make, kwargs, received",
    [
        (Subclassed, {}, r"Received: backbone='subclassed"),
        (lambda: keras.Sequential([keras.layers.Conv2D(2, 3)]), {}, "unknown"),
        (pair, {}, r"of inputs of shapes \[\(None, 8, 8, 3\), "),
        (dense, {}, "Received: merge_layer=None for the layers"),
        (nested, {"merge": "concat"}, "Received: merge='concat'"),
        (nested, {"num_classes": 0}, "Received: num_classes=0"),
        (nested, {"gain": 0}, "Received: gain=0"),
        (nested, {"merge_layer": 3}, "Received: merge_layer=3"),
        (nested, {"merge_layer": []}, r"Received: merge_layer=\[\]"),
        (nested, {"merge_layer": "third"}, "inner/first', 'inner/second"),
        (nested, {"merge_layer": "inner"}, "Received: merge_layer='inner'"),
        (nested, {"merge_layer": "scores"}, r"shapes \[\(None, 3\)\]"),
        (ambiguous, {"merge_layer": "first"}, "which is the name of"),
        (
            nested,
            {"merge_layer": ["first", "inner/first"]},
            r"Received: merge_layer=\['first', 'inner/first'\]",
        ),
        (
            nested,
            {"merge_layer": "first", "merge": "hard_image"},
            "Received: merge_layer='first' with merge='hard_image'",
        ),
        (probabilities, {"num_classes": 2}, "a model that ends in 'end'"),
    ],
)
def test_what_cannot_be_done_is_said(make, kwargs, received):
    with pytest.raises(ValueError, match=received):
        roi_classifier(make(), **kwargs)


def test_a_backbone_that_is_no_model_is_named():
    with pytest.raises(TypeError, match="Received: backbone=<Conv2D"):
        roi_classifier(keras.layers.Conv2D(1, 1))


def test_every_attention_has_the_gain_that_is_asked_for():
    given = roi_classifier(nested(), merge_layer=["first", "second"], gain=7)
    found = [x.gain for x in given.layers if x.name.endswith("roi_attention")]
    assert found == [7.0, 7.0]


def test_a_mask_of_another_rank_is_an_error():
    given = roi_classifier(backbone(16))
    with pytest.raises(ValueError, match="shape"):
        given({"image": images(16), "mask": np.ones((4, 16, 16, 3))})
