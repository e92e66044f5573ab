"""Photos as a network takes them, a few in memory at a time."""

import concurrent.futures
import itertools

import numpy as np
import tensorflow as tf


class Photos:
    """Photos of a reader of images, brought to one size.

    Args:
        images: Reader of images: `images[i]` is one of them.
        size: Height and width.
        channels: 1 or 3.
    """

    def __init__(self, images, size, channels):
        self.images = images
        self.size = size
        self._channels = channels

    def __len__(self):
        return len(self.images)

    def both(self, index):
        """Returns a photo as it is, and float32 as a network takes it."""
        from PIL import Image

        photo = self.images[index]
        picture = Image.fromarray(photo)
        if self._channels == 1:
            picture = picture.convert("L")
        height, width = self.size
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        resized = np.asarray(picture, "float32")
        return photo, resized.reshape(height, width, self._channels)

    def resized(self, index):
        return self.both(index)[1]

    def chunks(self, rows, size):
        """Yields rows and their photos, `size` at a time.

        The next are read while the last are worked on.

        Returns:
            Tuples of a list of rows, a list of photos as they are, and an
            array of `size` photos for the network, the last repeated where
            there are not as many.
        """
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        with concurrent.futures.ThreadPoolExecutor() as pool:

            def begin(part):
                return [pool.submit(self.both, row) for row in part]

            coming = begin(parts[0]) if parts else None
            for part, following in itertools.zip_longest(parts, parts[1:]):
                waiting = coming
                coming = begin(following) if following else None
                photos, resized = zip(
                    *(future.result() for future in waiting), strict=True
                )
                filled = [*resized, *resized[-1:] * (size - len(part))]
                yield part, list(photos), np.stack(filled)


def loaded(load, order, specs):
    """Makes a `tf.data.Dataset` of what a function loads, one by one.

    Args:
        load: Function of a row that returns a structure of arrays.
        order: Function that returns the rows of a pass, called once for each.
        specs: The structure of their `tf.TensorSpec`.
    """
    rows = tf.data.Dataset.from_generator(
        lambda: iter(order()), output_signature=tf.TensorSpec((), tf.int64)
    )
    rows = rows.apply(tf.data.experimental.assert_cardinality(len(order())))
    flat = tf.nest.flatten(specs)

    def one(row):
        values = tf.numpy_function(
            lambda row: tf.nest.flatten(load(row)),
            [row],
            [spec.dtype for spec in flat],
        )
        for value, spec in zip(values, flat, strict=True):
            value.set_shape(spec.shape)
        return tf.nest.pack_sequence_as(specs, values)

    return rows.map(one, tf.data.AUTOTUNE, deterministic=True)
