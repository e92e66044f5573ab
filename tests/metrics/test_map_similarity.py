import numpy as np
import pytest
from scipy import stats
from skimage.metrics import structural_similarity

from keras_xmap.metrics import MapSimilarity
from keras_xmap.metrics import map_similarity


def maps(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_ranks_by_hand_with_equal_values():
    # Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 * 5).
    first = np.array([[[1.0, 5.0], [5.0, 9.0]]])
    second = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    found = map_similarity(first, second)
    assert found.spearman == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert found.num_maps == 1


@pytest.mark.parametrize("shape", [(11, 9), (30,), (9, 8, 7), (2, 5), (1, 8)])
def test_agrees_with_scipy_and_scikit_image(shape):
    first, second = maps(3, *shape), maps(3, *shape, seed=1)
    first, second = np.round(first, 1), np.round(second, 1)  # equal values
    found = map_similarity(first, second)
    ranks = [
        stats.spearmanr(a.ravel(), b.ravel()).statistic
        for a, b in zip(first, second, strict=True)
    ]
    absolute = [
        stats.spearmanr(abs(a).ravel(), abs(b).ravel()).statistic
        for a, b in zip(first, second, strict=True)
    ]
    assert found.spearman == pytest.approx(np.mean(ranks))
    assert found.absolute_spearman == pytest.approx(np.mean(absolute))
    if min(shape) >= 7:
        structure = [
            structural_similarity(
                abs(a) / abs(a).max(), abs(b) / abs(b).max(), data_range=1
            )
            for a, b in zip(first, second, strict=True)
        ]
        assert found.ssim == pytest.approx(np.mean(structure))


def test_maps_are_like_themselves_at_any_scale():
    first = maps(2, 10, 10)
    assert map_similarity(first, first) == MapSimilarity(1, 1, 1, 0, 2)
    found = map_similarity(first, -1e30 * first)
    assert found.spearman == -1
    assert found.absolute_spearman == 1
    assert found.ssim == pytest.approx(1)


def test_flat_maps_have_no_order_to_be_compared_with():
    ramp = np.arange(64.0).reshape(1, 8, 8)
    flat = np.full((1, 8, 8), 3.0)
    found = map_similarity(np.concatenate([ramp, flat]), np.zeros((2, 8, 8)))
    assert found[:2] == (0, 0)
    assert (found.flat, found.num_maps) == (1, 1)
    found = map_similarity(flat, ramp)
    assert np.isnan(found[:4]).all()
    assert found.num_maps == 0


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((3,), (3,))])
def test_shapes_must_be_those_of_maps(shapes):
    first, second = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="Received: first.shape=") as caught:
        map_similarity(first, second)
    assert str(shapes[1]) in str(caught.value)


def test_maps_must_be_finite():
    broken = np.full((1, 2, 2), np.nan)
    with pytest.raises(ValueError, match="Received: second with NaN"):
        map_similarity(np.zeros((1, 2, 2)), broken)
