"""Files of results: complete, and never in place of others by accident."""

import io

import numpy as np

from keras_xmap import _files


class OutputFolder:
    """A folder that results are written to.

    Args:
        path: The folder, made when the first file is written.
        force: Boolean: whether files that exist may be overwritten. Defaults
            to `False`.
    """

    def __init__(self, path, force=False):
        self.path = path
        self.force = force

    def check_free(self, names):
        """Checks, before any work is done, that `names` can be written."""
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                "Images must have different names. Received: more than one "
                f"result would be {repeated[0]}. Explain them one by one, "
                "with another `--directory` each."
            )
        taken = [name for name in names if self._exists(name)]
        if taken and not self.force:
            raise FileExistsError(
                "`--directory` must not hold the results already. Received: "
                f"{self.path}, which already holds {', '.join(taken[:5])}"
                f"{' and more' if len(taken) > 5 else ''}. Choose another "
                "`--directory`, or overwrite by `--force`."
            )

    def write_array(self, name, array):
        """Writes `array` as `.npy` and returns the path."""
        content = io.BytesIO()
        np.save(content, array)
        return self._write(name, content)

    def write_image(self, name, image):
        """Writes the RGB uint8 `image` as `.png` and returns the path."""
        from PIL import Image

        content = io.BytesIO()
        Image.fromarray(image).save(content, format="PNG")
        return self._write(name, content)

    def _exists(self, name):
        return _files.file_exists(f"{self.path}/{name}")

    def _write(self, name, content):
        _files.make_directory(self.path)
        path = f"{self.path}/{name}"
        _files.write_atomically(path, content.getvalue())
        return path
