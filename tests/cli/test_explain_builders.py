"""The command on a saved model of every builder of this package."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xmap import cli
from keras_xmap import explainers
from keras_xmap import models
from keras_xmap import targets

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
SIDE = 16


def backbone():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="first")(
        inputs
    )
    x = keras.layers.Conv2D(5, 3, activation="relu", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="scores")(x))


def trunk():
    model = backbone()
    return keras.Model(model.input, model.get_layer("second").output)


def complementary():
    return models.complementary(trunk(), 3, filters=4)


def with_labels():
    return models.complementary(trunk(), 3, filters=4, label_input=True)


def maps_of_complementary():
    return models.complementary_maps(complementary())


def attention_network():
    return models.attention_network((SIDE, SIDE, 3))


def pixel_attention():
    return models.pixel_attention(backbone(), attention_network())


def fully_convolutional():
    return models.fully_convolutional(backbone(), pooling="position")


def multi_label_classifier():
    return models.multi_label_classifier(trunk(), 3)


def roi_classifier():
    return models.roi_classifier(backbone(), merge_layer="first", merge="add")


def quadtree_decoder():
    model = trunk()
    image, fine = model.input, model.output
    coarse = keras.layers.MaxPooling2D(padding="same")(fine)
    return models.quadtree_decoder(keras.Model(image, [fine, coarse]), 3)


def segmentation_network():
    return models.segmentation_network(trunk(), 3, filters=4)


ON_AXIS_1 = ["--class-axis", "1"]

# What the command needs to be told, and the target of a class 1 in Python.
CASES = {
    complementary: (["--output", "head_b"], targets.Class(1, output=1)),
    with_labels: (["--output", "head_a"], targets.Class(1, output=0)),
    attention_network: ([], targets.MaskedMean(1)),
    pixel_attention: (
        ["--output", "prediction"],
        targets.Class(1, output="prediction"),
    ),
    fully_convolutional: ([], targets.MaskedMean(1)),
    multi_label_classifier: ([], targets.Class(1)),
    roi_classifier: ([], targets.Class(1)),
    segmentation_network: ([], targets.MaskedMean(1)),
}
every_builder = pytest.mark.parametrize(
    "make", CASES, ids=[make.__name__ for make in CASES]
)


def test_every_builder_has_a_case():
    made = {make.__name__ for make in CASES} - {"with_labels"}
    builders = {name for name in models.__all__ if name.islower()}
    # Those have tests of their own.
    assert made == builders - {"complementary_maps", "quadtree_decoder"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3))
    Image.fromarray(pixels.astype("uint8")).save("a.png")
    return tmp_path


def saved(make):
    keras.utils.set_random_seed(1)
    model = make()
    weights = np.random.default_rng(2)
    model.set_weights(
        [weights.normal(0, 0.3, np.shape(w)) for w in model.get_weights()]
    )
    model.save("model.keras")
    return model


def explain(*options, target=1, method="gradcam"):
    return cli.main(
        ["explain", "model.keras", "a.png", "--directory", "out", "--force"]
        + ["--method", method, "--target", str(target), *options]
    )


def data_of(model, mask=None):
    image = keras.utils.img_to_array(Image.open("a.png"))[None]
    inputs = {
        "image": image,
        "mask": np.ones((1, SIDE, SIDE), "float32") if mask is None else mask,
        "label": np.zeros((1, 3), "float32"),
    }
    names = model.input if isinstance(model.input, dict) else None
    return image if names is None else {name: inputs[name] for name in names}


@every_builder
@pytest.mark.parametrize("method", ["gradcam", "saliency"])
def test_the_command_gives_the_map_that_python_gives(
    folder, make, method, capsys
):
    options, target = CASES[make]
    model = saved(make)
    assert explain(*options, method=method) == 0, capsys.readouterr().err
    kind = {"gradcam": explainers.GradCAM, "saliency": explainers.Saliency}
    found = kind[method](model).explain(data_of(model), target, verbose=0)
    found = found["image"] if isinstance(found, dict) else found
    written = np.load(f"out/a.{method}.npy")
    np.testing.assert_allclose(written, found[0], rtol=1e-3, atol=1e-6)
    assert written.shape == (SIDE, SIDE)
    assert "output explained:" in capsys.readouterr().out


def test_maps_without_a_gradient_are_explained_behind_it_or_by_calls(
    folder, capsys
):
    """What `complementary_maps` returns stands behind a `stop_gradient`."""
    model = saved(maps_of_complementary)
    assert explain(*ON_AXIS_1, method="saliency") == 2
    assert "needs no gradient" in capsys.readouterr().err
    assert explain(*ON_AXIS_1, method="rise") == 0
    found = explainers.RISE(model).explain(
        data_of(model), targets.MaskedMean(1, axis=1), verbose=0
    )
    written = np.load("out/a.rise.npy")
    assert written.std() > 1e-3
    np.testing.assert_allclose(written, found[0], rtol=1e-3, atol=1e-5)


def test_masks_that_are_put_together_from_levels_are_explained_as_they_are(
    folder, capsys
):
    """There are several scores before a softmax, as the refusal says."""
    model = saved(quadtree_decoder)
    options = ["--output", "masks"]
    assert explain(*options, method="saliency") == 2
    assert "Pass --score output" in capsys.readouterr().err
    options += ["--score", "output"]
    assert explain(*options, method="saliency") == 0
    target = targets.MaskedMean(1, output="masks")
    explainer = explainers.Saliency(model, score="output")
    maps = explainer.explain(data_of(model), target, verbose=0)
    written = np.load("out/a.saliency.npy")
    np.testing.assert_allclose(written, maps[0], rtol=1e-3, atol=1e-6)
    assert written.max() > 0


def test_complementary_maps_are_weighed_by_how_often_each_wins(folder, capsys):
    """Grad-CAM by hand: the score is the mean of the larger of two maps."""
    model = saved(maps_of_complementary)
    assert explain() == 2
    assert "Expected: `--class-axis 1`" in capsys.readouterr().err
    assert explain(*ON_AXIS_1) == 0
    printed = capsys.readouterr().out
    assert "layers explained: complementary_head/" in printed
    assert (
        "class_maps, the mean over its positions, classes on axis 1" in printed
    )
    head = model.get_layer("complementary_head")
    features = keras.Model(model.input, head.input)(data_of(model)).numpy()
    scores = head.head_a(features).numpy()
    first = scaled(scores)
    named = scores.mean(axis=(0, 1, 2)).argmax()
    kept = first[..., named, None] < head.threshold
    second = scaled(head.head_b(features * kept).numpy())
    wins = (first > second)[..., 1].mean()
    by_hand = wins * first[..., 1] + (1 - wins) * second[..., 1]
    target = targets.MaskedMean(1, axis=1)
    grad_cam = explainers.GradCAM(model, resize=False)
    found = grad_cam.explain(data_of(model), target, verbose=0)
    np.testing.assert_allclose(found * by_hand[0].size, by_hand, atol=1e-6)
    grad_cam = explainers.GradCAM(model)
    found = grad_cam.explain(data_of(model), target, verbose=0)
    np.testing.assert_allclose(np.load("out/a.gradcam.npy"), found[0])


@pytest.mark.parametrize(
    ("size", "classes", "axis", "options", "error"),
    [
        ((12, 18), 3, -1, [], None),
        ((12, 18), 3, 1, [], "--class-axis 1"),
        ((12, 18), 3, 1, ["--class-axis", "1"], None),
        ((12, 18), 3, 1, ["--class-axis", "0"], "behind the batch"),
        ((12, 12), 4, -1, [], None),
        ((None, None), 3, 1, [], "--class-axis 1"),
    ],
)
def test_the_axis_of_classes_is_refused_where_sizes_speak_for_another(
    folder, size, classes, axis, options, error, capsys
):
    inputs = keras.Input((*size, 3))
    x = keras.layers.Conv2D(8, 3, strides=3, activation="relu")(inputs)
    maps = keras.layers.Conv2D(classes, 1)(x)
    if axis == 1:
        maps = keras.layers.Permute((3, 1, 2))(maps)
    keras.Model(inputs, maps).save("model.keras")
    assert explain(*options) == (2 if error else 0)
    assert (error or "") in capsys.readouterr().err


def scaled(maps):
    low = maps.min(axis=(1, 2), keepdims=True)
    return (maps - low) / (maps.max(axis=(1, 2), keepdims=True) - low)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (complementary, r"head_a (None, 3), head_b (None, 3)"),
        (
            pixel_attention,
            "prediction (None, 3), noisy_prediction (None, 3), "
            "noise_mask (None, 16, 16, 1)",
        ),
    ],
    ids=["complementary", "pixel_attention"],
)
def test_where_an_output_must_be_chosen_the_error_lists_them(
    folder, make, names, capsys
):
    saved(make)
    assert explain() == 2
    error = capsys.readouterr().err
    assert f"Received: no `--output`. Outputs: {names}" in error
    assert explain("--output", "heads") == 2
    error = capsys.readouterr().err
    assert f"Received: --output heads. Outputs: {names}" in error
    assert not (folder / "out").exists()


def test_a_map_of_scores_is_explained_for_its_highest_class(folder, capsys):
    model = saved(fully_convolutional)
    status = cli.main(["explain", "model.keras", "a.png", "--directory", "out"])
    assert status == 0
    highest = int(np.mean(model(data_of(model)), axis=(0, 1, 2)).argmax())
    printed = capsys.readouterr().out
    assert f"class {highest} (highest" in printed
    assert "the mean over its positions" in printed


def test_a_mask_says_which_region_is_meant(folder, capsys):
    model = saved(roi_classifier)
    assert explain() == 0
    assert "mask: the whole image" in capsys.readouterr().out
    mask = np.zeros((1, SIDE, SIDE), "float32")
    mask[:, 4:12, 2:9] = 1
    Image.fromarray((255 * mask[0]).astype("uint8")).save("mask.png")
    assert explain("--mask", "mask.png") == 0
    assert "mask: the whole image" not in capsys.readouterr().out
    explainer = explainers.GradCAM(model)
    found = explainer.explain(data_of(model, mask), 1, verbose=0)
    written = np.load("out/a.gradcam.npy")
    np.testing.assert_allclose(written, found[0], rtol=1e-3, atol=1e-6)
    whole = explainer.explain(data_of(model), 1, verbose=0)
    assert np.abs(written - whole[0]).max() > 1e-3


def test_a_mask_for_a_model_without_one_is_refused(folder, capsys):
    saved(multi_label_classifier)
    assert explain("--mask", "a.png") == 2
    assert "Received: --mask a.png" in capsys.readouterr().err
    saved(roi_classifier)
    assert explain("--mask", "a.png", "--mask", "a.png") == 2
    assert "Received: 2 masks for 1 images" in capsys.readouterr().err


def test_inputs_that_the_command_does_not_know_are_listed(folder, capsys):
    image, age = keras.Input((8, 8, 3), name="photo"), keras.Input((1,))
    x = keras.layers.GlobalAveragePooling2D()(image)
    outputs = keras.layers.Concatenate()([x, age])
    keras.Model([image, age], outputs).save("model.keras")
    assert explain() == 2
    error = capsys.readouterr().err
    assert "Received: a model with the inputs photo (None, 8, 8, 3)," in error
