"""Where positions lie: by hand, and against the gradient of single ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from engine.graph_cases import traced
from keras import layers
from keras import ops

from keras_xmap import engine

pytestmark = pytest.mark.tensorflow

POSITIVE = keras.initializers.Ones()


def chain(size, *parts):
    inputs = x = keras.Input((*size, 2))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, layers.Identity(name="end")(x))


def geometry_of(model, x, layer="end"):
    """Returns the geometry, and the gradient of single positions."""
    found = []

    def follow(x):
        evaluation = engine.evaluate(model, x, "output")
        call = evaluation.layer_call(layer, None)
        found.append(
            evaluation.geometry(
                call.outputs, evaluation.inputs, "channels_last"
            )
        )
        maps = found[0].arrange(call.outputs)
        places = [(0,) * (len(maps.shape) - 2), tuple(found[0].positions)]
        places[1] = tuple(n // 2 for n in places[1])
        gradients = [
            tf.gradients(tf.reduce_sum(maps[(0, *place)]), evaluation.inputs)[0]
            for place in places
        ]
        return dict(zip(map(str, places), gradients, strict=True))

    gradients = traced(follow, x)
    return found[0], {
        tuple(map(int, key.strip("(),").split(","))): value
        for key, value in gradients.items()
    }


def conv(size, strides=1, padding="valid", **options):
    return layers.Conv2D(
        3, size, strides, padding, kernel_initializer=POSITIVE, **options
    )


def transposed(size, strides, padding="valid"):
    return layers.Conv2DTranspose(
        2, size, strides, padding, kernel_initializer=POSITIVE
    )


# The middles of what positions see, by hand, for rows of a 12 x 9 input.
BY_HAND = {
    "valid": ([conv(3)], np.arange(1, 11)),
    "valid strides": ([conv(3, 2)], [1, 3, 5, 7, 9]),
    # An even length is padded below only: 1 of 1, so the first sees 0, 1, 2.
    "same strides": ([conv(3, 2, "same")], [1, 3, 5, 7, 9, 11]),
    "same": ([conv(5, 1, "same")], np.arange(12)),
    "even kernel": ([conv(2, 2)], [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]),
    "two strides": ([conv(3, 2), conv(2, 2)], [2, 6]),
    "dilation": ([conv(3, dilation_rate=2)], np.arange(2, 10)),
    "pooling": ([layers.MaxPooling2D(5)], [2, 7]),
    "crop": ([layers.Cropping2D((3, 0))], np.arange(3, 9)),
    "padding": ([layers.ZeroPadding2D((2, 0))], np.arange(-2, 14)),
    "flip": ([lambda x: ops.flip(x, 1)], np.arange(12)[::-1]),
    "roll": ([lambda x: ops.roll(x, 2, 1)], [10, 11, *range(10)]),
    "slice": ([lambda x: x[:, 1:9:3]], [1, 4, 7]),
    "enlarged": ([layers.UpSampling2D((2, 1))], np.arange(24) / 2 - 0.25),
    "transposed": ([conv(2, 2), transposed(2, 2)], np.arange(12)),
    "patches": (
        [
            layers.Reshape((4, 3, 9, 2)),
            layers.Permute((1, 3, 2, 4)),
            layers.Reshape((4, 9, 6)),
            layers.Dense(2),
        ],
        [1, 4, 7, 10],
    ),
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_centres_by_hand(kind):
    parts, expected = BY_HAND[kind]
    geometry, _ = geometry_of(
        chain((12, 9), *parts), np.ones((2, 12, 9, 2), "float32")
    )
    np.testing.assert_allclose(geometry.centres[0], expected, atol=1e-6)


WINDOWS = {
    "same, odd size": ((11, 8), [conv(3, 2, "same"), conv(4, 2, "same")]),
    "same, even size": ((12, 9), [conv(3, 2, "same"), conv(5, 3, "same")]),
    "valid": ((13, 9), [conv(3, 2), conv(2)]),
    "dilation": ((13, 11), [conv(3, dilation_rate=2), conv(3)]),
    "same dilation": ((13, 11), [conv(3, 1, "same", dilation_rate=3)]),
    "padding": ((9, 8), [layers.ZeroPadding2D(((2, 1), (0, 3))), conv(3, 2)]),
    "transposed": ((6, 5), [transposed(3, 2), conv(3)]),
    "transposed, same": ((6, 5), [transposed(4, 2, "same")]),
    "depthwise": (
        (9, 8),
        [
            layers.DepthwiseConv2D(
                3, 2, "same", 2, depthwise_initializer=POSITIVE
            )
        ],
    ),
    "average": ((9, 8), [layers.AveragePooling2D(3, 2, "same")]),
    "crop, then padding": (
        (12, 9),
        [layers.Cropping2D(3), layers.ZeroPadding2D(2), conv(3)],
    ),
    "bilinear": ((6, 5), [layers.UpSampling2D(3, interpolation="bilinear")]),
    "smaller": ((12, 9), [layers.Resizing(5, 4), conv(2)]),
    "smoothed": ((12, 9), [layers.Resizing(5, 4, antialias=True)]),
    "three axes": (
        (6, 7, 8),
        [layers.Conv3D(2, 3, 2, "same", kernel_initializer=POSITIVE)],
    ),
    "one axis": (
        (15,),
        [
            layers.Conv1D(
                2,
                3,
                padding="causal",
                dilation_rate=2,
                kernel_initializer=POSITIVE,
            ),
            layers.Conv1DTranspose(2, 4, 2, kernel_initializer=POSITIVE),
        ],
    ),
}


@pytest.mark.parametrize("kind", WINDOWS)
def test_what_a_position_sees_is_where_it_has_a_gradient(kind):
    size, parts = WINDOWS[kind]
    x = np.random.default_rng(0).uniform(1, 2, (2, *size, 2)).astype("float32")
    geometry, gradients = geometry_of(chain(size, *parts), x)
    assert len(gradients) == 2
    for place, gradient in gradients.items():
        for axis in range(len(size)):
            others = tuple(n for n in range(len(size) + 1) if n != axis)
            seen = np.flatnonzero((gradient[0] != 0).any(axis=others))
            bounds = geometry.bounds[axis][:, place[geometry.axes[axis]]]
            if len(seen):
                assert (seen[0], seen[-1]) == tuple(bounds)
            else:
                assert np.isnan(bounds).all()


def test_a_map_of_half_pixel_places_is_laid_as_it_would_be_resized():
    import keras_xmap

    geometry, _ = geometry_of(
        chain((12, 9), layers.AveragePooling2D((2, 3))),
        np.ones((2, 12, 9, 2), "float32"),
    )
    maps = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    expected = keras_xmap.ops.resize(maps[..., None], (12, 9))[..., 0]
    np.testing.assert_allclose(geometry.lay(maps), expected, atol=1e-6)
    finer = keras_xmap.ops.resize(maps[..., None], (24, 27))[..., 0]
    np.testing.assert_allclose(geometry.lay(maps, (24, 27)), finer, atol=1e-6)


def test_nothing_is_laid_where_nothing_looks():
    geometry, _ = geometry_of(
        chain((12, 9), layers.Cropping2D(((3, 2), (4, 1))), conv(2, 2)),
        np.ones((2, 12, 9, 2), "float32"),
    )
    laid = np.asarray(geometry.lay(np.ones((1, 3, 2), "float32")))[0]
    expected = np.zeros((12, 9))
    expected[3:9, 4:8] = 1  # of 7 rows, the last is never read
    np.testing.assert_array_equal(laid, expected)


def test_positions_of_padding_alone_are_cut():
    geometry, _ = geometry_of(
        chain((4, 4), layers.ZeroPadding2D(2)), np.ones((2, 4, 4, 2), "float32")
    )
    maps = np.full((1, 8, 8), 9.0, "float32")
    maps[0, 2:6, 2:6] = np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(
        geometry.lay(maps)[0], np.arange(16).reshape(4, 4)
    )
