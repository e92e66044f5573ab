import functools
import itertools

import keras
import numpy as np
import pytest
from keras import layers

from keras_xmap.losses import SeedingLoss
from keras_xmap.models import quadtree_decoder
from keras_xmap.ops import quadtree_labels
from keras_xmap.segmentation import pseudo_labels


def stages(filters=(4, 5, 6), data_format="channels_last", side=None):
    shape = (
        (side, side, 3) if data_format == "channels_last" else (3, side, side)
    )
    x = inputs = keras.Input(shape)
    found = []
    for number, count in enumerate(filters):
        x = layers.Conv2D(
            count,
            3,
            2 if number else 1,
            "same",
            activation="relu",
            data_format=data_format,
            kernel_initializer=keras.initializers.HeNormal(number),
        )(x)
        found.append(x)
    return keras.Model(inputs, found)


@functools.cache
def model(threshold=0.26):
    return quadtree_decoder(stages(), 2, 7, threshold, seed=1)


def photos(height=21, width=26):
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, height, width, 3)).astype("float32")


def numpy(found):
    return {k: keras.ops.convert_to_numpy(x) for k, x in found.items()}


def around(x, kernel):
    """The 3 x 3 convolution of a map, by NumPy."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def weights(decoder):
    return {
        "/".join(w.path.split("/")[-2:]): keras.ops.convert_to_numpy(w)
        for w in decoder.get_layer("levels").weights
    }


@pytest.mark.sizes
def test_each_level_is_a_convolution_and_what_the_cell_above_hands_down():
    decoder, images = model(), photos()
    maps = [np.asarray(x) for x in map(keras.ops.convert_to_numpy,
            stages()(images))]  # fmt: skip
    w, x = weights(decoder), None
    found = numpy(decoder(images, training=True))
    for level in (2, 1, 0):
        own = around(maps[level], w[f"convolution_{level}/kernel"])
        own = own + w[f"convolution_{level}/bias"]
        if x is not None:
            handed = np.zeros((*x.shape[:1], *(2 * n for n in x.shape[1:3]), 7))
            for part in range(4):
                kernel = w[f"above_{level}/kernel"][:, 7 * part : 7 * part + 7]
                handed[:, part // 2 :: 2, part % 2 :: 2] = x @ kernel
            own = own + handed[:, : own.shape[1], : own.shape[2]]
        x = np.maximum(own, 0)
        expected = softmax(
            x @ w[f"head_{level}/kernel"] + w[f"head_{level}/bias"]
        )
        name = f"level_{level}" if level else "masks"
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


@pytest.mark.sizes
def test_inference_says_in_mixed_cells_what_training_says_there():
    images = photos()
    everywhere = numpy(model()(images, training=True))
    found = numpy(model()(images))
    names = ["level_2", "level_1", "masks"]
    np.testing.assert_allclose(
        found["level_2"], everywhere["level_2"], atol=1e-6
    )
    is_asked = np.ones(found["level_2"].shape[:3], bool)
    for above, name in itertools.pairwise(names):
        size = found[name].shape[1:3]
        is_asked &= everywhere[above][..., -1] > 0.26
        is_asked, leaf = (
            x.repeat(2, 1).repeat(2, 2)[:, : size[0], : size[1]]
            for x in (is_asked, found[above])
        )
        # Both happen: some cells are leaves, others are divided.
        assert 0.02 < is_asked.mean() < 0.98
        np.testing.assert_allclose(
            found[name][is_asked], everywhere[name][is_asked], atol=1e-5
        )
        leaf = leaf[..., :3] / leaf[..., :3].sum(-1, keepdims=True)
        np.testing.assert_allclose(
            found[name][~is_asked][:, :3], leaf[~is_asked], atol=1e-5
        )
        if name != "masks":
            assert not found[name][~is_asked][:, 3].any()
    np.testing.assert_allclose(found["masks"].sum(-1), 1, atol=1e-5)


@pytest.mark.slow
def test_the_threshold_says_how_much_is_computed():
    images, masks = photos(), {}
    for threshold in (0.0, 0.26, 1.0):
        decoder = quadtree_decoder(stages(), 2, 7, threshold)
        decoder.set_weights(model().get_weights())
        masks[threshold] = numpy(decoder(images))
    everywhere = numpy(model()(images, training=True))
    np.testing.assert_allclose(
        masks[0.0]["masks"], everywhere["masks"], atol=1e-5
    )
    coarse = masks[1.0]["level_2"][..., :3].argmax(-1)
    coarse = coarse.repeat(4, 1).repeat(4, 2)[:, :21, :26]
    assert (masks[1.0]["masks"].argmax(-1) == coarse).all()
    np.testing.assert_allclose(
        masks[0.26]["masks"], numpy(model()(images))["masks"], atol=1e-6
    )


@pytest.mark.slow  # JAX compiles anew for each number of cells
def test_images_are_told_the_same_alone_and_in_a_batch():
    images = photos()
    together = numpy(model()(images))["masks"]
    for number in range(3):
        alone = numpy(model()(images[number : number + 1]))["masks"]
        np.testing.assert_allclose(alone[0], together[number], atol=1e-5)


def test_it_says_the_same_when_it_is_compiled():
    expected = numpy(model()(photos()))
    # JAX computes all cells here, the others those in mixed ones.
    for name, x in model().predict(photos(), verbose=0).items():
        np.testing.assert_allclose(x, expected[name], atol=1e-5)


def test_channels_may_come_first_at_any_level():
    levels, maps = model().get_layer("levels"), stages()(photos())
    expected = numpy(levels(maps))
    config = levels.get_config()
    config["data_formats"] = ["channels_first", "channels_last"] * 2
    config["data_formats"].pop()
    turned = type(levels).from_config(config)
    maps = [keras.ops.moveaxis(x, -1, 1) if i != 1 else x
            for i, x in enumerate(maps)]  # fmt: skip
    turned.build([tuple(x.shape) for x in maps])
    turned.set_weights(levels.get_weights())
    for name, x in numpy(turned(maps)).items():
        x = np.moveaxis(x, 1, -1)
        np.testing.assert_allclose(x, expected[name], atol=1e-5)
    shapes = [x.shape for x in turned.compute_output_spec(maps).values()]
    assert [tuple(x) for x in shapes] == [
        tuple(x.shape) for x in turned(maps).values()
    ]


@pytest.mark.slow
def test_it_learns_from_labels_that_say_little():
    # A square of another colour: its middle and a corner of the rest are
    # labelled, as pseudo labels are.
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 16, 16, 3)).astype("float32") / 8
    heat = np.zeros((8, 16, 16))
    for number in range(8):
        images[number, number : number + 9, 4:13, 0] += 1
        heat[number, number + 1 : number + 8, 5:12] = 1
    labels = np.stack(
        [
            pseudo_labels(x[None], y[..., 0] > 0.5, classes=[0])
            for x, y in zip(heat, images, strict=True)
        ]
    )
    labels[:, 12:, 14:] = 0
    assert set(np.unique(labels)) == {0, 1, 255}
    decoder = quadtree_decoder(stages(), 1, 8, seed=0)
    levels = quadtree_labels(labels.astype("int32"), 1, 3)
    loss = SeedingLoss(data_format="channels_last")
    decoder.compile(
        keras.optimizers.Adam(0.02), loss=dict.fromkeys(levels, loss)
    )
    many = {k: np.tile(x, (100, 1, 1)) for k, x in numpy(levels).items()}
    tiled = np.tile(images, (100, 1, 1, 1))
    decoder.fit(tiled, many, batch_size=8, verbose=0)
    found = decoder.predict(images, verbose=0)["masks"].argmax(-1)
    known = labels != 255
    assert (found == labels)[known].mean() > 0.95
    scores = decoder.evaluate(images, levels, verbose=0, return_dict=True)
    assert np.isfinite(list(scores.values())).all()


def test_channels_first_are_told_by_the_backbone():
    made = stages(data_format="channels_first", side=8)
    decoder = quadtree_decoder(made, 2, 4)
    shapes = {name: tuple(x.shape[1:]) for name, x in decoder.output.items()}
    assert shapes == {
        "masks": (3, 8, 8),
        "level_1": (4, 4, 4),
        "level_2": (4, 2, 2),
    }


def test_backbones_that_do_not_halve_are_refused():
    x = keras.Input((16, 16, 3))
    fine = layers.Conv2D(4, 3, padding="same")(x)
    half = layers.Conv2D(4, 3, 2, "same")(fine)
    for outputs in (
        [fine],
        [half, fine],
        [fine, fine],
        [fine, layers.Conv2D(4, 3, 2, "valid")(fine)],
        [fine, layers.GlobalAveragePooling2D()(half)],
    ):
        with pytest.raises(ValueError, match="Received: backbone=") as error:
            quadtree_decoder(keras.Model(x, outputs), 2)
        assert "padding='same'" in str(error.value)
    quadtree_decoder(keras.Model(x, [fine, half]), 2)


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0},
        {"filters": 0},
        {"threshold": 1.5},
        {"threshold": "half"},
        {"seed": -1},
    ],
)
def test_arguments_out_of_range_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"Received: {name}="):
        quadtree_decoder(stages(), **{"num_classes": 2, **options})


def test_the_seed_makes_the_new_weights_repeatable():
    backbone = stages()
    first, again, other = (
        quadtree_decoder(backbone, 2, 4, seed=seed).get_weights()
        for seed in (1, 1, 2)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not all((a == b).all() for a, b in zip(first, other, strict=True))
