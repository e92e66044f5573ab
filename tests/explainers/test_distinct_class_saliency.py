import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import CountsTraces
from explainers.networks import images
from explainers.networks import randomize
from keras import layers
from reference.distinct_class_saliency import distinct_maps

from keras_xmap.explainers import DistinctClassSaliency
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import Saliency
from keras_xmap.models import fully_convolutional
from keras_xmap.models import multi_label_classifier

pytestmark = pytest.mark.tensorflow

# Derivatives of two classes by four positions.
M1 = np.array([[1.0, 0.2], [0.6, 0.0]])
M2 = np.array([[0.3, 0.9], [0.6, 0.1]])


def linear(*maps, bias=None):
    """A model whose class `k` has the derivatives `maps[k]` at `"maps"`."""
    inputs = keras.Input((2, 2, 1))
    x = layers.Conv2D(1, 1, use_bias=False, name="maps")(inputs)
    dense = layers.Dense(len(maps), activation="sigmoid")
    model = keras.Model(inputs, dense(layers.Flatten()(x)))
    kernel = np.stack([np.ravel(m) for m in maps], axis=-1)
    bias = np.zeros(len(maps)) if bias is None else np.array(bias)
    model.set_weights([np.ones((1, 1, 1, 1)), kernel, bias])
    return model


def of_linear(model, **options):
    options = {"scales": (1,), "relu_rule": "standard", **options}
    return DistinctClassSaliency(model, ["maps"], **options)


def explain_zeros(explainer, target, count=1):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explainer.explain(np.zeros((count, 2, 2, 1)), target, verbose=0)


def test_the_difference_of_two_classes_by_hand():
    printed = of_linear(linear(M1, M2), candidates="target", normalization=None)
    maps = explain_zeros(printed, [[0, 1]])[0]
    # 0.7 and nothing else; 0.7 and 0.1.
    np.testing.assert_allclose(
        maps[0], [[0.97045194, 0], [0, 0]], rtol=1e-6, atol=0
    )
    np.testing.assert_allclose(
        maps[1], [[0, 0.97045194], [0, 0.29131261]], rtol=1e-6, atol=0
    )
    scaled = of_linear(linear(M1, M2), candidates="target")
    maps = explain_zeros(scaled, [[0, 1]])[0]
    np.testing.assert_allclose(
        maps[1], np.tanh([[0, 3], [0, 3 / 7]]), rtol=1e-6
    )


# With 65 channels the last one, which is the strongest, is enlarged by itself.
@pytest.mark.parametrize("channels", [1, 65])
def test_enlarged_first_neighbours_of_different_sign_cancel_by_hand(channels):
    # Derivatives 4 and -4 of two positions, each seen in a half of the image.
    inputs = keras.Input((1, 4, channels))
    x = layers.AveragePooling2D((1, 2), name="maps")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    strength = np.append(np.full(channels - 1, 0.5), 1.0)
    kernel = np.array([[4.0, 0], [-4.0, 1]])[:, None] * strength[:, None]
    model.set_weights([kernel.reshape(-1, 2), np.zeros(2)])
    expected = {"after": [4, 4, 4, 4], "before": [4, 2, 2, 4]}
    for upsampling, values in expected.items():
        explainer = of_linear(
            model,
            candidates=None,
            normalization=None,
            alpha=0.1,
            upsampling=upsampling,
        )
        maps = explainer.explain(np.zeros((1, 1, 4, channels)), 0, verbose=0)
        np.testing.assert_allclose(
            maps[0, 0], np.tanh(np.array(values) / 10), rtol=1e-6
        )


def test_a_class_without_others_has_its_raw_map():
    raw = np.tanh(3 * M2 / 0.9)
    alone = of_linear(linear(M1, M2), candidates="target")
    np.testing.assert_allclose(explain_zeros(alone, 1)[0], raw, rtol=1e-6)
    none = of_linear(linear(M1, M2), candidates=None)
    both = explain_zeros(none, [[0, 1]])[0]
    np.testing.assert_allclose(both[1], raw, rtol=1e-6)
    np.testing.assert_allclose(both[0], np.tanh(3 * M1), rtol=1e-6)


def test_equal_classes_cancel_and_it_is_said():
    explainer = of_linear(linear(M1, M1), candidates="target")
    with pytest.warns(UserWarning, match="2 of 2 maps .* another candidate"):
        maps = explainer.explain(np.zeros((1, 2, 2, 1)), [[0, 1]], verbose=0)
    np.testing.assert_array_equal(maps, 0)


def test_a_class_named_twice_counts_once_and_order_does_not_matter():
    third = np.array([[0.2, 0.8], [0.1, 0.7]])
    explainer = of_linear(linear(M1, M2, third), candidates="target")
    maps = explain_zeros(explainer, [[0, 1, 2]])[0]
    assert np.abs(maps).max(axis=(1, 2)).min() > 0.9
    twice = explain_zeros(explainer, [[1, 0, 1, 2]])[0]
    np.testing.assert_allclose(twice, maps[[1, 0, 1, 2]], atol=1e-7)


THREE = (M1, M2, np.array([[0.2, 0.8], [0.1, 0.7]]), M1.T, M2.T)
# Scores are the biases at an image of zeros: classes 0, 2 and 4 are above .5.
BIAS = [2.0, -1.0, 1.0, -3.0, 0.5]


@pytest.mark.parametrize(
    "candidates, others",
    [
        (0.5, [0, 2, 4]),
        pytest.param(0.99, [], marks=pytest.mark.slow),
        (2, [0, 2]),
        pytest.param(9, [0, 2, 4, 1, 3], marks=pytest.mark.slow),
        ([4, 2], [2, 4]),
        ("target", []),
    ],
)
def test_candidates_are_those_of_the_rule_and_those_of_the_target(
    candidates, others
):
    model = linear(*THREE, bias=BIAS)
    explainer = of_linear(model, candidates=candidates)
    target = [[3, 1], [0, -1]]
    maps = explain_zeros(explainer, target, count=2)
    for of_image, row in zip(maps, ([3, 1], [0]), strict=True):
        expected = by_reference(THREE, [*row, *others])
        for k, heatmap in zip(row, of_image, strict=False):
            assert heatmap.max() > 0.9
            np.testing.assert_allclose(heatmap, expected[k], atol=1e-6)
    if candidates == "target":
        return
    found = explainer.find_candidates(np.zeros((1, 2, 2, 1)), verbose=0)
    assert found.dtype == np.int32
    by_score = sorted(others, key=lambda c: -BIAS[c])
    assert found.tolist() == [by_score or [-1]]


def by_reference(maps, candidates):
    derivatives = {k: maps[k][..., None] for k in candidates}
    return distinct_maps([[derivatives]], (2, 2), sorted(set(candidates)))


def test_of_many_classes_above_the_threshold_five_join_the_target():
    maps = np.random.default_rng(0).uniform(size=(9, 2, 2))
    model = linear(*maps, bias=[1.0, 9, 8, 7, 6, 5, 4, 3, 2])
    explainer = of_linear(model, candidates=0.5)
    actual = explain_zeros(explainer, 0)[0]
    expected = by_reference(maps, [0, 1, 2, 3, 4, 5])[0]
    assert expected.max() > 0.9
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    found = explainer.find_candidates(np.zeros((1, 2, 2, 1)))
    assert found.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 0]]


def test_no_map_is_missed_where_there_is_no_class():
    explainer = of_linear(linear(M1, M1, M2), candidates="target")
    with pytest.warns(UserWarning, match="2 of 3 maps .* zero everywhere"):
        explainer.explain(np.zeros((2, 2, 2, 1)), [[0, 1], [2, -1]], verbose=0)


def network(size=None, classes=4, seed=0):
    """Convolutions with ReLU, `"first"` to `"third"`, and a score map."""
    model = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(5, 3, activation="relu", name="first"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, activation="relu", name="second"),
            layers.Conv2D(6, 3, activation="relu", name="third"),
            layers.Conv2D(classes, 1, name="scores"),
            layers.Activation("sigmoid"),
        ]
    )
    randomize(model, 0.4, 0.05, seed=seed)
    return model


def derivatives(model, x, scales, names, classes, rule):
    """As the reference takes them, of image 0, by another explainer."""
    kind = {"guided": GuidedBackprop, "standard": Saliency}[rule]
    explainer = kind(model, None, target_layer=names)
    result = []
    for scale in scales:
        size = [round(length * scale) for length in x.shape[1:3]]
        resized = tf.image.resize(x, size).numpy()
        of_class = {
            k: explainer.explain(
                resized,
                lambda s, k=k: tf.reduce_sum(s[..., k], axis=(1, 2)),
                verbose=0,
            )
            for k in classes
        }
        result.append(
            [
                {k: of_class[k][number][0] for k in classes}
                for number in range(len(names))
            ]
        )
    return result


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalization": "before", "alpha": 2},
        {"normalization": None, "signed": True, "relu_rule": "standard"},
        {"upsampling": "before", "relu_rule": "standard"},
        {"upsampling": "before", "signed": True, "relu_rule": "standard"},
    ],
    ids=str,
)
def test_layers_scales_and_options_are_those_of_the_reference(options):
    model, x = network(), images(17, 15, 3, count=1)
    names, scales, classes = ["second", "third"], (1.4, 1), [3, 0, 2]
    explainer = DistinctClassSaliency(
        model, names, scales, candidates="target", **options
    )
    maps = explainer.explain(x, [classes], verbose=0)[0]
    rule = {**options}.pop("relu_rule", "guided")
    found = derivatives(model, x, scales, names, classes, rule)
    options = {k: v for k, v in options.items() if k != "relu_rule"}
    second = [(3, 1), (2, 2), (3, 1)]
    expected = distinct_maps(
        found,
        (17, 15),
        classes,
        windows=[second, [*second, (3, 1)]],
        seen=[(24, 21), (17, 15)],
        **options,
    )
    assert explainer.layers_used == names
    for k, heatmap in zip(classes, maps, strict=True):
        assert expected[k].max() > 0.1
        np.testing.assert_allclose(heatmap, expected[k], atol=1e-5)


@pytest.mark.slow
def test_maps_do_not_depend_on_the_size_of_gradients_unless_asked_to():
    model, x = network(), images(12, 12, 3)
    options = {"candidates": 3, "scales": (1,)}
    scaled = DistinctClassSaliency(model, **options)
    printed = DistinctClassSaliency(model, normalization=None, **options)
    before = scaled.explain(x, 1), printed.explain(x, 1)
    scores = model.get_layer("scores")
    scores.set_weights([0.01 * w for w in scores.get_weights()])
    np.testing.assert_allclose(scaled.explain(x, 1), before[0], atol=1e-5)
    assert np.abs(printed.explain(x, 1) - before[1]).max() > 0.1
    assert before[0].min() >= 0 and before[0].max() < 1


def test_candidates_of_score_maps_are_found_at_any_position():
    model, x = network(), images(12, 14, 3, count=5)
    outputs = model.predict(x, verbose=0).max(axis=(1, 2))
    threshold = float(np.median(outputs))
    explainer = DistinctClassSaliency(model, candidates=threshold, scales=(1,))
    found = explainer.find_candidates(x, batch_size=2, verbose=0)
    for row, output in zip(found, outputs, strict=True):
        order = [k for k in np.argsort(-output) if output[k] > threshold]
        assert row[: len(order)].tolist() == order
        assert (row[len(order) :] == -1).all()
    assert (found == -1).any() and (found >= 0).any()


@pytest.mark.slow
def test_images_may_have_different_numbers_of_classes(strategy):
    x = images(20, 20, 3, count=4)
    target = np.array([[2, 0, 1], [3, -1, -1], [1, 3, -1], [-1, -1, -1]])
    with strategy.scope():
        model = network()
    explainer = DistinctClassSaliency(model, scales=(1,), candidates="target")
    maps = explainer.explain(x, target, batch_size=3, verbose=0)
    assert maps.shape == (4, 3, 20, 20)
    single = DistinctClassSaliency(network(), scales=(1,), candidates="target")
    for number, row in enumerate(target):
        row = row[row >= 0]
        assert (maps[number, len(row) :] == 0).all()
        if len(row):
            of_one = single.explain(x[number : number + 1], row[None])
            assert of_one.max() > 0.5
            np.testing.assert_allclose(
                maps[number, : len(row)], of_one[0], atol=1e-5
            )
    tensors = explainer(x, tf.constant(target)).numpy()
    np.testing.assert_allclose(tensors, maps, atol=1e-5)
    batches = explainer.explain_batches(x, target, batch_size=3)
    np.testing.assert_allclose(np.concatenate(list(batches)), maps, atol=1e-5)


@pytest.mark.slow
def test_sizes_that_are_known_only_when_running_give_the_same_maps():
    model, x = network(), images(21, 20, 3)
    explainer = DistinctClassSaliency(model, scales=(1, 1.3), candidates=2)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def mine(x):
        return explainer(x, 1)

    np.testing.assert_allclose(
        mine(x).numpy(), explainer.explain(x, 1), atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("scales, passes", [((1, 1.5), 2), ((1.2, 2), 3)])
def test_all_classes_and_layers_share_one_forward_pass_a_scale(scales, passes):
    counter = CountsTraces()
    counted = keras.Sequential([counter, network()])
    counted(images(12, 12, 3))
    counter.count = 0
    explainer = DistinctClassSaliency(counted, scales=scales)
    explainer.explain(images(12, 12, 3), np.array([[0, 1]] * 3), verbose=0)
    assert counter.count == passes


def test_a_callable_is_explained_without_candidates():
    model, x = network(), images(12, 12, 3)
    by_class = DistinctClassSaliency(model, scales=(1,), candidates=None)
    expected = by_class.explain(x, 2, verbose=0)
    actual = DistinctClassSaliency(model, scales=(1,)).explain(
        x, lambda s: tf.reduce_sum(s[..., 2], axis=(1, 2)), verbose=0
    )
    assert expected.max() > 0.9
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.slow
def test_the_layers_of_vgg_16_are_those_of_the_paper():
    model = keras.applications.VGG16(
        weights=None, input_shape=(32, 32, 3), classes=3
    )
    expected = [
        f"block{block}_conv{number}"
        for block in (3, 4, 5)
        for number in (1, 2, 3)
    ]
    for kind in (model, fully_convolutional(model)):
        explainer = DistinctClassSaliency(kind, scales=(1,), candidates=None)
        explainer(images(32, 32, 3, count=1), 0)
        assert explainer.layers_used == expected


@pytest.mark.slow
def test_models_of_one_size_are_told_how_to_take_others():
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    x = images(12, 12, 3)
    with pytest.raises(ValueError, match="models.fully_convolutional"):
        DistinctClassSaliency(model, scales=(1, 1.2)).explain(x, 0, verbose=0)
    own_size = DistinctClassSaliency(model, scales=(1,), candidates=2)
    sliding = fully_convolutional(model)
    same = DistinctClassSaliency(sliding, scales=(1,), candidates=2)
    expected = own_size.explain(x, 0, verbose=0)
    assert expected.max() > 0.9
    np.testing.assert_allclose(
        same.explain(x, 0, verbose=0), expected, atol=1e-5
    )
    larger = DistinctClassSaliency(sliding, scales=(1.5,), candidates=None)
    maps = larger.explain(x, 0, verbose=0)
    assert maps.shape == (3, 12, 12) and maps.max() > 0.5


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"candidates": 0}, ValueError, "Received: candidates=0"),
        ({"candidates": True}, ValueError, "Received: candidates=True"),
        ({"candidates": []}, ValueError, "Received: candidates=\\[\\]"),
        ({"candidates": [1, -1]}, ValueError, "Received: candidates="),
        ({"candidates": "all"}, ValueError, "Received: candidates='all'"),
        ({"scales": ()}, ValueError, "Received: scales=\\(\\)"),
        ({"scales": (1, 0)}, ValueError, "Received: scales=\\(1, 0\\)"),
        ({"scales": 1}, ValueError, "Received: scales=1"),
        ({"alpha": 0}, ValueError, "Received: alpha=0"),
        ({"normalization": "max"}, ValueError, "normalization='max'"),
        ({"relu_rule": "grad"}, ValueError, "Received: relu_rule='grad'"),
        ({"signed": 2}, ValueError, "Received: signed=2"),
        ({"upsampling": None}, ValueError, "Received: upsampling=None"),
        ({"target_layer": 3}, TypeError, "Received: target_layer=3"),
        ({"target_layer": []}, ValueError, "Received: target_layer=\\[\\]"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        DistinctClassSaliency(network(), **options)


@pytest.mark.slow
def test_what_cannot_be_explained_is_refused():
    x = images(12, 12, 3)
    explainer = DistinctClassSaliency(network(), scales=(1,))
    with pytest.raises(ValueError, match="-1 for none. Received: target=-2"):
        explainer.explain(x, [[0, -2]] * 3)
    with pytest.raises(ValueError, match=r"Received: \(classes, target\)"):
        explainer.explain(x, [[0, 4]] * 3)
    with pytest.raises(ValueError, match="has 4. Received: candidates=\\(7,"):
        DistinctClassSaliency(network(), candidates=[7]).explain(x, 0)
    for rule in ("target", None):
        explainer = DistinctClassSaliency(network(), candidates=rule)
        with pytest.raises(ValueError, match="Received: candidates="):
            explainer.find_candidates(x)
    pointwise = keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Conv2D(4, 1), layers.Flatten()]
    )
    with pytest.raises(ValueError, match="no spatial layer to explain by"):
        DistinctClassSaliency(pointwise, scales=(1,)).explain(
            images(4, 4, 3), 0
        )
    model = network()
    with pytest.raises(ValueError, match="Received: layer 'activation"):
        # Behind the score, which is taken before the sigmoid.
        name = model.layers[-1].name
        DistinctClassSaliency(model, [name], (1,), None).explain(x, 0)


def two_convolutions(size=None, activation="relu"):
    head = layers.Flatten() if size else layers.GlobalAveragePooling2D()
    model = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(4, 3, activation=activation),
            layers.Conv2D(4, 3, activation=activation),
            head,
            layers.Dense(3, activation="sigmoid"),
        ]
    )
    randomize(model)
    return model


@pytest.mark.slow
def test_a_model_of_one_size_is_explained_at_that_size_by_default():
    model = two_convolutions(24)
    explainer = DistinctClassSaliency(model, candidates=2)
    maps = explainer.explain(images(24, 24, 3), 1)
    assert explainer.scales_used == (1,)
    only = DistinctClassSaliency(model, scales=(1,), candidates=2)
    np.testing.assert_array_equal(maps, only.explain(images(24, 24, 3), 1))


@pytest.mark.slow
def test_a_model_of_any_size_is_explained_at_the_sizes_of_the_paper():
    explainer = DistinctClassSaliency(two_convolutions(), candidates=2)
    explainer.explain(images(20, 20, 3), 1)
    assert explainer.scales_used == (1, 1.2, 1.4, 1.6)


@pytest.mark.slow
def test_without_a_relu_the_refusal_names_the_rule_that_works():
    model = two_convolutions(activation="gelu")
    with pytest.raises(ValueError, match='pass relu_rule="standard"'):
        DistinctClassSaliency(model, candidates=2).explain(images(20, 20, 3), 1)
    explainer = DistinctClassSaliency(model, candidates=2, relu_rule="standard")
    assert explainer.explain(images(20, 20, 3), 1).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_probabilities_above_a_threshold_are_warned_of_nothing(pooling):
    # The sigmoid is behind the score, and bends no derivative.
    backbone = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(4, 3, activation="relu"),
        ]
    )
    classifier = multi_label_classifier(backbone, 3, pooling=pooling, seed=0)
    randomize(classifier, 0.4, 0.1, seed=0)
    sliding = fully_convolutional(classifier, pooling="position")
    x = images(24, 24, 3, count=2)
    for model in (classifier, sliding):
        explainer = DistinctClassSaliency(
            model, scales=(1, 1.2), candidates=0.5
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = explainer.find_candidates(x, verbose=0)
            maps = explainer.explain(x, 1, verbose=0)
        assert (found >= 0).any() and maps.max() > 0.5
