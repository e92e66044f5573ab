import functools

import keras
import numpy as np
import pytest
from explainers.networks import images
from explainers.networks import random_network
from keras import layers
from keras import ops

from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import targets
from keras_xmap.metrics._weights import restored

pytestmark = pytest.mark.tensorflow

randomized = functools.partial(metrics.parameter_randomization, verbose=0)
PHOTOS = images(9, 7, 3)


class EdgeDetector(explainers.Explainer):
    """Shows where neighbouring pixels differ, and knows nothing of a model."""

    def compute(self, inputs, target, parts):
        edges = ops.abs(inputs[:, 1:] - inputs[:, :-1])
        score_used = self.evaluate(inputs).score_used
        return ops.sum(edges, axis=-1), {"score_used": score_used}


class Witness(EdgeDetector):
    """Keeps the weights and targets of each explanation."""

    def __init__(self, model, fail=None):
        super().__init__(model)
        self.fail = fail
        self.weights, self.targets = [], []

    def explain_batches(self, data, target=None, *args, **kwargs):
        self.weights.append(self.model.get_weights())
        self.targets.append(target)
        if self.fail is not None and len(self.weights) == 2:
            raise self.fail
        return super().explain_batches(data, target, *args, **kwargs)

    def changed(self):
        """Returns which weights changed, a row an explanation."""
        trained = self.weights[0]
        return [
            [
                not np.array_equal(a, b)
                for a, b in zip(trained, weights, strict=True)
            ]
            for weights in self.weights[1:]
        ]


@pytest.fixture(scope="module")
def network():
    """Two convolutions and a dense layer, in this order of weights."""
    return random_network()


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


def test_what_knows_nothing_of_the_model_stays_as_it_was(network):
    found = randomized(EdgeDetector(network), PHOTOS)
    assert list(found) == ["dense", "last", "first"]
    assert set(found.values()) == {metrics.MapSimilarity(1, 1, 1, 0, 3)}


def test_maps_of_a_linear_model_are_those_of_the_new_weights():
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(2, name="top")]
    )
    witness = Witness(model)
    photos = images(6, 6, 1)
    randomized(witness, photos, target=1)
    before, after = (
        w[0][:, 1].reshape(1, 6, 6) * photos[..., 0] for w in witness.weights
    )
    found = randomized(explainers.GradientInput(model), photos, target=1)
    expected = metrics.map_similarity(before, after)
    np.testing.assert_allclose(found["top"], expected, rtol=1e-5, atol=1e-6)
    assert abs(found["top"].spearman) < 0.9


# Weights of `first`, `last` and `dense`: kernel and bias each.
TOP, MIDDLE, BOTTOM = ([i // 2 == n for i in range(6)] for n in (2, 1, 0))
BOTH = [a or b for a, b in zip(TOP, MIDDLE, strict=True)]


@pytest.mark.parametrize(
    ("mode", "steps", "expected"),
    [
        ("cascading", None, [TOP, BOTH, [True] * 6]),
        ("independent", None, [TOP, MIDDLE, BOTTOM]),
        ("cascading", 2, [BOTH, [True] * 6]),
        ("independent", 2, [BOTH, BOTTOM]),
        ("cascading", 1, [[True] * 6]),
        ("independent", 9, [TOP, MIDDLE, BOTTOM]),
        ("cascading", ["first"], [BOTTOM]),
    ],
)
def test_the_layers_of_a_step_are_drawn_anew(network, mode, steps, expected):
    witness = Witness(network)
    before = bits(network)
    randomized(witness, PHOTOS, mode=mode, steps=steps)
    assert witness.changed() == expected
    assert bits(network) == before


def test_a_seed_draws_the_same_weights_in_both_modes(network):
    found = []
    for mode, seed in (("cascading", 3), ("independent", 3), ("cascading", 4)):
        witness = Witness(network)
        randomized(witness, PHOTOS, mode=mode, seed=seed)
        # The last convolution, at its own step.
        found.append(witness.weights[2][2])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("broken")])
@pytest.mark.parametrize("mode", ["cascading", "independent"])
def test_the_weights_are_put_back_after_an_error(network, mode, error):
    weights = network.get_weights()
    weights[0].flat[:2] = [np.nan, -0.0]  # what is equal to nothing, and to 0
    network.set_weights(weights)
    before = bits(network)
    witness = Witness(network, fail=error)
    expected = error if isinstance(error, type) else type(error)
    try:
        with pytest.raises(expected):
            randomized(witness, PHOTOS, mode=mode)
        assert len(witness.weights) == 2
        assert bits(network) == before
    finally:
        weights[0].flat[:2] = 0.1
        network.set_weights(weights)


class Interrupted:
    """A variable during whose assignments a user presses Ctrl-C."""

    def __init__(self, value, times):
        self.value, self.times = np.array(value), times

    def __array__(self, dtype=None, copy=None):
        return self.value.copy()

    def assign(self, value):
        if self.times:
            self.times -= 1
            raise KeyboardInterrupt
        self.value = np.array(value)


def test_an_interrupt_waits_until_all_weights_are_back():
    variables = [Interrupted([n], times=n) for n in range(4)]
    with pytest.raises(KeyboardInterrupt), restored(variables):
        for variable in variables:
            variable.value = np.array([7])
    assert [int(v.value[0]) for v in variables] == [0, 1, 2, 3]


def test_the_class_explained_is_that_of_the_trained_model(network):
    answers = network.predict(PHOTOS, verbose=0).argmax(axis=1)
    witness = Witness(network)
    randomized(witness, PHOTOS, steps=1, batch_size=2)
    for target in witness.targets[1:]:  # the first call asks for it
        np.testing.assert_array_equal(target.index, answers)


@pytest.mark.parametrize(
    ("target", "num_maps"),
    [(2, 3), ([2, 0, 1], 3), ([[0, 1], [1, 2], [2, 3]], 6)],
)
def test_given_classes_are_explained(network, target, num_maps):
    explainer = explainers.Saliency(network)
    found = randomized(explainer, PHOTOS, np.array(target), steps=1)
    assert found["first"].num_maps == num_maps


def test_what_an_answer_tells_of_a_combined_target_stays(network):
    target = targets.Difference(targets.Class(), targets.Class(0))
    witness = Witness(network)
    randomized(witness, PHOTOS, target, steps=1, batch_size=2)
    answers = network.predict(PHOTOS, verbose=0).argmax(axis=1)
    parts = witness.targets[-1].parts
    np.testing.assert_array_equal(parts["0.index"], answers)
    found = randomized(explainers.Saliency(network), PHOTOS, target, steps=1)
    assert found["first"].num_maps >= 1


def test_data_that_is_shuffled_anew_keeps_its_order(network):
    import tensorflow as tf

    photos = images(9, 7, 3, count=16)
    labels = np.arange(16) % 4
    data = tf.data.Dataset.from_tensor_slices((photos, labels))
    data = data.shuffle(16, reshuffle_each_iteration=True).batch(3)
    found = randomized(EdgeDetector(network), data, "labels", steps=2)
    assert found["first"] == metrics.MapSimilarity(1, 1, 1, 0, 16)
    witness = Witness(network)
    randomized(witness, iter([(photos[:2], labels[:2])]), "labels", steps=1)
    np.testing.assert_array_equal(witness.targets[-1].index, [0, 1])


class Block(keras.Model):
    """Layers whose order of calls is not that in which they are made."""

    def __init__(self):
        super().__init__(name="block")
        self.top = layers.Dense(3, name="top")
        self.recurrent = layers.GRU(4, name="recurrent")
        self.measured = layers.Normalization(name="measured")
        self.normalized = layers.BatchNormalization(name="normalized")

    def call(self, x):
        x = self.normalized(self.measured(x))
        return self.top(self.recurrent(x))


def test_layers_are_found_from_the_output_down_in_any_model():
    inner = Block()
    photos = images(5, 2, seed=1)
    inner.measured.adapt(photos)
    x = keras.Input((5, 2))
    frozen = layers.Dense(2, name="frozen", trainable=False)
    outputs = layers.Dense(2, name="head")(inner(frozen(x)))
    model = keras.Model(x, outputs)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(1, 2, w.shape) for w in model.get_weights()])

    class Whole(Witness):
        def compute(self, inputs, target, parts):
            return inputs, {"score_used": self.evaluate(inputs).score_used}

    witness = Whole(model)
    found = randomized(witness, photos)
    assert [path.rpartition("/")[2] for path in found] == [
        "head",
        "top",
        "gru_cell",
        "normalized",
        "frozen",
    ]
    measured = [v.path for v in inner.measured.variables]
    changed = witness.changed()[-1]
    for variable, is_changed in zip(model.weights, changed, strict=True):
        assert is_changed == (variable.path not in measured), variable.path
    # As a new layer starts.
    last = dict(
        zip([v.path for v in model.weights], witness.weights[-1], strict=True)
    )
    statistics = {
        name.rpartition("/")[2]: value
        for name, value in last.items()
        if "normalized" in name
    }
    assert np.all(statistics["moving_variance"] == 1)
    assert np.all(statistics["moving_mean"] == 0)
    witness = Whole(model)
    found = randomized(witness, photos, steps=["head", inner])
    assert [path.rpartition("/")[2] for path in found] == ["head", "normalized"]
    assert not witness.changed()[-1][0]  # the frozen layer below


def test_kernels_that_start_with_one_number_are_shuffled():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.DepthwiseConv2D(3, depthwise_initializer="ones", name="a"),
            layers.Flatten(),
            layers.Dense(2, kernel_initializer="zeros", name="b"),
            layers.Dense(
                2,
                kernel_initializer=keras.initializers.GlorotUniform(seed=1),
                name="seeded",
            ),
        ]
    )
    started = model.get_layer("seeded").get_weights()[0]
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            rng.normal(size=w.shape) if w is not started else w
            for w in model.get_weights()
        ]
    )
    model.get_layer("seeded").set_weights([started, np.ones(2)])
    witness = Witness(model)
    randomized(witness, images(6, 6, 1), steps=1)
    for index in (0, 2):
        kept, drawn = witness.weights[0][index], witness.weights[-1][index]
        assert np.array_equal(np.sort(kept.ravel()), np.sort(drawn.ravel()))
        assert not np.array_equal(kept, drawn)
    # The seed of the initializer would give the weights it started with.
    assert not np.array_equal(witness.weights[-1][4], started)
    assert np.all(witness.weights[-1][5] == 0)


@pytest.mark.parametrize(
    "steps", ["dense", 0, True, [], ["nothing"], ["dense", "dense"], [7]]
)
def test_steps_must_be_layers_of_the_model(network, steps):
    with pytest.raises(ValueError, match="^`steps` must .* Received: "):
        randomized(EdgeDetector(network), PHOTOS, steps=steps)


def test_steps_of_another_model_are_told_the_layers(network):
    with pytest.raises(ValueError, match="Such layers are dense, last, first"):
        randomized(EdgeDetector(network), PHOTOS, steps=[layers.Dense(2)])


def test_mode_and_seed_are_checked(network):
    explainer = EdgeDetector(network)
    with pytest.raises(ValueError, match="Received: mode='both'"):
        randomized(explainer, PHOTOS, mode="both")
    with pytest.raises(ValueError, match="Received: seed=-1"):
        randomized(explainer, PHOTOS, seed=-1)
    with pytest.raises(ValueError, match="Received: verbose=3"):
        metrics.parameter_randomization(explainer, PHOTOS, verbose=3)
    with pytest.raises(TypeError, match="Received: explainer=<Functional"):
        randomized(network, PHOTOS)


def test_a_model_without_weights_has_learned_nothing():
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.GlobalAveragePooling2D()]
    )
    with pytest.raises(ValueError, match="Received: the model 'sequential"):
        randomized(explainers.Saliency(model), images(4, 4, 2))


def test_maps_must_be_finite(network):
    class Broken(EdgeDetector):
        def compute(self, inputs, target, parts):
            maps, notes = super().compute(inputs, target, parts)
            return maps / ops.zeros_like(maps), notes

    with pytest.raises(ValueError, match="Received: maps with NaN"):
        randomized(Broken(network), PHOTOS)


def test_labels_that_meant_nothing():
    model, permuted = random_network(seed=0), random_network(seed=1)
    photos = images(9, 7, 3)
    answers = model.predict(photos, verbose=0).argmax(axis=1)
    assert not np.array_equal(
        answers, permuted.predict(photos, verbose=0).argmax(axis=1)
    )
    first, second = map(explainers.Saliency, (model, permuted))
    found = metrics.label_randomization(first, second, photos)
    expected = metrics.map_similarity(
        first.explain(photos, answers), second.explain(photos, answers)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    edges = map(EdgeDetector, (model, permuted))
    found = metrics.label_randomization(*edges, photos)
    assert found == metrics.MapSimilarity(1, 1, 1, 0, 3)


def test_label_randomization_takes_two_explainers_that_are_alike(network):
    compared = metrics.label_randomization
    first = explainers.Saliency(network)
    with pytest.raises(ValueError, match="Received: permuted with explainer"):
        compared(first, explainers.GradientInput(random_network()), PHOTOS)
    other = explainers.Saliency(random_network(classes=5))
    with pytest.raises(ValueError, match="Received: permuted with layer"):
        compared(first, other, PHOTOS)
    copied = random_network()
    copied.set_weights(network.get_weights())
    for model in (network, copied):
        with pytest.raises(ValueError, match="Received: a model with the wei"):
            compared(first, explainers.Saliency(model), PHOTOS)
    with pytest.raises(TypeError, match="Received: permuted=<Functional"):
        compared(first, network, PHOTOS)
