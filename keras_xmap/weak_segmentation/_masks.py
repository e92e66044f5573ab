"""From a trained network to label maps of photos."""

import concurrent.futures
import functools
import os

import keras
import numpy as np
import tensorflow as tf

from keras_xmap import ops
from keras_xmap import segmentation
from keras_xmap._files import make_directory
from keras_xmap.datasets import write_label_map

STAGE = "masks"


def write(network, photos, rows, path_of, labels, crf, batch_size, verbose):
    """Writes the label maps of photos.

    Args:
        network: The trained network.
        photos: `Photos`.
        rows: List of the rows to write.
        path_of: Function from a row to the path of its label map.
        labels: Array `(n, classes)` of the classes that images hold, or
            `None` where they are not known.
        crf: Parameters of the dense CRF, or `None` for none.
        batch_size: Integer.
        verbose: 0, 1 or 2.
    """
    predict = tf.function(
        functools.partial(network, training=False), autograph=False
    )
    bar = keras.utils.Progbar(len(photos), verbose=verbose, unit_name="image")
    bar.update(len(photos) - len(rows), finalize=not rows)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for part, originals, batch in photos.chunks(rows, batch_size):
            maps = _suppressed(predict(tf.constant(batch)))[: len(part)]
            if labels is not None:
                maps = _restricted(maps, labels[part])
            refine = functools.partial(_labels, crf=crf)
            for row, found in zip(
                part, pool.map(refine, originals, maps), strict=True
            ):
                path = path_of(row)
                make_directory(os.path.dirname(path))
                write_label_map(path, found)
                bar.add(1)


def _suppressed(outputs):
    """Returns maps of classes, weighed by the network's own branch."""
    if isinstance(outputs, dict):
        outputs = ops.suppress_classes(outputs["masks"], outputs["classes"])
    return keras.ops.convert_to_numpy(outputs)


def _restricted(maps, labels):
    """Returns maps without the classes that are known not to be there."""
    known = np.pad(labels, ((0, 0), (1, 0)), constant_values=1)
    return maps * known[:, None, None].astype(maps.dtype)


def _labels(photo, maps, crf):
    """Returns the likeliest class of each pixel of a photo."""
    if crf is None:
        fitted = ops.resize(maps[None], photo.shape[:2])
        return np.argmax(keras.ops.convert_to_numpy(fitted)[0], axis=-1)
    refined = segmentation.refine_with_crf(photo, np.moveaxis(maps, -1, 0), crf)
    return refined.argmax(axis=0)
