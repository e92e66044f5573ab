"""What all metrics of maps against masks share."""

import keras
import numpy as np
import pytest

from keras_xmap import metrics
from keras_xmap.metrics._localization_metric import LocalizationMetric

CASES = {
    "EnergyInMask": metrics.EnergyInMask,
    "MeanIoU": metrics.MeanIoU,
    "PixelAveragePrecision": metrics.PixelAveragePrecision,
    "PointingGame": lambda: metrics.PointingGame(tolerance=2),
}
all_metrics = pytest.mark.parametrize("make", CASES.values(), ids=CASES)


def make_batch(seed=0, count=6):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, 5, 7)) < 0.2
    return masks, rng.random((count, 5, 7)).astype("float32")


def test_every_metric_has_a_case():
    assert set(CASES) <= set(metrics.__all__)
    for name in set(metrics.__all__) - set(CASES):
        kind = getattr(metrics, name)
        is_class = isinstance(kind, type)
        assert not (is_class and issubclass(kind, LocalizationMetric))


@pytest.mark.tensorflow
@all_metrics
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_compiled_function_gives_the_eager_result(make, jit_compile):
    import tensorflow as tf

    eager, compiled = make(), make()
    signature = [
        tf.TensorSpec([None, None, None], tf.bool),
        tf.TensorSpec([None, None, None], tf.float32),
    ]

    @tf.function(
        input_signature=None if jit_compile else signature,
        jit_compile=jit_compile,
    )
    def update(masks, maps):
        compiled.update_state(masks, maps)

    for seed in range(2):
        masks, maps = make_batch(seed)
        eager.update_state(masks, maps)
        update(tf.constant(masks), tf.constant(maps))
    assert 0 < float(eager.result()) < 1
    np.testing.assert_allclose(compiled.result(), eager.result(), rtol=1e-6)


@all_metrics
def test_evaluate_takes_it_as_any_keras_metric(make):
    masks, maps = make_batch()
    expected = float(make()(masks, maps))
    assert evaluate(make(), masks, maps) == pytest.approx(expected, rel=1e-6)


@all_metrics
def test_a_value_that_is_not_finite_is_refused(make):
    masks, maps = make_batch()
    maps[2, 3, 1] = np.nan
    with pytest.raises(ValueError, match="Received: y_pred with values"):
        make().update_state(masks, maps)


def evaluate(metric, masks, maps):
    """Compiled as the backend compiles models; torch does not."""
    inputs = keras.Input((5, 7))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile(loss="mse", metrics=[metric])
    masks = masks.astype("float32")
    results = model.evaluate(
        maps, masks, batch_size=4, verbose=0, return_dict=True
    )
    return results[metric.name]


@all_metrics
def test_where_nothing_can_be_raised_the_result_is_nan(make):
    masks, maps = make_batch()
    maps[2, 3, 1] = np.inf
    if keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match="Received: y_pred with values"):
            evaluate(make(), masks, maps)
    else:
        assert np.isnan(evaluate(make(), masks, maps))


@all_metrics
def test_a_mask_of_0_and_255_is_refused(make):
    masks, maps = make_batch()
    with pytest.raises(ValueError, match=r"Received: y_true with .* 0 to 255"):
        make().update_state(255 * masks.astype("uint8"), maps)


@all_metrics
def test_a_refused_batch_leaves_the_state_as_it_was(make):
    masks, maps = make_batch()
    metric = make()
    before = float(metric(masks, maps))
    with pytest.raises(ValueError):
        metric.update_state(masks, np.full_like(maps, np.nan))
    assert float(metric.result()) == before


@all_metrics
def test_maps_of_another_size_are_refused(make):
    masks, maps = make_batch()
    with pytest.raises(ValueError, match=r"Received: .*y_pred.shape=\(6, 4, 7"):
        make().update_state(masks, maps[:, :4])


@all_metrics
def test_maps_of_another_rank_are_refused(make):
    masks, maps = make_batch()
    with pytest.raises(
        ValueError, match=r"Received: y_true.shape=\(6, 5, 7, 1\)"
    ):
        make().update_state(masks[..., None], maps)


def test_metrics_print_as_the_call_that_makes_them():
    assert repr(metrics.EnergyInMask()) == "EnergyInMask(name='energy_in_mask')"
    assert repr(metrics.PointingGame(2, name="hits")) == (
        "PointingGame(tolerance=2.0, name='hits')"
    )
    assert repr(metrics.MeanIoU(0.25, dtype="float64")) == (
        "MeanIoU(threshold=0.25, num_thresholds=100, name='mean_iou', "
        "dtype='float64')"
    )


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.ones(3), r"sample_weight.shape=\(3,\) for 2 images"),
        (np.ones((2, 2)), r"sample_weight.shape=\(2, 2\) for 2 images"),
        ([1.0, np.nan], "finite numbers >= 0. Received: sample_weight="),
        ([1.0, -1.0], "finite numbers >= 0. Received: sample_weight="),
        ([[1.0], [1.0, 2.0]], "`sample_weight` must be an array"),
        ("ab", "`sample_weight` must be an array"),
    ],
)
@pytest.mark.parametrize("kind", ["EnergyInMask", "MaxBoxAccuracy"])
def test_weights_that_do_not_fit_are_refused(kind, weights, message):
    metric = getattr(metrics, kind)()
    maps = np.ones((2, 2, 2), "float32")
    truth = maps if kind == "EnergyInMask" else np.array([[0, 0, 2, 2]] * 2)
    with pytest.raises((ValueError, TypeError), match=message):
        metric.update_state(truth, maps, sample_weight=weights)
    # One for each image, with or without an axis behind, or one for all.
    for weights in ([1.0, 3.0], [[1.0], [3.0]], 0.5, [True, False], [1, 0]):
        metric.update_state(truth, maps, sample_weight=weights)
    assert float(metric.weight) == 4 + 4 + 1 + 1 + 1
