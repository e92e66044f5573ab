"""How maps of labelled images become regions."""

import numpy as np
import tensorflow as tf
from keras import ops

from keras_xmap.erasing._together import raise_together
from keras_xmap.ops import above_threshold
from keras_xmap.targets import num_classes
from keras_xmap.targets import of_classes
from keras_xmap.targets import present_classes


class Mining:
    """Adds where a network looks, class by class, to the regions of a round.

    Args:
        threshold: Float, the share of a map's maximum above which it is a
            region.
        targets: Function from labels to classes, or `None`, see
            `callbacks.AdversarialErasing`.
        mask_threshold: Float, the same of regions that are not erased, or
            `None` for none. Defaults to `None`.
    """

    def __init__(self, threshold, targets, mask_threshold=None):
        self._threshold = threshold
        self._mask_threshold = mask_threshold
        self._targets = targets
        self._num_columns = 1
        self._num_classes = None

    def meet(self, explainer):
        """Looks at the explainer, which knows how many classes there are."""
        self._num_classes = num_classes(explainer)

    def try_on(self, data, explainer, workers):
        """Raises if the first images cannot be mined, before a round trains.

        Args:
            data: `RoundData`.
            explainer: An explainer of the model that is to train.
            workers: `distribution.Workers`.
        """
        for images in data.sets:
            for inputs, labels, ids in data.mining_data(images, workers):
                images.check()
                self._maps(explainer, inputs, labels, ids)
                break

    def mine(self, data, round_id, explainer, workers):
        """Adds the regions of a round, and returns what they are.

        Args:
            data: `RoundData`.
            round_id: Integer, the round that has trained.
            explainer: An explainer of the trained model.
            workers: `distribution.Workers`, each of which mines a part.

        Returns:
            Dictionary: `"new_share"`, the share of all pixels in regions of
            this round and of none before; `"area_share"`, in any region;
            `"num_regions"`.
        """
        for images in data.sets:
            totals = np.zeros(5)
            for batch in data.mining_data(images, workers):
                images.check()
                totals += self._mine(images, round_id, explainer, *batch)
            images.flush()
            *sums, num_images = workers.sum(totals.tolist())
            raise_together(
                workers, lambda s=images.seen, n=num_images: s.check_count(n)
            )
            data.keep(images)
            images.refresh()
            if images is data.trained:
                pixels, before, new, count = sums
        return {
            "num_regions": int(count),
            "new_share": new / max(pixels, 1),
            "area_share": (before + new) / max(pixels, 1),
        }

    def _mine(self, images, round_id, explainer, inputs, labels, ids):
        classes, is_class, maps = self._maps(explainer, inputs, labels, ids)
        _check_finite(ops.convert_to_numpy(maps)[is_class], round_id)
        ids = ids.numpy()
        masks = ops.convert_to_numpy(above_threshold(maps, self._threshold))
        rows, columns = np.nonzero(is_class)
        chosen = masks[rows, columns]
        if self._mask_threshold is not None:
            others = above_threshold(maps, self._mask_threshold)
            images.mask_store.add(
                ids[rows],
                classes[rows, columns],
                round_id,
                ops.convert_to_numpy(others)[rows, columns],
            )
        before = images.before(ids, masks.shape[-2:], round_id)
        images.store.add(ids[rows], classes[rows, columns], round_id, chosen)
        new = (masks & is_class[:, :, None, None]).any(axis=1) & ~before
        return before.size, before.sum(), new.sum(), len(chosen), len(ids)

    def _maps(self, explainer, inputs, labels, ids):
        """Returns classes of images, which of them count, and their maps."""
        classes, is_class = self._classes(labels.numpy())
        target = of_classes(explainer, classes)
        maps = next(
            explainer.explain_batches(inputs, target, batch_size=len(ids))
        )
        shape = tuple(maps.shape)
        if len(shape) != 4 or shape[:2] != classes.shape:
            raise ValueError(
                "`explainer` must return maps (batch, classes, height, width) "
                f"for classes of shape {classes.shape}. Received: maps of "
                f"shape {shape} from {explainer!r}."
            )
        return classes, is_class, maps

    def check_spec(self, spec):
        """Raises if labels of this `tf.TensorSpec` cannot be mined by."""
        if not isinstance(spec, tf.TensorSpec):
            raise ValueError(
                "Labels must be one dense tensor. Received: labels of "
                f"{spec}. Make them one with `dataset.map`."
            )
        if self._targets is None:
            shape = [2 if size is None else size for size in spec.shape]
            self._classes(np.zeros((1, *shape), spec.dtype.as_numpy_dtype))

    def check_labels(self, labels):
        """Raises if a batch of labels cannot be mined by."""
        classes, is_class = self._classes(labels)
        largest = classes[is_class].max(initial=0)
        if self._num_classes is not None and largest >= self._num_classes:
            raise ValueError(
                "Labels must tell classes of the model, from 0 to "
                f"{self._num_classes - 1}. Received: class {largest}. Give a "
                "function of the labels that returns such as `targets`."
            )

    def present(self, labels, count):
        """Returns which classes images have, boolean `(batch, count)`.

        A single unit stands for class 1, against class 0.
        """
        classes, is_class = self._classes(labels)
        rows, columns = np.nonzero(is_class)
        found = np.zeros((len(classes), max(count, 2)), "bool")
        found[rows, classes[rows, columns]] = True
        return found[:, 1:] if count == 1 else found

    def _classes(self, labels):
        """Returns the classes of images `(batch, columns)`, and which count.

        There are as many columns as any image had classes so far, so that
        the explainer is compiled but once for each number.
        """
        if self._targets is not None:
            labels = np.asarray(self._targets(labels))
        if labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1):
            numbers = _class_numbers(labels.reshape(-1))
            return numbers[:, None], np.ones((len(numbers), 1), "bool")
        if labels.ndim != 2 or labels.shape[1] == 0:
            raise _wrong_labels(labels)
        most = int((labels > 0.5).sum(axis=1).max(initial=1))
        self._num_columns = max(self._num_columns, most)
        return present_classes(labels, self._num_columns)


def _check_finite(maps, round_id):
    if not np.isfinite(maps).all():
        raise ValueError(
            "Maps must be finite, or what they show would pass for nothing "
            f"found. Received: maps with NaN or infinity after round "
            f"{round_id} has trained. Its training has diverged: begin anew "
            "with a lower learning rate, and an empty `directory`."
        )


def _class_numbers(labels):
    """Returns labels as integers: 0 and 1 may be floats or booleans."""
    whole = labels.dtype.kind in "biu" or (
        labels.dtype.kind == "f" and (labels == np.round(labels)).all()
    )
    if not whole or (labels < 0).any():
        raise _wrong_labels(labels)
    return labels.astype("int64")


def _wrong_labels(labels):
    is_numeric = labels.dtype.kind in "biuf" and labels.size
    values = (
        f", values from {labels.min()} to {labels.max()}" if is_numeric else ""
    )
    return ValueError(
        "Labels must be class numbers `(batch,)` or `(batch, 1)`, such as 0 "
        "and 1 of a single unit, or one value for each class `(batch, "
        "classes)`, above 0.5 for those in the image. Received: shape "
        f"{labels.shape}, dtype {labels.dtype}{values}. Give a function of the "
        "labels as `targets`, or leave images without one out of the dataset."
    )
