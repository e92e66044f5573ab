import numpy as np
import pytest
import tensorflow as tf

from keras_xmap import datasets
from keras_xmap.erasing import erased
from keras_xmap.layers import EraseRegions
from keras_xmap.regions import RegionStore

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(10, 6, 5, 3)).astype("float32")
LABELS = np.arange(10)
MASKS = RNG.uniform(size=(10, 6, 5)) < 0.4
COLOR = [0.1, 0.2, 0.3]
ERASED = np.where(MASKS[..., None], np.float32(COLOR), IMAGES)


def eraser(**kwargs):
    return EraseRegions(COLOR, dtype="float32", **kwargs)


def full_store(ids=range(10)):
    store = RegionStore()
    store.add(list(ids), [0] * 10, 1, MASKS)
    return store


def numbered(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).enumerate()


def collected(dataset):
    """Images of batches `(images, labels)`, in the order of the labels."""
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images)[np.argsort(np.concatenate(labels))]


def test_images_lose_their_own_regions_in_any_order():
    data = numbered(IMAGES, LABELS).cache().shuffle(10, seed=1).batch(4)
    data = erased(data, full_store(), eraser()).prefetch(2)
    assert data.element_spec[0].shape.as_list() == [None, 6, 5, 3]
    assert (collected(data) == ERASED).all()


def test_a_new_pass_sees_new_regions_and_the_originals_stay():
    originals = IMAGES.copy()
    store = RegionStore()
    source = numbered(IMAGES, LABELS).cache().batch(4)
    data = erased(source, store, eraser()).prefetch(tf.data.AUTOTUNE)
    assert (collected(data) == IMAGES).all()
    store.add(range(5), [0] * 5, 1, MASKS[:5])
    half = np.concatenate([ERASED[:5], IMAGES[5:]])
    assert (collected(data) == half).all()
    store.add(range(5, 10), [3] * 5, 2, MASKS[5:])
    assert (collected(data) == ERASED).all()
    assert (originals == IMAGES).all()
    seen = np.concatenate([x for _, (x, _) in source.as_numpy_iterator()])
    assert (seen == originals).all()


def test_a_callable_may_choose_the_rounds():
    store = full_store()
    store.add([0], [0], 2, np.ones((1, 6, 5), "bool"))
    data = numbered(IMAGES, LABELS).batch(4)
    data = erased(
        data, lambda ids, size: store.mask(ids, size, rounds=1), eraser()
    )
    assert (collected(data) == ERASED).all()


def test_ids_may_be_text_and_inputs_several():
    names = [f"{i}.jpg" for i in range(10)]
    inputs = {"image": IMAGES, "size": LABELS}
    data = tf.data.Dataset.from_tensor_slices((names, (inputs, LABELS)))
    data = erased(
        data.batch(5), full_store(names), eraser(), input_name="image"
    )
    for inputs, labels in data.as_numpy_iterator():
        assert (inputs["image"] == ERASED[labels]).all()
        assert (inputs["size"] == labels).all()
    data = tf.data.Dataset.from_tensor_slices((names, ((LABELS, IMAGES),)))
    data = erased(data.batch(5), full_store(names), eraser(), input_name=1)
    for ((labels, images),) in data.as_numpy_iterator():
        assert (images == ERASED[labels]).all()


def test_images_alone_and_single_ones_of_different_sizes():
    store = RegionStore()
    store.add([0, 1], [0, 0], 1, [MASKS[0], MASKS[1, :4, :2]])
    images = [IMAGES[0], IMAGES[1, :4, :2]]
    data = tf.data.Dataset.from_generator(
        lambda: enumerate(images),
        output_signature=(
            tf.TensorSpec((), "int64"),
            tf.TensorSpec((None, None, 3)),
        ),
    )
    data = erased(data, store, eraser())
    first, second = data.as_numpy_iterator()
    assert (first == ERASED[0]).all()
    assert (second == ERASED[1, :4, :2]).all()


def test_regions_follow_the_size_of_the_images():
    large = np.repeat(np.repeat(IMAGES, 2, axis=1), 3, axis=2)
    data = numbered(large, LABELS).batch(10)
    images = collected(erased(data, full_store(), eraser()))
    expected = np.repeat(np.repeat(ERASED, 2, axis=1), 3, axis=2)
    assert (images == expected).all()


def test_channels_first_and_whole_numbers():
    bytes_ = np.moveaxis((255 * IMAGES).astype("uint8"), -1, 1)
    data = numbered(bytes_, LABELS).batch(10)
    erase = eraser(data_format="channels_first")
    images = collected(erased(data, full_store(), erase))
    mask = np.broadcast_to(MASKS[:, None], images.shape)
    assert images.dtype == np.float32
    assert (images[~mask] == bytes_[~mask]).all()
    color = np.broadcast_to(np.float32(COLOR)[:, None, None], images.shape)
    assert (images[mask] == color[mask]).all()


def test_noise_is_drawn_anew_for_each_batch_and_pass():
    erase = EraseRegions("noise", mean=0.5, stddev=0.1, seed=1, dtype="float32")
    data = numbered(IMAGES, LABELS).batch(5)
    data = erased(data, full_store(), erase)
    one, other = collected(data), collected(data)
    assert (one[~MASKS] == IMAGES[~MASKS]).all()
    assert (one[MASKS] != other[MASKS]).mean() > 0.99


def test_fit_reads_it_on_two_replicas(strategy):
    """A model that passes its image on: the loss is the area erased."""
    import keras

    with strategy.scope():
        inputs = keras.Input((6, 5, 3))
        outputs = keras.layers.GlobalAveragePooling2D()(inputs)
        model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
        model.layers[-1].trainable = False
        model.layers[-1].set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile("sgd", "mae")
    store = RegionStore()
    data = numbered(np.ones_like(IMAGES), np.full(10, 3.0)).batch(2)
    erase = EraseRegions("zero", dtype="float32")
    data = erased(data, store, erase).prefetch(2)
    losses = []

    class Erase(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            losses.append(logs["loss"])
            store.add(range(10), [0] * 10, epoch, MASKS)

    model.fit(data, epochs=3, verbose=0, callbacks=[Erase()])
    share = MASKS.mean()
    np.testing.assert_allclose(losses, [0, 3 * share, 3 * share], atol=1e-5)


def test_the_statistics_are_those_of_all_pixels():
    data = numbered(IMAGES, LABELS).batch(4)
    mean, stddev = datasets.channel_statistics(data)
    pixels = IMAGES.astype("float64")
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(stddev, pixels.std(axis=(0, 1, 2)), rtol=1e-9)
    first = numbered(np.moveaxis(IMAGES, -1, 1)).map(lambda i, x: (i, x[0]))
    again = datasets.channel_statistics(first, data_format="channels_first")
    np.testing.assert_allclose(again, (mean, stddev), rtol=1e-12)
    with pytest.raises(ValueError, match="at least one image"):
        datasets.channel_statistics(data.take(0))


def test_data_that_would_hold_stale_batches_is_refused():
    data = numbered(IMAGES, LABELS).batch(5)
    for use in (
        lambda data: erased(data, full_store(), eraser()),
        datasets.channel_statistics,
    ):
        with pytest.raises(ValueError, match="infinite cardinality"):
            use(data.repeat())
    erased(data.repeat(3), full_store(), eraser())


def test_wrong_data_is_named():
    images = tf.data.Dataset.from_tensor_slices(IMAGES)
    with pytest.raises(ValueError, match="Received: elements TensorSpec"):
        erased(images, full_store(), eraser())
    flat = numbered(IMAGES.reshape((10, -1))).batch(5)
    with pytest.raises(ValueError, match=r"images.shape=\(None, 90\)"):
        erased(flat, full_store(), eraser())
    data = numbered(IMAGES, LABELS).batch(5)
    with pytest.raises(ValueError, match="Received: float16 for float32"):
        erased(data, full_store(), EraseRegions(0.0, dtype="float16"))


def test_wrong_types_are_named():
    data = numbered(IMAGES, LABELS).batch(5)
    with pytest.raises(TypeError, match="Received: dataset=array"):
        erased(IMAGES, full_store(), eraser())
    with pytest.raises(TypeError, match="Received: regions={}"):
        erased(data, {}, eraser())
    with pytest.raises(TypeError, match="Received: erase='mean'"):
        erased(data, full_store(), "mean")
    with pytest.raises(TypeError, match="Received: erase=<class"):
        erased(data, full_store(), EraseRegions)
    with pytest.raises(TypeError, match=r"Received: erase\(...\)=None"):
        erased(data, full_store(), lambda images_and_mask: None)
    with pytest.raises(ValueError, match="Received: data_format='last'"):
        erased(data, full_store(), eraser(), data_format="last")
    inputs = tf.data.Dataset.from_tensor_slices(
        {"image": IMAGES, "size": LABELS}
    )
    inputs = inputs.enumerate().batch(5)
    with pytest.raises(ValueError, match="Received: input_name='photo'"):
        erased(inputs, full_store(), eraser(), input_name="photo")


def test_images_are_found_among_the_inputs_before_a_pass():
    alone = numbered(IMAGES, LABELS).batch(5)
    pair = {"image": IMAGES, "words": np.array(["a"] * len(IMAGES))}
    several = tf.data.Dataset.from_tensor_slices(pair).enumerate().batch(5)
    both = tf.data.Dataset.from_tensor_slices(((IMAGES, LABELS), LABELS))
    both = both.enumerate().batch(5)
    for data, name, message in (
        (alone, 0, "None where the images are the only input. Received"),
        (alone, 0.5, "Received: input_name=0.5"),
        (several, None, "one of 'image', 'words'. Received: input_name=None"),
        (several, 0, "one of 'image', 'words'. Received: input_name=0"),
        (several, "words", "must be tensors of numbers.* Received: elements"),
        (both, -1, "one of 0, 1. Received: input_name=-1"),
        (both, True, "one of 0, 1. Received: input_name=True"),
        (both, 2, "one of 0, 1. Received: input_name=2"),
    ):
        for use in (
            lambda data, name: erased(data, full_store(), eraser(), name),
            datasets.channel_statistics,
        ):
            with pytest.raises(ValueError, match=message):
                use(data, name)
    found = datasets.channel_statistics(several, "image")
    assert found == datasets.channel_statistics(both, 0)
    assert found == datasets.channel_statistics(alone)
