"""What all metrics of maps against masks share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xmap import metrics

CASES = {
    "EnergyInMask": metrics.EnergyInMask,
    "MeanIoU": metrics.MeanIoU,
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
        assert not issubclass(
            getattr(metrics, name), metrics.PointingGame.__base__
        )


@all_metrics
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_compiled_function_gives_the_eager_result(make, jit_compile):
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
    inputs = keras.Input((5, 7))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    metric = make()
    model.compile(loss="mse", metrics=[metric])
    results = model.evaluate(
        maps, masks.astype("float32"), batch_size=4, verbose=0, return_dict=True
    )
    expected = float(make()(masks, maps))
    assert results[metric.name] == pytest.approx(expected, rel=1e-6)


@all_metrics
def test_a_value_that_is_not_finite_is_refused(make):
    masks, maps = make_batch()
    maps[2, 3, 1] = np.nan
    with pytest.raises(ValueError, match="Received: y_pred with values"):
        make().update_state(masks, maps)


@all_metrics
def test_where_nothing_can_be_raised_the_result_is_nan(make):
    masks, maps = make_batch()
    maps[2, 3, 1] = np.inf
    metric = make()
    tf.function(metric.update_state)(tf.constant(masks), tf.constant(maps))
    assert np.isnan(float(metric.result()))


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
