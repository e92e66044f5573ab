"""`show`, `slice_panel` and `trace`: maps of images, volumes and signals."""

import sys

import numpy as np
import pytest

from keras_xmap.visualization import overlay
from keras_xmap.visualization import panel
from keras_xmap.visualization import show
from keras_xmap.visualization import slice_panel
from keras_xmap.visualization import to_uint8
from keras_xmap.visualization import trace

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(size=(2, 6, 8, 3))
MAPS = GENERATOR.uniform(size=(2, 3, 4))
SIGNAL = GENERATOR.normal(size=(20, 2))


@pytest.fixture
def plots(monkeypatch):
    """Matplotlib without a display; figures are closed."""
    matplotlib = pytest.importorskip("matplotlib")
    backend = matplotlib.get_backend()
    matplotlib.use("Agg")
    yield pytest.importorskip("matplotlib.pyplot")
    sys.modules["matplotlib.pyplot"].close("all")
    matplotlib.use(backend)


def pictures(axes):
    return [cell.images[0].get_array() for cell in axes]


def test_each_image_is_shown_beside_its_map(plots):
    axes = show(IMAGES, MAPS, ["cat", "dog"], alpha=0.3, colormap="magma")
    assert axes.shape == (2, 2)
    for number, row in enumerate(axes):
        plain, laid = pictures(row)
        np.testing.assert_array_equal(plain, to_uint8(IMAGES[number]))
        expected = overlay(IMAGES[number], MAPS[number], 0.3, "magma")
        np.testing.assert_array_equal(laid, expected)
    assert [row[0].get_title() for row in axes] == ["cat", "dog"]
    (bar,) = [x for x in axes[0, 0].figure.axes if x not in axes]
    words = [text.get_text() for text in bar.get_yticklabels()]
    assert words == ["lowest", "highest"]
    axes[0, 0].figure.savefig("/dev/null", format="png")


def test_methods_and_classes_have_a_column_each(plots):
    axes = show(list(IMAGES), {"CAM": MAPS, "LayerCAM": -MAPS}, signed=True)
    assert [cell.get_title() for cell in axes[0]] == ["", "CAM", "LayerCAM"]
    expected = overlay(IMAGES[1], -MAPS[1], signed=True)
    np.testing.assert_array_equal(pictures(axes[1])[2], expected)
    axes = show(IMAGES, np.stack([MAPS, MAPS[::-1]], axis=1))
    assert axes.shape == (2, 3)
    expected = overlay(IMAGES[0], MAPS[1])
    np.testing.assert_array_equal(pictures(axes[0])[2], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGES, MAPS[0]), r"maps.shape=\(3, 4\). For one image pass"),
        ((IMAGES, MAPS[:1]), "2 images and 1 of maps"),
        ((IMAGES, MAPS, ["cat"]), "titles of 1 in a list"),
        ((IMAGES, {}), "2 images and no maps"),
        (([], MAPS[:0]), "0 images and 0 of maps"),
        ((IMAGES, {"a": MAPS[:, None]}), r"maps.shape=\(2, 1, 3, 4\)"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        show(*arguments)


def test_without_matplotlib_it_is_told_how_to_come_by(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (lambda: show(IMAGES, MAPS), lambda: trace(SIGNAL, SIGNAL)):
        with pytest.raises(ImportError, match=r"keras-xmap\[plots\]"):
            draw()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_a_volume_are_on_one_scale(axis):
    volume = GENERATOR.integers(0, 256, (4, 6, 8)).astype("uint8")
    heatmap = np.zeros((4, 6, 8))
    heatmap[:2, :3, :4], heatmap[0, 0, 0] = 1.0, 2.0
    found = slice_panel(volume, heatmap, axis, num_slices=2)
    chosen = [volume.shape[axis] // 4, 3 * volume.shape[axis] // 4]
    plain = [to_uint8(volume.take(n, axis)) for n in chosen]
    # Half as strong as the highest value anywhere: 0.375 of its colour.
    mark = np.where(heatmap.take(chosen[0], axis)[..., None] == 1, 0.375, 0.0)
    laid = (1 - mark) * plain[0] + mark * np.array([33, 145, 140])
    laid = np.round(laid).astype("uint8")
    expected = panel([plain, [laid, plain[1]]], [str(n) for n in chosen])
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.max() <= 1


def test_all_slices_of_a_thin_volume_are_shown():
    volume = GENERATOR.uniform(size=(2, 9, 9, 3))
    picture = slice_panel(volume, np.zeros((2, 9, 9)))
    # Titles make the cells wider than a digit needs.
    expected = panel([list(volume)] * 2, ["0", "1"])
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": 3}, "axis=3"),
        ({"num_slices": 0}, "num_slices=0"),
        ({"heatmap": np.ones((1, 2, 3, 3))}, r"shape=\(1, 2, 3, 3\). Index"),
        ({"heatmap": np.ones((2, 3, 4))}, r"heatmap.shape=\(2, 3, 4\)"),
    ],
)
def test_a_volume_that_cannot_be_shown_is_refused(options, message):
    arguments = {"volume": np.ones((2, 3, 3)), "heatmap": np.ones((2, 3, 3))}
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        slice_panel(**{**arguments, **options})


def test_a_signal_is_drawn_over_its_map(plots):
    heatmap = np.arange(20.0)
    times = np.linspace(0, 2, 20) ** 2
    axes = trace(SIGNAL, heatmap, times, ["I", "II"])
    for cell, values, title in zip(axes, SIGNAL.T, ["I", "II"], strict=True):
        for line in cell.lines:
            np.testing.assert_array_equal(line.get_xdata(), times)
            np.testing.assert_array_equal(line.get_ydata(), values)
        (mesh,) = cell.collections
        shares = np.asarray(mesh.get_array()).ravel()
        np.testing.assert_allclose(shares, heatmap / 19)
        assert cell.get_title(loc="left") == title
    axes[0].figure.savefig("/dev/null", format="png")


def test_an_attribution_has_a_background_for_each_channel(plots):
    axes = trace(SIGNAL, SIGNAL, signed=True)
    for cell, values in zip(axes, SIGNAL.T, strict=True):
        shares = np.asarray(cell.collections[0].get_array()).ravel()
        expected = 0.5 + 0.5 * values / np.abs(SIGNAL).max()
        np.testing.assert_allclose(shares, expected)


def test_a_constant_signal_of_one_step_is_drawn(plots):
    (axes,) = trace([3.0], [0.0])
    assert axes.get_ylim() == (2.0, 4.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal": np.ones((1, 4, 2))}, r"shape=\(1, 4, 2\). Index"),
        ({"heatmap": np.ones(3)}, r"\(3, 1\) for a signal of \(4, 2\)"),
        ({"heatmap": np.ones((4, 3))}, r"\(4, 3\) for a signal"),
        ({"times": np.zeros(4)}, r"times.shape=\(4,\) for 4 steps"),
        ({"titles": ["a"]}, "titles of 1 in a list"),
    ],
)
def test_a_signal_that_cannot_be_drawn_is_refused(options, message):
    arguments = {"signal": np.ones((4, 2)), "heatmap": np.ones(4)}
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        trace(**{**arguments, **options})
