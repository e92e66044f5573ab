"""Maps averaged over resized and mirrored views of the images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import assert_close
from explainers.networks import randomize
from keras import layers
from keras import ops
from reference.half_pixel import resize

from keras_xmap import explainers
from keras_xmap import models
from keras_xmap import targets

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SIZE = (12, 10)
X = np.random.default_rng(0).normal(size=(3, *SIZE, 3)).astype("float32")


def network(size=(None, None), head=layers.GlobalAveragePooling2D):
    inputs = keras.Input((*size, 3))
    x = layers.Conv2D(4, 3, activation="relu", padding="same", name="first")(
        inputs
    )
    x = layers.Conv2D(5, 3, activation="relu", name="last")(x)
    model = keras.Model(inputs, layers.Dense(4, name="dense")(head()(x)))
    randomize(model, 0.5, 0.05)
    return model


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def grad_cam(model):
    return explainers.GradCAM(model)


def flatten_model(weights, bias=0.0):
    """A linear score of the pixels of a 2 x 2 image, one set a class."""
    weights = np.asarray(weights, "float32")
    result = keras.Sequential(
        [keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(len(weights))]
    )
    bias = np.broadcast_to(np.float32(bias), len(weights))
    result.set_weights([weights.reshape(len(weights), 4).T, bias])
    return result


def seen(images, scale, mirrored):
    size = [round(scale * n) for n in images.shape[1:3]]
    shown = np.stack([resize(x, size) for x in images]).astype("float32")
    return shown[:, :, ::-1] if mirrored else shown


def back(maps, size, mirrored):
    maps = maps[:, :, ::-1] if mirrored else maps
    return np.stack([resize(x, size) for x in maps])


VIEWS = [1, (1.5, "mirror"), 0.75]
PAIRS = [(1, False), (1.5, True), (0.75, False)]
METHODS = {
    "GradCAM": explainers.GradCAM,
    "LayerCAM": lambda model: explainers.LayerCAM(model, ["first", "last"]),
    "Saliency": explainers.Saliency,
    "GradientInput": lambda model: explainers.GradientInput(model, None),
    "Occlusion": lambda model: explainers.Occlusion(model, 4),
    "DistinctClassSaliency": lambda model: explainers.DistinctClassSaliency(
        model, scales=(1,), candidates=None
    ),
}
DAILY = ("GradCAM", "GradientInput")  # a map, and an attribution


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in DAILY else pytest.mark.slow)
        for name in METHODS
    ],
)
def test_maps_are_the_mean_of_raw_maps_brought_back_one_by_one(name, model):
    explainer = METHODS[name](model)
    target = np.array([1, 3, 0])
    expected = np.mean(
        [
            back(
                explainer.explain(seen(X, scale, mirrored), target),
                SIZE,
                mirrored,
            )
            for scale, mirrored in PAIRS
        ],
        axis=0,
    )
    assert_close(explainer.explain(X, target, views=VIEWS), expected, 1e-5)


def test_the_image_as_it_is_needs_no_views_to_the_last_bit(grad_cam):
    expected = grad_cam.explain(X, 1)
    traces = grad_cam._runner.num_traces
    for views in ([1], (1.0,), [np.float32(1)]):
        np.testing.assert_array_equal(
            grad_cam.explain(X, 1, views=views), expected
        )
    assert grad_cam._runner.num_traces == traces
    twice = grad_cam.explain(X, 1, views=[1, 1])
    np.testing.assert_array_equal(twice, expected)


def test_the_mirrored_derivatives_of_a_linear_score_by_hand():
    saliency = explainers.Saliency(flatten_model([[1, 2, 3, 4], [0, 0, 0, 8]]))
    x = np.ones((1, 2, 2, 1), "float32")
    maps = saliency.explain(x, [[0, 1]], views=[1, "mirror"])
    np.testing.assert_allclose(maps[0, 0], [[1.5, 1.5], [3.5, 3.5]])
    np.testing.assert_allclose(maps[0, 1], [[0, 0], [4, 4]])
    # Three views of which two are mirrored: (w + 2 mirrored w) / 3.
    maps = saliency.explain(x, 0, views=[1, "mirror", "mirror"])
    np.testing.assert_allclose(maps[0], np.array([[5, 4], [11, 10]]) / 3)


def test_a_model_that_is_its_own_mirror_image_gains_nothing_from_one():
    symmetric = network()
    for name in ("first", "last"):
        kernel, bias = symmetric.get_layer(name).get_weights()
        kernel = (kernel + kernel[:, ::-1]) / 2
        symmetric.get_layer(name).set_weights([kernel, bias])
    grad_cam = explainers.GradCAM(symmetric)
    plain = grad_cam.explain(X, 1)
    assert_close(grad_cam.explain(X, 1, views=["mirror"]), plain, 1e-5)
    assert_close(grad_cam.explain(X, 1, views=[1, "mirror"]), plain, 1e-5)


def test_all_views_explain_what_the_model_answers_to_the_image_itself():
    # The mirrored image is a 1, the image itself a 0.
    saliency = explainers.Saliency(flatten_model([[5, 0, 0, 0], [0, 4, 0, 0]]))
    x = np.array([[[[1.0], [0.0]], [[0.0], [0.0]]]], "float32")
    maps = saliency.explain(x, views=["mirror"])
    np.testing.assert_allclose(maps[0], [[0, 5], [0, 0]])


def test_distinct_class_saliency_of_score_maps_answers_likewise():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="hidden")(inputs)
    scores = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    randomize(scores, 0.5)
    dcsm = explainers.DistinctClassSaliency(
        scores,
        "hidden",
        scales=(1,),
        candidates=None,
        relu_rule="standard",
    )
    top = scores.predict(X, verbose=0).max(axis=(1, 2)).argmax(axis=-1)
    expected = dcsm.explain(X, top, views=VIEWS)
    assert_close(dcsm.explain(X, views=VIEWS), expected)


def test_a_call_in_the_users_function_and_batches_are_as_explain(grad_cam):
    expected = grad_cam.explain(X, 2, views=VIEWS, batch_size=2)
    inside = tf.function(lambda x: grad_cam(x, 2, views=VIEWS))
    assert_close(inside(X).numpy(), expected, 1e-5)
    batches = grad_cam.explain_batches(X, 2, batch_size=1, views=VIEWS)
    assert_close(np.concatenate(list(batches)), expected, 1e-5)
    data = tf.data.Dataset.from_tensor_slices((X, [2, 2, 2])).batch(2)
    of_labels = grad_cam.explain(data, "labels", views=VIEWS)
    assert_close(of_labels, expected, 1e-5)
    assert grad_cam.layers_used == ["last"]


def test_views_are_explained_on_all_replicas(strategy, grad_cam):
    with strategy.scope():
        replicated = network()
    maps = explainers.GradCAM(replicated).explain(X, 1, views=VIEWS)
    assert_close(maps, grad_cam.explain(X, 1, views=VIEWS), 1e-5)


def test_sizes_that_are_unknown_while_tracing_are_scaled_too(model):
    saliency = explainers.Saliency(model)
    signature = [tf.TensorSpec((None, None, None, 3))]
    inside = tf.function(
        lambda x: saliency(x, 2, views=VIEWS), input_signature=signature
    )
    expected = saliency.explain(X, 2, views=VIEWS)
    assert_close(inside(X).numpy(), expected, 1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_signals_and_volumes_are_mirrored_along_their_last_positions(rank):
    size = (6, 4, 5)[:rank]
    kind = {1: layers.Conv1D, 3: layers.Conv3D}[rank]
    pool = {1: layers.GlobalMaxPooling1D, 3: layers.GlobalMaxPooling3D}[rank]
    inputs = keras.Input((*[None] * rank, 2))
    x = kind(3, 2, activation="relu")(inputs)
    network_of_rank = keras.Model(inputs, layers.Dense(2)(pool()(x)))
    randomize(network_of_rank, 0.5)
    saliency = explainers.Saliency(network_of_rank)
    x = np.random.default_rng(1).normal(size=(2, *size, 2)).astype("float32")
    mirrored = np.flip(saliency.explain(np.flip(x, rank), 1), rank)
    assert_close(saliency.explain(x, 1, views=["mirror"]), mirrored)
    double = np.stack([resize(image, [2 * n for n in size]) for image in x])
    double = saliency.explain(double.astype("float32"), 1)
    expected = np.stack([resize(heatmap, size) for heatmap in double])
    assert_close(saliency.explain(x, 1, views=[2]), expected, 1e-5)


def test_channels_in_front_stay_there():
    inputs = keras.Input((3, None, None))
    x = layers.Permute((2, 3, 1))(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    x = layers.GlobalMaxPooling2D()(x)
    first = keras.Model(inputs, layers.Dense(2)(x))
    randomize(first, 0.5)
    images = np.moveaxis(X, -1, 1)
    for explainer, width in (
        (explainers.GradientInput(first, None), 3),
        (explainers.LayerCAM(first), 2),
    ):
        mirrored = explainer.explain(images[..., ::-1], 1)[..., ::-1]
        maps = explainer.explain(images, 1, views=["mirror"])
        assert_close(maps, mirrored)
        scaled = explainer.explain(images, [[0, 1]] * 3, views=[0.5, 1.5])
        assert scaled.shape == (3, 2, *images.shape[-width:])
        one = explainer.explain(images, 1, views=[0.5, 1.5])
        assert_close(scaled[:, 1], one, 1e-5)


def test_integers_of_a_photo_are_cast_as_without_views(model):
    photos = np.random.default_rng(2).integers(0, 256, X.shape, "uint8")
    saliency = explainers.Saliency(model)
    expected = saliency.explain(photos.astype("float32"), 1, views=VIEWS)
    assert_close(saliency.explain(photos, 1, views=VIEWS), expected)


def beside(kind):
    """A model of an image and, beside it, a vector, sequence, or image."""
    image = keras.Input((None, None, 3), name="image")
    shape = {"vector": (2,), "sequence": (6, 2), "image": (None, None, 1)}[kind]
    other = keras.Input(shape, name="other")
    x = layers.Conv2D(3, 3, activation="relu")(image)
    x = layers.GlobalMaxPooling2D()(x)
    if kind == "vector":
        y = other
    elif kind == "sequence":
        y = layers.GlobalMaxPooling1D()(layers.Conv1D(2, 2)(other))
    else:
        y = layers.GlobalMaxPooling2D()(layers.Conv2D(2, 3)(other))
    y = layers.Dense(2)(layers.Multiply()([layers.Dense(2)(x), y][:2]))
    if kind == "image":
        y = layers.Dense(2)(layers.Concatenate()([x, y]))
    both = keras.Model({"image": image, "other": other}, y)
    randomize(both, 0.5, 0.3)
    size = {"vector": (2,), "sequence": (6, 2), "image": (8, 9, 1)}[kind]
    generator = np.random.default_rng(3)
    other = generator.normal(size=(3, *size)).astype("float32")
    return both, {"image": X, "other": other}


@pytest.mark.parametrize("kind", ["vector", "sequence", "image"])
def test_what_stands_beside_an_image_moves_only_if_it_is_one(kind):
    both, data = beside(kind)
    saliency = explainers.Saliency(both)
    mirrored = {**data, "image": X[:, :, ::-1]}
    if kind == "image":
        mirrored["other"] = data["other"][:, :, ::-1]
    expected = saliency.explain(mirrored, 1)
    expected["image"] = expected["image"][:, :, ::-1]
    if kind == "image":
        expected["other"] = expected["other"][:, :, ::-1]
    maps = saliency.explain(data, 1, views=["mirror"])
    for name in data:
        assert_close(maps[name], expected[name])
    scaled = saliency.explain(data, 1, views=[1.5])
    shapes = {name: x.shape for name, x in saliency.explain(data, 1).items()}
    assert {name: x.shape for name, x in scaled.items()} == shapes
    # The map of a layer is of one of the images.
    name = next(x.name for x in both.layers if isinstance(x, layers.Conv2D))
    cam = explainers.LayerCAM(both, name, input_name="image")
    assert cam.explain(data, 1, views=[1, (0.5, "mirror")]).shape == (3, *SIZE)


def test_integers_beside_an_image_are_refused_where_they_may_be_one():
    image, mask = keras.Input((4, 4, 3)), keras.Input((4, 4), dtype="int32")
    x = layers.Flatten()(image) * layers.Dense(48)(
        ops.cast(layers.Flatten()(mask), "float32")
    )
    both = keras.Model([image, mask], layers.Dense(2)(x))
    data = [np.ones((1, 4, 4, 3), "float32"), np.ones((1, 4, 4), "int32")]
    saliency = explainers.Saliency(both)
    with pytest.raises(ValueError, match=r"\(None, 4, 4\) and dtype int32"):
        saliency.explain(data, 1, views=["mirror"])


def test_a_model_of_one_size_has_mirror_images_but_no_scales():
    fixed = network(SIZE, layers.Flatten)
    grad_cam = explainers.GradCAM(fixed)
    with pytest.raises(
        ValueError,
        match=r"other sizes than its own. Received: the view \(1.5, 'mirror'\)"
        r".*views=\[1, 'mirror'\]",
    ):
        grad_cam.explain(X, 1, views=VIEWS)
    maps = grad_cam.explain(X, 1, views=[1, "mirror"])
    mirrored = grad_cam.explain(X[:, :, ::-1], 1)[:, :, ::-1]
    assert_close(maps, (grad_cam.explain(X, 1) + mirrored) / 2)


def test_an_error_of_the_method_itself_is_not_laid_to_the_scale(model):
    class Large(explainers.Explainer):
        def compute(self, inputs, target, parts):
            raise ValueError(f"not of {inputs.shape[1]} rows")

    with pytest.raises(ValueError, match="^not of 6 rows"):
        Large(model).explain(X, 1, views=[0.5])


@pytest.mark.parametrize(
    "views",
    [[], 1.5, "mirror", [0], [-1], [np.inf], [np.nan], [True], ["flip"]]
    + [[None], [("mirror", 1.5)], [(1, 2)], [(0, "mirror")], {1: "mirror"}]
    + [[(1, "mirror", 2)]],
)
def test_views_of_another_form_are_refused_with_an_example(grad_cam, views):
    with pytest.raises(ValueError, match="Received: views=.*Such as") as caught:
        grad_cam.explain(X, 1, views=views)
    example = eval(str(caught.value).split("Such as ")[1].split(";")[0])
    assert grad_cam.explain(X, 1, views=example).shape == (3, *SIZE)


def test_a_scale_beyond_all_images_is_refused(grad_cam):
    with pytest.raises(ValueError, match="the scale 1e.30 of 12 pixels"):
        grad_cam.explain(X, 1, views=[1e30])


def test_maps_that_do_not_lie_on_the_input_are_refused(model):
    with pytest.raises(ValueError, match="Received: views with resize=False"):
        explainers.GradCAM(model, resize=False).explain(X, 1, views=[1, 2])
    with pytest.raises(
        ValueError, match="Received: views with target_layer='last'.*LayerCAM"
    ):
        explainers.Saliency(model, target_layer="last").explain(
            X, 1, views=["mirror"]
        )

    class Half(explainers.Explainer):
        def compute(self, inputs, target, parts):
            found = self.evaluate(inputs)
            return inputs[:, ::2, :, 0], {"score_used": found.score_used}

    with pytest.raises(ValueError, match=r"shape \(None, 6, 10\)"):
        Half(model).explain(X, 1, views=["mirror"])


def test_a_baseline_with_positions_is_refused(model):
    baseline = np.zeros((*SIZE, 3), "float32")
    for explainer in (
        explainers.IntegratedGradients(model, 2, baseline=baseline),
        explainers.Occlusion(model, 4, baseline=baseline),
    ):
        with pytest.raises(ValueError, match=r"baseline of shape \(12, 10, 3"):
            explainer.explain(X, 1, views=["mirror"])
    colour = explainers.Occlusion(model, 4, baseline=[1.0, 2.0, 3.0])
    assert colour.explain(X, 1, views=["mirror"]).any()


@pytest.fixture(scope="module")
def score_maps():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(inputs)
    result = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    randomize(result, 0.5)
    return result


def test_targets_of_certain_places_are_refused_and_moved_by_hand(score_maps):
    saliency = explainers.Saliency(score_maps)
    mask = np.zeros((3, *SIZE), "float32")
    mask[:, 2:5, 1:4] = 1
    places = {
        "MaskedMean": targets.MaskedMean(1, mask),
        "callable": lambda outputs: outputs[:, 2, 3, 1],
        "Difference": targets.Difference(
            targets.MaskedMean(1, mask), targets.MaskedMean(2)
        ),
    }
    for target in places.values():
        with pytest.raises(
            ValueError, match="Received: views=.*Pass `MaskedMean"
        ):
            saliency.explain(X, target, views=["mirror"])
    maps = saliency.explain(X, targets.MaskedMean(1), views=[1, "mirror", 2])
    assert maps.shape == (3, *SIZE)
    assert maps.any()
    # The remedy for the others, on a model whose mirror image is itself.
    moved = targets.MaskedMean(1, mask[:, :, ::-1])
    by_hand = saliency.explain(X[:, :, ::-1], moved)[:, :, ::-1]
    kernel, bias = score_maps.layers[1].get_weights()
    mirrored = keras.models.clone_model(score_maps)
    mirrored.set_weights(score_maps.get_weights())
    mirrored.layers[1].set_weights([kernel[:, ::-1], bias])
    expected = explainers.Saliency(mirrored).explain(X, places["MaskedMean"])
    assert_close(by_hand, expected, 1e-5)


def test_a_sliding_model_takes_the_scales_that_its_original_refuses():
    fixed = network((12, 10), layers.Flatten)
    sliding = models.fully_convolutional(fixed)
    maps = explainers.GradCAM(sliding).explain(
        X, targets.MaskedMean(1), views=[1, 1.5]
    )
    assert maps.shape == (3, *SIZE)


def test_views_at_different_layers_are_refused():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(3, 3, strides=2, padding="same", name="fine")(inputs)
    x = layers.MaxPooling2D(4, name="pool")(x)
    x = layers.Conv2D(3, 1, name="coarse")(x)
    x = layers.GlobalAveragePooling2D()(x)
    small = keras.Model(inputs, layers.Dense(2)(x))
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    with pytest.raises(ValueError, match="Received: layers .*'fine'.*'coarse'"):
        explainers.GradCAM(small).explain(x, 1, views=[1, 0.5])
    named = explainers.GradCAM(small, "fine")
    assert named.explain(x, 1, views=[1, 0.5]).shape == (2, 16, 16)


def test_inputs_without_positions_have_no_views():
    table = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"shapes \[\(None, 4\)\]"):
        explainers.Saliency(table).explain(
            np.ones((2, 4), "float32"), 1, views=["mirror"]
        )


def test_one_view_is_computed_after_the_other(model):
    events = []

    def noted(x, event):
        def note(x):
            events.append(event)
            return x

        # Stateful ones would keep their order anyway.
        y = tf.numpy_function(note, [x], x.dtype, stateful=False)
        return tf.ensure_shape(y, x.shape)

    class Noting(explainers.Explainer):
        def compute(self, inputs, target, parts):
            inputs = noted(inputs, "start")
            found = self.evaluate(inputs)
            total = inputs + found.outputs[:, None, None, :3]
            maps = noted(total, "end")[..., 0]
            return maps, {"score_used": found.score_used}

    views = [(1 + number / 10, "mirror") for number in range(6)]
    Noting(model).explain(X, 1, views=views)
    assert events == ["start", "end"] * len(views)


def test_each_list_of_views_is_traced_once(model):
    grad_cam = explainers.GradCAM(model)
    for _ in range(2):
        for target in (0, 1):
            grad_cam.explain(X, target, views=[1, "mirror"])
            grad_cam.explain(X[:1], target, views=(1.0, (1.0, "mirror")))
    assert grad_cam._runner.num_traces == 1
    grad_cam.explain(X, 0, views=["mirror"])
    assert grad_cam._runner.num_traces == 2
