"""The Gini index of maps."""

import numpy as np
import pytest
from keras import ops

from keras_xmap import metrics


def gini(values):
    """Returns half the mean difference of two values, over their mean."""
    values = np.abs(values).ravel()
    differences = np.abs(values[:, None] - values[None]).mean()
    return differences / (2 * values.mean())


def test_one_pixel_is_as_sparse_as_can_be_and_a_flat_map_is_not():
    one, flat = np.zeros((5, 4)), np.full((5, 4), 0.3)
    one[2, 1] = -7.0
    scores = metrics.Sparseness().image_scores(np.stack([one, flat, 0 * flat]))
    scores = ops.convert_to_numpy(scores)
    assert scores[0] == pytest.approx(1 - 1 / 20)
    np.testing.assert_allclose(scores[1:], 0, atol=1e-6)


@pytest.mark.parametrize("shape", [(9,), (3, 4), (2, 3, 2)])
def test_it_is_the_mean_difference_over_the_mean(shape):
    maps = np.random.default_rng(0).normal(size=(4, *shape))
    scores = metrics.Sparseness().image_scores(maps)
    expected = [gini(heatmap) for heatmap in maps]
    np.testing.assert_allclose(
        ops.convert_to_numpy(scores), expected, rtol=1e-5
    )


@pytest.mark.parametrize("factor", [1e-30, -2.0, 1e30])
def test_scale_and_sign_do_not_count(factor):
    maps = np.random.default_rng(0).random((3, 4, 4))
    scores = [
        ops.convert_to_numpy(metrics.Sparseness().image_scores(m))
        for m in (maps, factor * maps)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-5)


def test_the_mean_is_streamed_and_weighted():
    maps = np.random.default_rng(0).random((3, 4, 4))
    metric = metrics.Sparseness()
    metric.update_state(maps[:2], [3, 0])
    metric.update_state(maps[2:])
    expected = (3 * gini(maps[0]) + gini(maps[2])) / 4
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_what_is_no_map_is_refused():
    metric = metrics.Sparseness()
    with pytest.raises(ValueError, match=r"Received: maps.shape=\(3,\)"):
        metric.update_state(np.ones(3))
    with pytest.raises(ValueError, match="Received: maps with values from"):
        metric.update_state(np.array([[1.0, np.nan]]))
