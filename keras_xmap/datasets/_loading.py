"""Building blocks of `tf.data` for data sets that do not fit in memory."""


def import_tensorflow(name):
    """Returns TensorFlow, which what is called `name` needs."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            f"`{name}` works on a tf.data.Dataset, which any Keras backend "
            "trains on. Received: a Python without the package tensorflow. "
            'Run: pip install "keras-xmap[cpu]"; or index the regions '
            "yourself, `image, mask = regions[i]`."
        ) from error
    return tf


def loaded_batches(draw, size, load, shapes, batch_size):
    """Makes a dataset of batches of what a Python function loads.

    No more is held in memory than a few batches. Elements come in the order
    drawn, however many are loaded at a time.

    Args:
        draw: Function without arguments that returns the numbers of an
            epoch, two integer arrays `(size,)`: which one to load, and the
            seed to load it with. Called once for each pass.
        size: Integer, how many there are in a pass.
        load: Function of two integers that returns float32 arrays and, last,
            an integer.
        shapes: List of the shapes of the float32 arrays.
        batch_size: Integer.

    Returns:
        A `tf.data.Dataset` of tuples of batches.
    """
    tf = import_tensorflow("region_batches")
    dtypes = [tf.float32] * len(shapes) + [tf.int32]

    def one(index, seed):
        values = tf.numpy_function(load, [index, seed], dtypes)
        for value, shape in zip(values, [*shapes, ()], strict=True):
            value.set_shape(shape)
        return tuple(values)

    def numbers():
        yield from zip(*draw(), strict=True)

    spec = tf.TensorSpec((), tf.int64)
    dataset = tf.data.Dataset.from_generator(
        numbers, output_signature=(spec, spec)
    )
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(size))
    dataset = dataset.map(one, tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size).prefetch(1)


def where_any(condition, chosen, otherwise):
    """Returns tensors of `chosen` for elements where any `condition` holds.

    `condition` is a tensor with the batch as first axis; where none of an
    element's values is true, it is that of `otherwise`.
    """
    tf = import_tensorflow("PairedAugmentation")
    rank = len(condition.shape)
    kept = tf.reduce_any(condition, axis=list(range(1, rank)))

    def choose(one, other):
        shape = tf.concat([tf.shape(kept), [1] * (len(one.shape) - 1)], 0)
        return tf.where(tf.reshape(kept, shape), one, other)

    return tf.nest.map_structure(choose, chosen, otherwise)
