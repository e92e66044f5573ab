"""Files that are either whole or not there, on any filesystem of TensorFlow.

Paths may be local or of any scheme `tf.io.gfile` knows (`gs://`, `s3://`).
"""

import os
import uuid

import tensorflow as tf


def file_exists(path):
    """Returns whether a file or folder stands at `path`."""
    return tf.io.gfile.exists(os.fspath(path))


def make_directory(path):
    """Makes the folder `path` and those above it, where they are missing."""
    tf.io.gfile.makedirs(os.fspath(path))


def write_atomically(path, content):
    """Writes the bytes `content` to `path`: all of them, or none.

    They go to a new name beside `path`, which is then renamed: a reader, or
    a run that is killed, never leaves half a file under the real name.
    """
    path = os.fspath(path)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(content)
        tf.io.gfile.rename(temporary, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)
