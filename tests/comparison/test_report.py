"""Where the maps of many images lie: places, groups, findings, the page."""

import html.parser
import sys

import keras
import numpy as np
import pytest

import keras_xmap
from keras_xmap import explainers

pytestmark = pytest.mark.tensorflow

SIZE = 20


class Pixels(explainers.Explainer):
    """The image itself: a map that is known by hand."""

    def compute(self, inputs, target, parts):
        own = self.evaluate(inputs)
        target.resolve(own.scores, parts)
        return inputs[..., 0], {"score_used": own.score_used}


@pytest.fixture(scope="module")
def explainer():
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    return Pixels(model)


@pytest.fixture(scope="module")
def images():
    """30 images of class 0, of which 10 have a tag, and 10 of class 1."""
    draws = np.random.default_rng(0)
    made = np.zeros((40, SIZE, SIZE, 1), "float32")
    for image in made:
        row, column = draws.integers(6, 10, 2)
        image[row : row + 5, column : column + 5] = draws.uniform(
            0.5, 1, (5, 5, 1)
        )
    made[TAGGED] = 0
    made[TAGGED, :3, :3] = draws.uniform(0.5, 1, (10, 3, 3, 1))
    return made


CLASSES = np.array([0] * 30 + [1] * 10)
TAGGED = np.arange(0, 30, 3)


def report(explainer, images, target=CLASSES, **options):
    return keras_xmap.report(
        explainer, images, target, batch_size=16, verbose=0, **options
    )


@pytest.fixture(scope="module")
def found(explainer, images):
    return report(explainer, images, class_names=["cat", "<b>dog</b>"])


def test_shares_are_those_of_a_map_by_hand(explainer):
    image = np.zeros((1, SIZE, SIZE, 1), "float32")
    image[0, 0, 0] = 1  # in the corner, and so at the border
    image[0, 0, 10] = 2  # at the border
    image[0, 10, 10] = 5
    image[0, 11, 11] = -7  # speaks against it
    mask = np.zeros((1, SIZE, SIZE))
    mask[0, 10] = 1
    artifact = np.zeros((SIZE, SIZE))
    artifact[0, 10:] = 1
    found = report(explainer, image, 0, masks=mask, artifact=artifact)
    shares = {name: found.images[name][0] for name in found.places}
    assert shares == pytest.approx(
        {"border": 3 / 8, "corners": 1 / 8, "outside": 3 / 8, "artifact": 2 / 8}
    )
    areas = {name: found.images[f"{name}_area"][0] for name in found.places}
    assert areas == pytest.approx(
        {
            "border": 1 - 0.8**2,
            "corners": 4 * 0.2**2,
            "outside": 0.95,
            "artifact": 10 / 400,
        }
    )
    excess = [(shares[k] - areas[k]) / (1 - areas[k]) for k in shares]
    assert found.images["excess"][0] == pytest.approx(max(excess))
    assert found.images["strongest_half"][0] == 1
    assert found.images["finding"].tolist() == [""]


def test_boxes_stand_for_masks(explainer, images):
    box = np.array([[2, 4, 12, 9]] * len(images))  # x0, y0, x1, y1
    masks = np.zeros((len(images), SIZE, SIZE))
    masks[:, 4:9, 2:12] = 1
    by_box = report(explainer, images, boxes=box)
    by_mask = report(explainer, images, masks=masks)
    np.testing.assert_array_equal(
        by_box.images["outside"], by_mask.images["outside"]
    )


def test_a_planted_shortcut_is_the_first_group(found):
    group = found.clusters[0]
    assert sorted(group["images"]) == TAGGED.tolist()
    assert group["suspect"] == ["border", "corners"]
    assert group["share"] == pytest.approx(1 / 3)
    # Of 12 cells in 20 pixels the tag lies in the first two of each axis.
    assert group["mean_map"][:2, :2].sum() == pytest.approx(1)
    assert not any(x["suspect"] for x in found.clusters[1:])
    assert {x["class"] for x in found.clusters} == {0, 1}


def test_classes_hold_the_means_of_their_images(found):
    first, second = found.classes
    assert (first["images"], second["images"]) == (30, 10)
    shares = found.images["corners"][:30]
    assert first["corners"] == pytest.approx(shares.mean())
    error = 1.959964 * shares.std(ddof=1) / 30**0.5
    assert first["corners_95"] == pytest.approx(
        (shares.mean() - error, shares.mean() + error)
    )
    assert first["corners_dominated"] == pytest.approx(1 / 3)
    assert second["border_dominated"] == 0


def test_the_worst_come_first(found):
    assert set(found.worst[:10]) == set(TAGGED)
    assert len(found.worst) == 12


def test_empty_and_flat_maps_are_said_to_be_so(explainer):
    images = np.ones((3, SIZE, SIZE, 1), "float32")
    images[1] = -1
    images[2, : SIZE // 2] = 4  # four fifths in one half
    found = report(explainer, images, 0)
    flat, empty, neither = found.images["finding"]
    assert empty == "empty: nothing in the image speaks for the class"
    assert flat == "flat: its strongest half of pixels holds 50% of it"
    assert neither == ""
    assert found.images["strongest_half"] == pytest.approx([0.5, 0, 0.8])
    assert found.worst[0] == 1
    (row,) = found.classes
    assert [row["empty"], row["flat"]] == pytest.approx([1 / 3, 1 / 3])
    # An empty map lies nowhere, and is no share of nothing.
    shares = found.images["border"][[0, 2]]
    assert row["border"] == pytest.approx(shares.mean())


def test_alikeness_is_the_cosine_of_square_roots(explainer):
    images = np.zeros((8, SIZE, SIZE, 1), "float32")
    images[:4, 2, 2], images[:4, 12, 12] = 1, 4
    images[4:, 2, 2], images[4:, 12, 12] = 4, 1
    (group,) = report(explainer, images, 0).clusters
    # Of (.2, .8) and (.8, .2) with their mean, (.5, .5).
    assert group["alikeness"] == pytest.approx(0.1**0.5 + 0.4**0.5)


def test_without_a_target_it_is_the_answer_of_the_model(explainer, images):
    answers = explainer.model.predict(images, verbose=0).argmax(axis=-1)
    found = report(explainer, images, None)
    np.testing.assert_array_equal(found.images["class"], answers)


def test_the_answer_is_asked_for_by_the_score_of_the_explainer(images):
    # A mean of two softmaxes, before which there is no one score.
    x = inputs = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.GlobalAveragePooling2D()(x)
    dense = [keras.layers.Dense(3, activation="softmax")(x) for _ in range(2)]
    model = keras.Model(inputs, keras.layers.Average()(dense))
    found = report(Pixels(model, score="output"), images, None)
    answers = model.predict(images, verbose=0).argmax(axis=-1)
    np.testing.assert_array_equal(found.images["class"], answers)
    with pytest.raises(ValueError, match='Pass score="output"'):
        report(Pixels(model), images, None)


def test_datasets_are_read_like_arrays(explainer, images, found):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(images).batch(7)
    streamed = report(explainer, data)
    for name, values in found.images.items():
        np.testing.assert_array_equal(streamed.images[name], values)


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        known = dict(attributes)
        self.sources += [known[k] for k in ("src", "href") if k in known]


def test_the_page_loads_nothing_and_escapes_names(found, tmp_path):
    path = tmp_path / "report.html"
    text = found.to_html(path)
    assert path.read_text("utf-8") == text
    page = _Page()
    page.feed(text)
    assert page.sources
    assert all(x.startswith("data:image/png;base64,") for x in page.sources)
    assert "script" not in page.tags
    assert "<b>dog" not in text
    assert "&lt;b&gt;dog" in text


def test_the_table_has_a_line_for_each_image(found, tmp_path):
    text = found.to_csv(tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text("utf-8") == text
    head, *lines = text.splitlines()
    assert head.startswith("image,class,strongest_half,border,border_area")
    assert len(lines) == 40
    shares = [float(line.split(",")[3]) for line in lines]
    np.testing.assert_array_equal(shares, found.images["border"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"masks": np.ones((40, 5, 5))},
            "size of the maps, .* Received: masks",
        ),
        ({"masks": np.ones((4, SIZE, SIZE))}, "4 masks for 40 images"),
        ({"artifact": np.ones((5, 5))}, "Received: artifact of shape"),
        ({"artifact": np.ones((4, SIZE, SIZE))}, "for 40 maps of size"),
        ({"class_names": ["cat"]}, "1 names and class 1"),
        ({"num_worst": 0}, "num_worst"),
    ],
)
def test_what_does_not_fit_is_refused(explainer, images, options, words):
    with pytest.raises(ValueError, match=words):
        report(explainer, images, **options)


def test_class_names_are_strings_and_may_be_empty(explainer, images):
    with pytest.raises(TypeError, match="Received: class_names="):
        report(explainer, images, class_names=("cat", 1))
    found = report(explainer, images, class_names=["cat", ""])
    assert [row["name"] for row in found.classes] == ["cat", "1"]


def test_a_method_alone_is_no_explainer(images):
    with pytest.raises(TypeError, match="must be one of"):
        keras_xmap.report(explainers.GradCAM, images)


def test_without_scikit_learn_it_says_what_to_install(
    explainer, images, monkeypatch
):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"keras-xmap\[segmentation\]"):
        report(explainer, images)


def test_a_target_of_ones_own_is_one_group_of_its_name(explainer, images):
    found = report(explainer, images, lambda outputs: outputs[:, 1])
    assert found.images["class"].tolist() == [-1] * 40
    assert len(found.classes) == 1
    assert "lambda" in found.classes[0]["name"]
