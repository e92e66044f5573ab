"""Pictures in TensorBoard, beside the curves of Keras' own callback."""

import importlib.util
import os

import numpy as np


class TensorBoardFolder:
    """Writes pictures to a sub-folder, as Keras does `train` and `validation`.

    Args:
        log_dir: Text, the folder that TensorBoard is pointed to.
    """

    def __init__(self, log_dir):
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "`tensorboard` needs the package tensorboard. Received: a "
                'Python without it. `pip install "keras-xmap[tensorboard]"` '
                "adds it; PNG files, by `directory`, need none."
            )
        self._folder = os.path.join(log_dir, "explanations")
        self._writer = None

    def add(self, pictures, step):
        """Writes uint8 pictures, a dict of them by name."""
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self._folder)
        with self._writer.as_default():
            for name, picture in pictures.items():
                tf.summary.image(name, np.asarray([picture]), step=step)
        # Seen while training goes on, and kept if it is killed.
        self._writer.flush()

    def close(self):
        if self._writer is not None:
            self._writer.close()
            self._writer = None
