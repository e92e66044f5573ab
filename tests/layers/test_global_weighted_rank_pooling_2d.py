import keras
import numpy as np
import pytest
from reference import weak_segmentation as reference

from keras_xmap.layers import GlobalWeightedRankPooling2D

X = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_the_decay_fits_the_size_of_the_map(data_format):
    x = X if data_format == "channels_last" else np.moveaxis(X, -1, 1)
    layer = GlobalWeightedRankPooling2D(0.996, data_format=data_format)
    y = np.asarray(layer(x))
    expected = reference.rank_pooling(X[1, ..., 2], 0.996 ** (1681 / 35))
    assert y[1, 2] == pytest.approx(expected, rel=1e-5)


def test_without_a_reference_size_the_decay_stands():
    layer = GlobalWeightedRankPooling2D(
        0.5, reference_size=None, data_format="channels_last"
    )
    expected = reference.rank_pooling(X[0, ..., 1], 0.5)
    assert np.asarray(layer(X))[0, 1] == pytest.approx(expected, rel=1e-5)


def test_its_ends_are_the_poolings_of_keras():
    options = {"data_format": "channels_last"}
    for decay, pooling in [
        (0, keras.layers.GlobalMaxPooling2D(**options)),
        (1, keras.layers.GlobalAveragePooling2D(**options)),
    ]:
        layer = GlobalWeightedRankPooling2D(decay, **options)
        np.testing.assert_allclose(
            np.asarray(layer(X)), np.asarray(pooling(X)), rtol=1e-5
        )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"decay": 2}, "Received: decay=2"),
        ({"reference_size": 41.5}, "Received: reference_size=41.5"),
        ({"data_format": "last"}, "Received: data_format='last'"),
    ],
)
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        GlobalWeightedRankPooling2D(**options)
