"""The images of a comparison, gone through once for each method."""

import time

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap import explainers
from keras_xmap._files import checksum

NUM_KEPT = 16  # images for the sanity check and for pictures
_REPEATS = 5  # of the forward pass that the others are measured by


class Images:
    """Batches of images and what is explained of each.

    Attributes:
        number: Integer, how many images there are.
        checksums: List of the checksum of each batch.
        target: `Target` of all images, fixed.
        kept: List of pairs, the number of an image and its inputs, evenly
            chosen.
        channel_axes: See `Observer`.
        photo_of: Function of the number of an image that returns it as people
            see it, uint8, of data that know, as those of the command line;
            `None` of others.

    Args:
        model: The model.
        data: See `compare`. Its attribute `photo_of` is taken over.
        target: See `compare`.
        batch_size: Integer.
        score: See `compare`.
    """

    def __init__(self, model, data, target, batch_size, score):
        if hasattr(data, "__next__"):
            raise ValueError(
                "`data` must be there once for each method: arrays, a "
                "tf.data.Dataset or a keras.utils.PyDataset. Received: data="
                f"{data!r}, which can be gone through once."
            )
        self._data, self._batch_size = data, batch_size
        self.photo_of = getattr(data, "photo_of", None)
        self.number, self.checksums = 0, []
        self._keeper = _Keeper(NUM_KEPT)
        self._first = None
        observer = explainers.Observer(model, score=score)
        self.target = observer.fixed_target(self._observed(), target)
        if not self.target.is_single(self.target.parts):
            raise ValueError(
                "`target` must be one class for each image. Received: target="
                f"{target!r} of several. Compare for one after the other."
            )
        self.channel_axes = observer.channel_axes
        self.kept = self._keeper.chosen()
        self._observer = observer

    @property
    def num_batches(self):
        return len(self.checksums)

    def batches(self):
        """Yields numbers of images, their inputs and their target.

        Raises:
            ValueError: If they are not the images of the first pass.
        """
        start = 0
        source = engine.Source(self._data, self._batch_size)
        for number, (inputs, _) in enumerate(source):
            rows = np.arange(start, start + _size(inputs))
            start += len(rows)
            known = self.checksums[number : number + 1]
            if known != [_checksum(inputs)]:
                raise ValueError(
                    "`data` must be the same images in the same order each "
                    f"time. Received: another batch {number} than before. "
                    "Leave out `shuffle` and random changes, or pass "
                    "`reshuffle_each_iteration=False`."
                )
            yield rows, inputs, self.target_of(rows)

    def target_of(self, rows):
        """Returns the target of some images, by their numbers."""
        return explainers.of_images(self.target, np.array(rows))

    def image_in(self, inputs, input_name):
        """Returns the input that is meant, and the axis of its channels.

        `None` for both where several may be meant.
        """
        flat = engine.given(inputs)
        if len(flat) == 1:
            return flat[0], self.channel_axes[0]
        if input_name is None:
            return None, None
        x = inputs[input_name]
        number = [y is x for y in flat].index(True)
        return x, self.channel_axes[number]

    def sizes(self, inputs, input_name):
        """Returns the sizes of a map of an input, or `None` without any."""
        x, axis = self.image_in(inputs, input_name)
        if x is None:
            return None
        sizes = [n for i, n in enumerate(x.shape) if i not in (0, axis)]
        return tuple(sizes) or None

    def for_sanity(self):
        """Returns data and target of the images that are kept."""
        target = self.target_of([row for row, _ in self.kept])
        inputs = [inputs for _, inputs in self.kept]
        shapes = {
            tuple(tuple(x.shape) for x in keras.tree.flatten(one))
            for one in inputs
        }
        if len(shapes) > 1:
            return iter([(one,) for one in inputs]), target
        stacked = keras.tree.map_structure(
            lambda *x: None if x[0] is None else np.concatenate(x), *inputs
        )
        return stacked, target

    def _observed(self):
        for inputs, labels in engine.Source(self._data, self._batch_size):
            size = _size(inputs)
            self.checksums.append(_checksum(inputs))
            self._keeper.add(self.number, size, inputs)
            if self._first is None:
                self._first = inputs, size
            self.number += size
            yield (inputs,) if labels is None else (inputs, labels)

    def forward_seconds(self):
        """Measures what one image takes in a forward pass, as a float."""
        inputs, size = self._first
        target = self.target_of(np.arange(size))
        taken = []
        for _ in range(_REPEATS + 1):
            start = time.perf_counter()
            found = self._observer.explain_batches(inputs, target, size)
            list(found)
            taken.append(time.perf_counter() - start)
        # The first of this kind of target is traced.
        return float(np.median(taken[1:])) / size


def maps_of(explainer, inputs, target, size, input_name):
    """Returns the maps of a batch, checked.

    Args:
        explainer: The explainer.
        inputs: The batch.
        target: What is explained.
        size: Integer, the images in the batch.
        input_name: Which input is meant, or `None`.
    """
    found = explainer.explain_batches(inputs, target, batch_size=size)
    (maps,) = list(found)
    if isinstance(maps, (dict, list, tuple)):
        if input_name is None:
            raise ValueError(
                "`input_name` must name the input whose maps are measured. "
                f"Received: input_name=None and maps of {len(maps)} inputs."
            )
        maps = maps[input_name]
    if not np.isfinite(maps).all():
        raise ValueError(
            "An explainer must give finite maps. Received: maps with NaN "
            "or infinite values."
        )
    return maps


class _Keeper:
    """Keeps about so many things of a row whose length is not known."""

    def __init__(self, number):
        self._number = number
        self._stride = 1
        self._items = []

    def add(self, start, size, inputs):
        for row in range(start, start + size):
            if row % self._stride:
                continue
            one = engine.map_given(
                lambda x, i=row - start: np.array(
                    ops.convert_to_numpy(x[i : i + 1])
                ),
                inputs,
            )
            self._items.append((row, one))
            if len(self._items) > 2 * self._number:
                self._stride *= 2
                self._items = [
                    (r, x) for r, x in self._items if r % self._stride == 0
                ]

    def chosen(self):
        last = len(self._items) - 1
        number = min(self._number, last + 1)
        places = np.unique(np.linspace(0, last, number).round().astype(int))
        return [self._items[i] for i in places]


def _size(inputs):
    return int(engine.given(inputs)[0].shape[0])


def _checksum(inputs):
    found = 0
    for x in engine.given(inputs):
        array = np.ascontiguousarray(ops.convert_to_numpy(x))
        found = checksum(array.tobytes(), found)
    return found
