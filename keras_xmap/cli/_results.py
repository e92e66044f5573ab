"""What is written and told of each photo, while it goes on."""

import sys

import keras

from keras_xmap import visualization


class Writer:
    """Writes the maps and pictures of photos.

    Args:
        folder: `OutputFolder`.
        method: Name of the method.
        top_k: Integer: how many maps a photo has, or `None` for one.

    Attributes:
        num_photos: Integer: of how many maps are written.
        num_maps: Integer: how many those are.
        num_empty: Integer: how many of them are zero everywhere.
    """

    def __init__(self, folder, method, top_k):
        self._folder = folder
        ranks = [""]
        if top_k is not None:
            ranks = [f".top{number + 1}" for number in range(top_k)]
        self._endings = [f".{method}{rank}" for rank in ranks]
        self.num_photos = self.num_maps = self.num_empty = 0

    def check_free(self, files):
        """Checks, before any work is done, that results can be written."""
        self._folder.check_free(
            [
                file.name + ending + suffix
                for file in files
                for ending in self._endings
                for suffix in (".npy", ".png")
            ]
        )

    def write(self, sample, results):
        """Writes the maps of a photo and returns what is told of them."""
        lines = []
        for ending, (said, heatmap) in zip(self._endings, results, strict=True):
            name = sample.file.name + ending
            self._folder.write_array(f"{name}.npy", heatmap)
            picture = visualization.overlay(sample.picture, heatmap)
            path = self._folder.write_image(f"{name}.png", picture)
            empty = "" if heatmap.any() else " (zero everywhere)"
            self.num_maps += 1
            self.num_empty += bool(empty)
            lines.append(f"{sample.file.path}: {said} -> {path}{empty}")
        self.num_photos += 1
        return lines


class Progress:
    """Tells what is done: a line a map, and a bar where one can be seen.

    Lines would tear the bar apart, so that beside one they come at the end.

    Args:
        num_photos: Integer.
        batch_size: Integer: a single batch needs no bar.
    """

    def __init__(self, num_photos, batch_size):
        has_bar = sys.stdout.isatty() and num_photos > batch_size
        self._bar = None
        if has_bar:
            self._bar = keras.utils.Progbar(num_photos, unit_name="photo")
        self._num_photos = num_photos
        self._lines = []

    def say(self, lines):
        self._lines += lines
        if self._bar is None:
            self._print()

    def done(self, number):
        """Moves the bar to where so many photos are done."""
        if self._bar is not None and number < self._num_photos:
            self._bar.update(number)

    def end(self):
        if self._bar is not None:
            self._bar.update(self._num_photos, finalize=True)
        self._print()

    def _print(self):
        for line in self._lines:
            print(line, flush=True)
        self._lines = []
