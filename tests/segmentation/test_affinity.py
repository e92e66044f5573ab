import keras
import numpy as np
import pytest

from keras_xmap.segmentation import Affinity
from keras_xmap.segmentation import confident_labels
from keras_xmap.segmentation import random_walk
from keras_xmap.segmentation.affinity import _PairLoss

# Two kinds of texture beside each other, the edge in another place an image.
COUNT, SIZE = 8, (6, 8)


def scenes(seed=0):
    """Features of which one channel of five tells the object, faintly."""
    generator = np.random.default_rng(seed)
    labels = np.zeros((COUNT, *SIZE), "uint8")
    for number, edge in enumerate(generator.integers(2, 6, COUNT)):
        labels[number, :, edge:] = 1 + number % 2
    features = generator.normal(size=(COUNT, *SIZE, 5))
    features[..., 3] = 0.01 * (labels > 0) + 0.001 * features[..., 3]
    return features, labels


def slow_loss(labels, embedded, radius):
    sums, counts = np.zeros(3), np.zeros(3)
    for image, x in zip(labels, embedded, strict=True):
        positions = list(np.ndindex(*image.shape))
        for i, p in enumerate(positions):
            for q in positions[i + 1 :]:
                near = sum((a - b) ** 2 for a, b in zip(p, q, strict=True))
                if near >= radius**2 or 255 in (image[p], image[q]):
                    continue
                affinity = np.exp(-np.abs(x[p] - x[q]).mean())
                if image[p] != image[q]:
                    kind, cost = 2, -np.log(1 + 1e-5 - affinity)
                else:
                    kind, cost = int(image[p] > 0), -np.log(affinity)
                sums[kind] += cost
                counts[kind] += 1
    return np.divide(sums, counts, where=counts > 0, out=0 * sums) @ [
        0.25,
        0.25,
        0.5,
    ]


@pytest.mark.parametrize("radius", [2, 3, 5])
def test_the_loss_is_that_of_all_pairs_one_by_one(radius):
    generator = np.random.default_rng(1)
    labels = generator.choice([0, 1, 2, 255], size=(3, 4, 5))
    embedded = generator.normal(size=(3, 4, 5, 6)).astype("float32")
    actual = _PairLoss(radius)(labels[..., None].astype("float32"), embedded)
    expected = slow_loss(labels, embedded.astype("float64"), radius)
    np.testing.assert_allclose(float(actual), expected, rtol=1e-5)
    # Where nothing is known, or nothing unlike, no term is NaN.
    doubt = np.full_like(labels, 255)[..., None].astype("float32")
    assert float(_PairLoss(radius)(doubt, embedded)) == 0


@pytest.fixture(scope="module")
def fitted():
    features, labels = scenes()
    affinity = Affinity(channels=8, radius=3, seed=0)
    return affinity.fit(features, labels, epochs=40, verbose=0)


@pytest.mark.slow
def test_the_head_learns_what_belongs_together_and_the_walk_stops_there(fitted):
    assert fitted.losses[-1] < 0.7 * fitted.losses[0]
    # Other images, of which it has seen no label.
    features, labels = scenes(seed=5)
    cues = np.zeros((COUNT, 1, *SIZE))
    cues[:, 0, 2, 7] = 1.0
    refined = fitted.refine(features, cues, num_steps=64)[:, 0]
    # As they are, the features tell almost nothing of the object.
    raw = random_walk(cues, features, radius=3, num_steps=64)[:, 0]
    objects = labels > 0
    for walked, ratio in ((refined, 10), (raw, 0)):
        inside, outside = walked[objects].mean(), walked[~objects].mean()
        assert inside > ratio * outside
    reached = refined > 0.2 * refined.max(axis=(1, 2), keepdims=True)
    assert (reached == objects).mean() > 0.95
    reached = raw > 0.2 * raw.max(axis=(1, 2), keepdims=True)
    assert (reached == objects).mean() < 0.8


@pytest.mark.slow
def test_the_same_seed_gives_the_same_head(fitted):
    features, labels = scenes()
    again = Affinity(channels=8, radius=3, seed=0)
    again.fit(features, labels, epochs=40, verbose=0)
    np.testing.assert_allclose(again.losses, fitted.losses, rtol=1e-3)
    np.testing.assert_allclose(
        again.embed(features[0]), fitted.embed(features)[0], atol=1e-2
    )


@pytest.mark.slow
def test_labels_of_photos_are_read_in_the_middle_of_each_position():
    features, labels = scenes()
    large = labels.repeat(4, axis=1).repeat(4, axis=2)
    one, other = (
        Affinity(channels=4, seed=3).fit(features, x, epochs=2, verbose=0)
        for x in (labels, large)
    )
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)


def test_other_sizes_lists_and_batches_are_refined(fitted):
    generator = np.random.default_rng(2)
    features = generator.normal(size=(2, 4, 9, 5))
    maps = generator.uniform(size=(2, 3, 4, 9))
    both = fitted.refine(features, maps)
    assert both.shape == (2, 3, 4, 9)
    one = fitted.refine(features[1], maps[1])
    np.testing.assert_allclose(one, both[1], atol=1e-5)
    assert isinstance(fitted.head, keras.Model)
    assert repr(fitted) == "Affinity(channels=8, radius=3, seed=0)"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": np.full((COUNT, *SIZE), 255)}, "0 pairs that are alike, 0"),
        ({"labels": np.zeros((COUNT, *SIZE), int)}, "pairs .* alike, 0 that"),
        ({"labels": np.zeros((3, *SIZE), int)}, "labels.shape=\\(3, 6, 8\\)"),
        (
            {"labels": np.zeros((COUNT, 3, 4), int)},
            "labels.shape=\\(8, 3, 4\\)",
        ),
        ({"labels": np.full((COUNT, *SIZE), 256)}, "values from 256 to 256"),
        ({"labels": np.zeros((COUNT, *SIZE))}, "labels.dtype=float64"),
        ({"features": np.ones((COUNT, 6, 8))}, "features.shape=\\(8, 6, 8\\)"),
        ({"features": np.full((COUNT, *SIZE, 2), np.nan)}, "finite numbers"),
        ({"epochs": 0}, "Received: epochs=0"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"verbose": "no"}, "Received: verbose='no'"),
        ({"learning_rate": 0}, "Received: learning_rate=0"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(options, message):
    features, labels = scenes()
    arguments = {"features": features, "labels": labels, "verbose": 0}
    with pytest.raises(ValueError, match=message):
        Affinity().fit(**{**arguments, **options})


def test_a_head_is_made_for_its_channels(fitted):
    with pytest.raises(ValueError, match="`fit` before .*Received: Affinity"):
        Affinity().embed(np.ones((4, 4, 5)))
    with pytest.raises(ValueError, match="the 5 channels of `fit`"):
        fitted.embed(np.ones((4, 4, 3)))
    for options in ({"channels": 0}, {"radius": 1}, {"seed": -1}):
        name, value = next(iter(options.items()))
        with pytest.raises(ValueError, match=f"Received: {name}={value}"):
            Affinity(**options)


def stripes():
    image = np.zeros((12, 30, 3), "uint8")
    image[:, 10:20], image[:, 20:] = 120, 250
    maps = np.full((1, 12, 30), 0.05)
    maps[0, :, 10:20], maps[0, :, 20:] = 0.25, 1.0
    return image, maps


def test_labels_are_sure_of_class_and_background_and_leave_out_the_rest():
    image, maps = stripes()
    # (1 - .25) ** 4 = .32 > .25: none at the low power; ** 32 = .0001 < .25.
    labels = confident_labels(image, maps, classes=[6])
    assert labels.dtype == np.uint8
    assert (labels[:, :10] == 0).all()
    assert (labels[:, 10:20] == 255).all()
    assert (labels[:, 20:] == 7).all()
    # With one power nothing is in doubt.
    assert set(np.unique(confident_labels(image, maps, powers=(4, 4)))) == {
        0,
        1,
    }


def test_several_images_and_none_of_a_class_are_labelled():
    image, maps = stripes()
    both = confident_labels([image, image[:, 5:]], [maps, maps[:, :, 5:]])
    assert [x.shape for x in both] == [(12, 30), (12, 25)]
    batch = confident_labels(image[None], maps[None], classes=[[0]])
    np.testing.assert_array_equal(batch[0], both[0])
    nothing = confident_labels(image, np.zeros((1, 12, 30)))
    assert not nothing.any()
    assert not confident_labels(image, np.zeros((0, 12, 30))).any()


@pytest.mark.parametrize("powers", [(32, 4), (0, 4), 4, (4, np.inf), (1, 2, 3)])
def test_powers_of_another_form_are_refused(powers):
    with pytest.raises(ValueError, match="`powers` must be"):
        confident_labels(*stripes(), powers=powers)


def test_as_many_maps_as_images_are_asked_for():
    image, maps = stripes()
    with pytest.raises(ValueError, match=r"len\(images\)=1, len\(maps\)=2"):
        confident_labels([image], [maps, maps])
    with pytest.raises(ValueError, match=r"classes=\[\[0\], \[1\]\]"):
        confident_labels([image], [maps], classes=[[0], [1]])
