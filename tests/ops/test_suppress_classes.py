import numpy as np
import pytest

from keras_xmap.ops import suppress_classes

RNG = np.random.default_rng(0)
MAPS = RNG.dirichlet(np.ones(4), (2, 3, 5)).astype("float32")
CLASSES = RNG.uniform(size=(2, 3)).astype("float32")


def test_two_pixels_by_hand():
    maps = np.reshape([0.5, 0.3, 0.2, 0.3, 0.25, 0.45], (1, 1, 2, 3))
    y = np.asarray(suppress_classes(maps, np.array([[0.9, 0.1]])))
    expected = np.reshape([0.5, 0.27, 0.02, 0.3, 0.225, 0.045], maps.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert maps.argmax(-1).tolist() == [[[0, 2]]]
    assert y.argmax(-1).tolist() == [[[0, 0]]]


def test_all_classes_leave_and_none_take_everything():
    np.testing.assert_allclose(suppress_classes(MAPS, np.ones((2, 3))), MAPS)
    y = np.asarray(suppress_classes(MAPS, np.zeros((2, 3))))
    assert (y.argmax(-1) == 0).all()
    np.testing.assert_allclose(y[..., 0], MAPS[..., 0])


def test_channels_first_is_the_same():
    first = np.moveaxis(MAPS, -1, 1)
    y = np.asarray(suppress_classes(first, CLASSES, "channels_first"))
    expected = np.asarray(suppress_classes(MAPS, CLASSES))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), expected)


@pytest.mark.parametrize(
    "maps, classes",
    [(MAPS, np.ones((2, 4))), (MAPS[0], CLASSES[0]), (MAPS, np.ones(3))],
)
def test_shapes_that_do_not_fit_are_named(maps, classes):
    with pytest.raises(ValueError, match=r"Received: maps.shape=\("):
        suppress_classes(maps, classes)
