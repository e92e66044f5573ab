import numpy as np
import pytest
import tensorflow as tf

from keras_xmap.erasing._passes import image_input
from keras_xmap.erasing._passes import mining_pass
from keras_xmap.erasing._passes import numbered
from keras_xmap.erasing._passes import shown
from keras_xmap.erasing._passes import training_passes
from keras_xmap.erasing._passes import with_ids

pytestmark = pytest.mark.tensorflow


def make_dataset(count=10):
    images = np.arange(count, dtype="float32")[:, None, None, None]
    pairs = tf.data.Dataset.from_tensor_slices((images, np.arange(count) + 100))
    return pairs.enumerate()


def passes(seeds, dataset=None, batch_size=4, buffer=10, drop=False):
    """The batches of a pass for each seed, and what was noted."""
    begun, noted = iter(enumerate(seeds)), []
    data = training_passes(
        dataset or make_dataset(),
        lambda: next(begun),
        lambda number: noted.append(number) or number,
        batch_size,
        buffer,
        drop,
    )
    batches = [
        [ids.tolist() for ids, _ in data.as_numpy_iterator()] for _ in seeds
    ]
    return batches, noted, data


def test_the_seed_of_a_pass_is_its_order():
    batches, noted, _ = passes([5, 6, 5])
    assert batches[0] == batches[2] != batches[1]
    for of_pass in batches:
        assert sorted(i for ids in of_pass for i in ids) == list(range(10))
    assert noted == [0] * 3 + [1] * 3 + [2] * 3


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_of_the_program_has_no_part_in_it(seed):
    tf.random.set_seed(seed)
    assert passes([5])[0] == passes([5])[0]
    first = passes([5])[0]
    tf.random.set_seed(seed + 1)
    assert passes([5])[0] == first


def test_ids_images_and_labels_stay_together():
    *_, data = passes([3, 3])
    for ids, (images, labels) in training_passes(
        make_dataset(), lambda: (0, 9), lambda number: number, 4, 10, False
    ).as_numpy_iterator():
        assert (images.ravel() == ids).all() and (labels == ids + 100).all()
    assert data.cardinality() == 3


def test_a_buffer_of_one_keeps_the_order_and_the_rest_may_be_dropped():
    batches, _, data = passes([1], buffer=1, drop=True)
    assert batches == [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    assert data.cardinality() == 2


def test_images_are_read_once_if_the_dataset_is_cached():
    read = []

    def load(i, element):
        tf.numpy_function(lambda i: read.append(int(i)), [i], [])
        return i, element

    passes([1, 2, 3], make_dataset().map(load).cache())
    assert sorted(read) == list(range(10))


def test_workers_share_the_images_without_overlap():
    found = [
        [
            ids.tolist()
            for ids, _ in mining_pass(
                make_dataset(), 2, 3, index
            ).as_numpy_iterator()
        ]
        for index in range(3)
    ]
    assert found == [[[0, 3], [6, 9]], [[1, 4], [7]], [[2, 5], [8]]]
    part = with_ids(mining_pass(make_dataset(), 4, 1, 0))
    (ids, (images, labels, again)), *_ = part.as_numpy_iterator()
    assert (ids == again).all() and (labels == ids + 100).all()
    assert (images.ravel() == ids).all()


def test_batches_are_shown_with_their_places():
    found = []
    pairs = tf.data.Dataset.from_tensor_slices(
        ({"a": np.arange(3.0), "b": np.arange(3)}, [5, 6, 7], [0.1, 0.2, 0.3])
    )
    dataset = tf.data.Dataset.zip(
        tf.data.Dataset.from_tensor_slices(["x", "y", "z"]), pairs
    )
    part = mining_pass(numbered(dataset), 2, 2, 0)
    batches = shown(part, lambda *batch: found.append(batch))
    ((ids, (inputs, labels, weights)),) = batches.as_numpy_iterator()
    assert ids.tolist() == [b"x", b"z"] and labels.tolist() == [5, 7]
    ((places, shown_ids, arrays, others),) = found
    assert places.tolist() == [0, 2] and (shown_ids == ids).all()
    assert [x.tolist() for x in arrays] == [[0.0, 2.0], [0, 2]]
    assert (others[0] == labels).all() and (others[1] == weights).all()
    assert (inputs["a"] == arrays[0]).all()


def test_the_images_are_found_among_the_inputs():
    image, label = tf.zeros((2, 4, 4, 3)), tf.zeros((2,))

    def of(inputs):
        pairs = tf.data.Dataset.from_tensor_slices((inputs, label))
        return image_input(pairs.enumerate())

    assert of(image) is None
    assert of({"a": tf.zeros((2, 5)), "b": image}) == "b"
    assert of((label, image)) == 1
    for inputs in ({"a": image, "b": image}, label, {"a": label}):
        with pytest.raises(ValueError, match="must hold single images"):
            of(inputs)
