import keras
import numpy as np
import pytest
from skimage import measure

from keras_xmap.metrics import MaxBoxAccuracy
from keras_xmap.ops import normalize
from keras_xmap.segmentation import boxes as boxes_of


def accuracy(boxes, maps, **options):
    return float(MaxBoxAccuracy(**options)(np.array(boxes), np.array(maps)))


def box_map(box, size=(20, 30), value=1.0):
    x0, y0, x1, y1 = box
    heatmap = np.zeros(size)
    heatmap[y0:y1, x0:x1] = value
    return heatmap


@pytest.mark.parametrize("box", [(5, 3, 15, 9), (0, 0, 30, 19), (7, 7, 8, 8)])
def test_the_map_of_the_box_itself_reaches_one_at_every_threshold(box):
    metric = MaxBoxAccuracy(iou=0.99)
    metric.update_state(np.array([box]), box_map(box)[None])
    assert float(metric.result()) == 1.0
    np.testing.assert_array_equal(metric.accuracies, np.ones(100))


def test_a_hit_needs_the_overlap_itself_and_no_more():
    boxes, maps = [(2, 2, 6, 6)], [box_map((0, 0, 4, 4))]  # 1/7
    assert accuracy(boxes, maps, iou=1 / 7 - 1e-6) == 1
    assert accuracy(boxes, maps, iou=1 / 7 + 1e-6) == 0
    assert accuracy([(0, 0, 2, 1)], [box_map((0, 0, 1, 1))], iou=0.5) == 1


def test_the_threshold_is_that_of_all_images_never_of_each():
    """One image needs the core of its map, the other one all of it."""
    core = box_map((2, 2, 20, 18), value=0.3) + box_map((8, 8, 12, 12))
    boxes = [(8, 8, 12, 12), (2, 2, 20, 18)]
    metric = MaxBoxAccuracy()
    metric.update_state(np.array(boxes), np.stack([core, core]))
    assert float(metric.result()) == 0.5
    for box in boxes:
        assert accuracy([box], [core]) == 1
    assert metric.best_threshold == 0.0
    # 0.3 / 1.3 of the peak is 0.2308: strictly above 0.23, not above 0.24.
    assert metric.accuracies.tolist() == [0.5] * 100


def test_the_best_threshold_is_the_lowest_of_the_best():
    core = box_map((2, 2, 20, 18), value=0.3) + box_map((8, 8, 12, 12))
    metric = MaxBoxAccuracy()
    metric.update_state(np.array([(8, 8, 12, 12)]), core[None])
    assert metric.best_threshold == 0.24
    np.testing.assert_array_equal(metric.accuracies, [0] * 24 + [1] * 76)


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_maps_are_brought_to_a_common_scale(scale):
    core = box_map((2, 2, 20, 18), value=0.3) + box_map((8, 8, 12, 12))
    metric = MaxBoxAccuracy()
    metric.update_state(np.array([(8, 8, 12, 12)]), scale * core[None])
    assert metric.best_threshold == 0.24


def test_normalised_maps_give_the_published_number():
    """Choe et al. shift each map to a minimum of 0 first."""
    core = box_map((2, 2, 20, 18), value=0.3) + box_map((8, 8, 12, 12))
    maps, box = 5 + core[None], np.array([(8, 8, 12, 12)])
    metric = MaxBoxAccuracy()
    metric.update_state(box, normalize(maps))
    assert metric.best_threshold == 0.24
    metric.reset_state()
    metric.update_state(box, maps)
    assert metric.best_threshold == 0.85  # above 5.3 / 6.3


@pytest.mark.slow
def test_it_measures_the_boxes_of_segmentation():
    rng = np.random.default_rng(0)
    maps = rng.random((4, 9, 11)).astype("float32") ** 3
    metric = MaxBoxAccuracy(iou=0.999, num_thresholds=4, components="all")
    for index, threshold in enumerate((0.0, 0.25, 0.5, 0.75)):
        for components in ("largest", "all"):
            found = boxes_of(maps, threshold, components)
            metric.reset_state()
            for box, heatmap in zip(found, maps, strict=True):
                metric.update_state(box[None], heatmap[None])
            assert metric.accuracies[index] == 1


def test_the_largest_component_is_that_of_most_pixels_not_of_the_largest_box():
    heatmap = box_map((0, 0, 5, 5))  # 25 pixels
    heatmap[8:18, 20] = heatmap[17, 8:21] = 1  # 22 pixels in a larger box
    assert accuracy([(0, 0, 5, 5)], [heatmap]) == 1
    assert accuracy([(8, 8, 21, 18)], [heatmap]) == 0
    assert accuracy([(8, 8, 21, 18)], [heatmap], components="all") == 1


def test_components_are_8_connected():
    diagonal = np.zeros((10, 10))
    diagonal[range(2, 8), range(2, 8)] = 1
    assert accuracy([(2, 2, 8, 8)], [diagonal], iou=0.99) == 1


def test_any_object_of_the_image_may_be_found():
    padding = (-1, -1, -1, -1)
    boxes = [
        [(0, 0, 3, 3), (5, 3, 15, 9), padding],
        [(0, 0, 3, 3), padding, padding],
    ]
    maps = [box_map((5, 3, 15, 9))] * 2
    assert accuracy(boxes, maps) == 0.5


def test_images_without_an_object_are_left_out():
    boxes = [(5, 3, 15, 9), (-1, -1, -1, -1)]
    assert accuracy(boxes, [box_map((5, 3, 15, 9))] * 2) == 1
    assert accuracy([boxes[1]], [box_map((5, 3, 15, 9))]) == 0


def test_a_box_without_extent_is_never_hit():
    heatmap = box_map((5, 3, 15, 9))
    assert accuracy([(5, 3, 5, 9)], [heatmap], iou=0.01) == 0


def test_maps_without_a_positive_value_are_misses_and_count():
    boxes, heatmap = [(0, 0, 30, 20)] * 2, box_map((0, 0, 29, 20))
    for value in (0.0, -1.0):
        assert accuracy(boxes, [heatmap, np.full((20, 30), value)]) == 0.5
    # A flat map above 0 says: everywhere.
    assert accuracy(boxes, [heatmap, np.full((20, 30), 3.0)]) == 1


def test_several_overlaps_have_thresholds_of_their_own():
    """As MaxBoxAccV2: the mean of the best accuracies."""
    core = box_map((2, 2, 20, 18), value=0.3) + box_map((2, 2, 10, 18))
    metric = MaxBoxAccuracy(iou=[0.3, 0.6, 0.9])
    metric.update_state(
        np.array([(2, 2, 16, 18), (2, 2, 10, 18)]), np.stack([core] * 2)
    )
    # Low thresholds box 18 columns, high ones 8, of objects with 14 and 8.
    np.testing.assert_allclose(metric.accuracies[:, 0], [1, 0.5, 0])
    np.testing.assert_allclose(metric.accuracies[:, 50], [1, 0.5, 0.5])
    assert float(metric.result()) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert metric.best_threshold == [0.0, 0.0, 0.24]


def iou(box, other):
    """Over sets of pixels: slow, and without a formula to get wrong."""
    one, two = (
        {(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])}
        for b in (box, other)
    )
    return len(one & two) / len(one | two)


@pytest.mark.parametrize("components", ["largest", "all"])
def test_it_equals_the_definition_on_random_maps(components):
    rng = np.random.default_rng(0)
    maps = rng.random((12, 9, 11))
    maps = (maps + np.roll(maps, 1, 1) + np.roll(maps, 1, 2)) ** 2
    maps = maps.astype("float32").astype("float64")
    corners = np.sort(rng.integers(0, 9, (12, 2, 2, 2)), axis=2)
    boxes = (corners + [[0], [1]]).reshape(12, 2, 4)
    hits = np.zeros((12, 20))
    for i, heatmap in enumerate(maps):
        for k in range(20):
            region = heatmap > k / 20 * heatmap.max()
            labels = measure.label(region, connectivity=2)
            found = []
            for part in measure.regionprops(labels):
                y0, x0, y1, x1 = part.bbox
                best = max(iou([x0, y0, x1, y1], box) for box in boxes[i])
                found.append((part.area, -part.label, best))
            if components == "largest":
                hits[i, k] = max(found)[-1] >= 0.4
            else:
                hits[i, k] = max(best for *_, best in found) >= 0.4
    metric = MaxBoxAccuracy(iou=0.4, num_thresholds=20, components=components)
    metric.update_state(boxes[:5], maps[:5])
    metric.update_state(boxes[5:], maps[5:])
    np.testing.assert_allclose(metric.accuracies, hits.mean(0), rtol=1e-6)
    assert 0 < float(metric.result()) < 1
    assert float(metric.result()) == pytest.approx(hits.mean(0).max())


def test_sample_weights_weigh_images():
    metric = MaxBoxAccuracy()
    maps = np.stack([box_map((5, 3, 15, 9))] * 2)
    boxes = np.array([(5, 3, 15, 9), (20, 10, 26, 16)])
    metric.update_state(boxes, maps, sample_weight=[3.0, 1.0])
    assert float(metric.result()) == 0.75


def test_reset_forgets():
    metric = MaxBoxAccuracy()
    heatmap = box_map((5, 3, 15, 9))[None]
    metric.update_state(np.array([(20, 10, 26, 16)]), heatmap)
    assert float(metric.result()) == 0
    metric.reset_state()
    metric.update_state(np.array([(5, 3, 15, 9)]), heatmap)
    assert float(metric.result()) == 1


def test_it_prints_as_the_call_that_makes_it():
    assert repr(MaxBoxAccuracy(iou=[0.3, 0.5], dtype="float64")) == (
        "MaxBoxAccuracy(iou=[0.3, 0.5], num_thresholds=100, "
        "components='largest', name='max_box_accuracy', dtype='float64')"
    )


def test_the_config_makes_an_equal_metric():
    for iou in (0.3, [0.3, 0.5]):
        metric = MaxBoxAccuracy(iou, 10, "all", name="boxes", dtype="float64")
        config = keras.saving.serialize_keras_object(metric)
        assert config["registered_name"] == "keras_xmap>MaxBoxAccuracy"
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == metric.get_config()
        assert again.iou == iou


def test_evaluate_takes_it_where_it_runs_eagerly():
    heatmap = box_map((5, 3, 15, 9)).astype("float32")
    boxes = np.array([(5, 3, 15, 9), (20, 10, 26, 16)], "float32")
    inputs = keras.Input((20, 30))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    metric = MaxBoxAccuracy()
    data = np.stack([heatmap, heatmap]), boxes

    def no_loss(y_true, y_pred):
        return 0.0 * keras.ops.sum(y_pred, axis=(1, 2))

    model.compile(loss=no_loss, metrics=[metric], run_eagerly=True)
    if keras.backend.backend() != "jax":  # where Keras traces all metrics
        results = model.evaluate(*data, verbose=0, return_dict=True)
        assert results["max_box_accuracy"] == 0.5
    if keras.backend.backend() != "torch":  # where Keras compiles nothing
        model.compile(loss=no_loss, metrics=[metric], jit_compile=False)
        with pytest.raises(ValueError, match="with `run_eagerly=True`"):
            model.evaluate(*data, verbose=0)


BAD = [
    ({"iou": 0}, "Received: iou=0"),
    ({"iou": [0.5, 1.0]}, "Received: iou=1.0"),
    ({"iou": []}, r"Received: iou=\[\]"),
    ({"num_thresholds": 0}, "Received: num_thresholds=0"),
    ({"components": "best"}, "Received: components='best'"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        MaxBoxAccuracy(**options)


MAP = box_map((5, 3, 15, 9))[None]
CALLS = {
    "an end outside the map": (
        [[5, 3, 31, 8]],
        MAP,
        r"Received: \[5.0, 3.0, 31",
    ),
    "corners exchanged": ([[14, 3, 5, 8]], MAP, r"Received: \[14.0, 3.0, 5.0"),
    "a half empty row": ([[-1, 3, 5, 8]], MAP, r"Received: \[-1.0, 3.0, 5.0"),
    "NaN in a box": ([[np.nan, 3, 5, 8]], MAP, r"Received: \[nan, 3.0"),
    "another number of images": (
        [[5, 3, 14, 8]] * 2,
        MAP,
        r"Received: y_true.shape=\(2, 4\), y_pred.shape=\(1, 20, 30\)",
    ),
    "masks": (MAP, MAP, r"Received: y_true.shape=\(1, 20, 30\)"),
    "channels": ([[5, 3, 14, 8]], MAP[..., None], r"y_pred.shape=\(1, 20, 30"),
    "maps of NaN": ([[5, 3, 14, 8]], MAP * np.nan, "Received: y_pred with NaN"),
}


@pytest.mark.parametrize("case", CALLS)
def test_boxes_and_maps_that_do_not_fit_are_refused(case):
    boxes, maps, message = CALLS[case]
    metric = MaxBoxAccuracy()
    with pytest.raises(ValueError, match=message):
        metric.update_state(np.array(boxes), maps)
    assert float(metric.weight) == 0
