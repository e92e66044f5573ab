import warnings

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_xmap.layers import MaskNoise
from keras_xmap.metrics import collusion
from keras_xmap.models import pixel_attention

NOISE = 0.5
# Mean of the absolute value of a standard normal number.
MEAN_SIZE = np.sqrt(2 / np.pi)


@keras.saving.register_keras_serializable(package="tests")
class Read(layers.Layer):
    """The answer of an image of 8 x 8: the mean of its first row."""

    def call(self, images):
        return ops.mean(images[:, 0], axis=1)


@keras.saving.register_keras_serializable(package="tests")
class ReadNoise(layers.Layer):
    """The size of the noise below the first row, where images are black."""

    def call(self, images):
        size = ops.mean(ops.abs(images[:, 1:]), axis=(1, 2))
        return size / (NOISE * MEAN_SIZE)


@keras.saving.register_keras_serializable(package="tests")
class Protect(layers.Layer):
    """Noise everywhere but on the first row."""

    def call(self, images):
        rows = ops.reshape(ops.cast(ops.arange(8) > 0, "float32"), (8, 1, 1))
        return ops.zeros_like(images) + rows


@keras.saving.register_keras_serializable(package="tests")
class Tell(layers.Layer):
    """As much noise below the first row as the answer is large."""

    def call(self, images):
        answer = ops.mean(images[:, 0], axis=(1, 2))
        return Protect()(images) * ops.reshape(answer, (-1, 1, 1, 1))


def pair(predictor, *attention, noise=NOISE):
    shape = (8, 8, 1)
    return pixel_attention(
        keras.Sequential([keras.Input(shape), predictor], name="predictor"),
        keras.Sequential([keras.Input(shape), *attention], name="attention"),
        noise=noise,
    )


@pytest.fixture(scope="module")
def data():
    targets = np.random.default_rng(0).uniform(size=(400, 1))
    images = np.zeros((400, 8, 8, 1))
    images[:, 0] = targets[:, None]
    return images.astype("float32"), targets.astype("float32")


@pytest.fixture(scope="module")
def honest(data):
    """A pair that protects what it reads, and the report on it."""
    model = pair(Read(), Protect())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return model, collusion(model, *data)


@pytest.fixture(scope="module")
def coded(data):
    """The report on a pair that agreed on a code, and its warnings."""
    with pytest.warns(UserWarning) as seen:
        report = collusion(pair(ReadNoise(), Tell()), *data)
    return report, [w for w in seen if w.category is UserWarning]


def test_an_honest_pair_explains_nothing_by_its_pattern(honest, data):
    _, found = honest
    # The mean image answers the mean; a donor's answer has nothing to do
    # with an image's own, so the squared error is twice the variance.
    assert found.clean == pytest.approx(1, abs=1e-5)
    assert found.noisy == pytest.approx(1, abs=1e-5)
    assert found.own == pytest.approx(1, abs=1e-5)
    assert found.pattern == pytest.approx(0, abs=1e-5)
    assert found.donor == pytest.approx(-1, abs=0.2)
    # The mean of eight numbers of noise; by lot, each is drawn one time in 8.
    moved = NOISE**2 / 8 / data[1].var()
    assert found.named == pytest.approx(moved, rel=0.15)
    assert found.others == pytest.approx(moved / 8, rel=0.3)


@keras.saving.register_keras_serializable(package="tests")
class ProtectLast(layers.Layer):
    """Noise everywhere but on the last row, which no answer needs."""

    def call(self, images):
        return ops.flip(Protect()(images), axis=1)


def test_a_map_that_protects_the_background_is_warned_about(data):
    with pytest.warns(UserWarning, match="names no more than others") as seen:
        found = collusion(pair(Read(), ProtectLast()), *data)
    assert found.clean == pytest.approx(1, abs=1e-5)
    assert max(found.pattern, found.donor) < 0.1
    assert found.named == 0
    assert found.others == pytest.approx(NOISE**2 / 64 / data[1].var(), rel=0.3)
    (said,) = [str(w.message) for w in seen if w.category is UserWarning]
    assert f"at random by {found.others:.2g}." in said
    assert "the predictor alone first and longer" in said


def test_a_flat_map_names_nothing(data):
    flat = layers.Lambda(lambda x: ops.zeros_like(x) + 0.9)
    with pytest.warns(UserWarning, match="names no more than others"):
        found = collusion(pair(Read(), flat), *data)
    assert found.named == found.others == 0


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_noise_lies_on_all_channels_of_the_pixels_it_is_laid_on(
    data, data_format
):
    # Three channels of one image, of which the answer is the mean: a third
    # of the variance of one.
    images, targets = data
    axis = 3 if data_format == "channels_last" else 1
    colored = np.repeat(np.moveaxis(images, 3, axis), 3, axis)
    shape = colored.shape[1:]
    gray = layers.Lambda(lambda x: ops.mean(x, axis=axis)[..., None])
    model = pixel_attention(
        keras.Sequential([keras.Input(shape), gray, Read()]),
        keras.Sequential(
            [keras.Input(shape), gray, Protect(), layers.Reshape((8, 8))]
        ),
        noise=MaskNoise(NOISE, data_format=data_format),
    )
    found = collusion(model, colored, targets)
    moved = NOISE**2 / 8 / 3 / targets.var()
    assert found.named == pytest.approx(moved, rel=0.15)
    assert found.others == pytest.approx(moved / 8, rel=0.3)


def test_a_pair_with_a_code_is_found_and_warned_about(coded):
    found, (warned,) = coded
    assert "reads its answer from where" in str(warned.message)
    assert warned.filename == __file__
    # 56 draws leave 10 % of the size of the noise open.
    assert found.noisy > 0.9 and found.donor > 0.9
    assert found.own == pytest.approx(-1, abs=0.3)
    # Without noise the answer is 0: 1 - mean(P^2) / var(P) of uniform P.
    assert found.clean == pytest.approx(1 - (1 / 3) / (1 / 12), abs=0.3)


class Constant(keras.layers.Layer):
    """Answers what is true on the average."""

    def call(self, images):
        return 0 * keras.ops.mean(images, axis=(1, 2)) + 0.5


def test_a_predictor_that_has_learned_nothing_is_warned_about(data):
    with pytest.warns(UserWarning, match=r"has not learned .* explains -?0\.0"):
        found = collusion(pair(Constant(), Protect()), *data)
    assert found.clean == pytest.approx(0, abs=0.02)


class ReadBoth(keras.layers.Layer):
    """Answers by the image, and for a fifth by the noise."""

    def call(self, images):
        return 0.8 * Read()(images) + 0.2 * ReadNoise()(images)


def test_a_pattern_that_tells_little_beside_the_image_is_no_code(data):
    with pytest.warns(UserWarning) as seen:
        found = collusion(pair(ReadBoth(), Tell()), *data)
    # The errors are 0.8 of the target, and 0.8 of the difference of two.
    assert found.pattern == pytest.approx(1 - 0.8**2, abs=0.05)
    assert found.donor == pytest.approx(1 - 2 * 0.8**2, abs=0.2)
    (said,) = [str(w.message) for w in seen if w.category is UserWarning]
    assert f"explains {found.pattern:.2f} of the targets" in said
    assert "the map may well be right" in said
    assert "train once more with weaker noise" in said


def test_the_pattern_is_laid_on_the_mean_image(coded):
    found, _ = coded
    # Below the first row the mean image is black as every image is.
    assert found.pattern == pytest.approx(found.noisy, abs=1e-6)


def test_the_noise_is_that_of_the_model(coded, data):
    # Twice the noise is read as twice the answer.
    once, _ = coded
    with pytest.warns(UserWarning):
        model = pair(ReadNoise(), Tell(), noise=MaskNoise(2 * NOISE))
        twice = collusion(model, *data)
    assert once.noisy > 0.9
    # The error is the answer itself, and twice the 10 % left open.
    targets = data[1]
    expected = 1 - 1.04 * (targets**2).mean() / targets.var()
    assert twice.noisy == pytest.approx(expected, abs=0.3)


def test_a_model_read_from_a_file_gives_the_same(honest, data, tmp_path):
    model, found = honest
    model.save(tmp_path / "model.keras")
    read = keras.models.load_model(tmp_path / "model.keras")
    assert collusion(read, *data) == found


def test_the_model_keeps_its_own_noise(data):
    noise = MaskNoise(NOISE, seed=3)
    model = pair(Read(), Protect(), noise=noise)
    before = np.asarray(noise.seed_generator.state)
    collusion(model, *data)
    np.testing.assert_array_equal(noise.seed_generator.state, before)


def test_maps_without_a_channel_give_the_same(honest, data):
    flat = pair(Read(), Protect(), layers.Reshape((8, 8)))
    assert collusion(flat, *data) == honest[1]


def test_a_seed_chooses_noise_and_donors(honest, data):
    model, found = honest
    again, other = (collusion(model, *data, seed=seed) for seed in (0, 1))
    assert again == found
    assert other.donor != found.donor and other.others != found.others


@pytest.fixture(scope="module")
def of_two():
    """One head that reads the image, and one that reads the noise."""
    inputs = keras.Input((8, 8, 1))
    heads = {"row": Read()(inputs), "code": ReadNoise()(inputs)}
    attention = keras.Sequential([keras.Input((8, 8, 1)), Tell()], name="R")

    def made(outputs):
        predictor = keras.Model(inputs, outputs(heads), name="predictor")
        return pixel_attention(predictor, attention, noise=NOISE)

    return made(lambda heads: heads), made(lambda heads: list(heads.values()))


def test_of_several_outputs_each_is_held_against_its_own_targets(
    of_two, coded, data
):
    images, targets = data
    by_name, in_order = of_two
    wanted = {"code": targets, "row": targets}
    with pytest.warns(UserWarning, match="reads its answer from where"):
        found = collusion(by_name, images, wanted)
    assert set(found) == {"row", "code"}
    assert found["row"].clean == pytest.approx(1, abs=1e-5)
    assert found["row"].donor < 0.1 < found["code"].donor
    assert found["code"] == pytest.approx(coded[0], abs=1e-5)
    with pytest.warns(UserWarning):
        again = collusion(in_order, images, (wanted["row"], wanted["code"]))
    assert again == [
        pytest.approx(found["row"]),
        pytest.approx(found["code"]),
    ]


def test_one_output_that_needs_the_map_is_enough(data):
    images, targets = data
    inputs = keras.Input((8, 8, 1))
    flipped = layers.Lambda(lambda x: ops.flip(x, axis=1))(inputs)
    predictor = keras.Model(
        inputs, {"row": Read()(inputs), "last": Read()(flipped)}
    )
    attention = keras.Sequential([keras.Input((8, 8, 1)), ProtectLast()])
    model = pixel_attention(predictor, attention, noise=NOISE)
    both = np.maximum(images, images[::-1, ::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = collusion(model, both, {"row": targets, "last": targets[::-1]})
    assert found["row"].named == 0
    assert found["last"].named > found["last"].others


def test_targets_of_other_outputs_are_named(of_two, data):
    images, targets = data
    by_name, in_order = of_two
    for wanted, received in (
        ({"row": targets}, r"a dict of \['row'\]"),
        (targets, "is a ndarray"),
    ):
        with pytest.raises(ValueError, match=f"Received: targets .*{received}"):
            collusion(by_name, images, wanted)
    with pytest.raises(ValueError, match="a list of 2, .* is a list of 1"):
        collusion(in_order, images, [targets])
    flat = {"row": np.ones(400), "code": targets}
    with pytest.raises(ValueError, match=r"targets\['row'\]=\[1.0\]"):
        collusion(by_name, images, flat)
    wide = {"row": np.ones((400, 2)), "code": targets}
    with pytest.raises(ValueError, match=r"\['row'\].shape=\(400, 2\)"):
        collusion(by_name, images, wide)


def test_wrong_arguments_are_named(honest, data):
    images, targets = data
    model, _ = honest
    with pytest.raises(TypeError, match="Received: model=<Sequential"):
        collusion(keras.Sequential([keras.Input((8, 8, 1)), Read()]), *data)
    with pytest.raises(
        ValueError, match=r"len\(images\)=3, targets.shape=\(4, 1\)"
    ):
        collusion(model, images[:3], targets[:4])
    with pytest.raises(ValueError, match=r"len\(images\)=1"):
        collusion(model, images[:1], targets[:1])
    with pytest.raises(ValueError, match="for all 9 images"):
        collusion(model, images[:9], np.ones((9, 1)))
