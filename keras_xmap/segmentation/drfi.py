import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._files import check_path
from keras_xmap._files import read_file
from keras_xmap._files import write_atomically
from keras_xmap._installation import require_scikit_learn
from keras_xmap._repr import call_repr
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Number
from keras_xmap._typing import Path
from keras_xmap.segmentation._images_and_maps import check_image
from keras_xmap.segmentation._images_and_maps import check_map
from keras_xmap.segmentation._images_and_maps import entries
from keras_xmap.segmentation._images_and_maps import is_batch
from keras_xmap.segmentation._pixel_features import pixel_features
from keras_xmap.segmentation._regression_forest import NAMES
from keras_xmap.segmentation._regression_forest import RegressionForest
from keras_xmap.segmentation.region_descriptors import CONTRASTS
from keras_xmap.segmentation.region_descriptors import describe

# The 15 segmentations that weigh most in the authors' model: the deviation of
# the blur, the scale, and the pixels of the smallest region.
_LEVELS = (
    (0.8, 100, 150),
    (0.8, 400, 300),
    (0.9, 200, 200),
    (0.9, 100, 200),
    (0.8, 300, 150),
    (1, 200, 150),
    (0.9, 300, 300),
    (1, 100, 150),
    (1, 500, 300),
    (0.9, 200, 300),
    (0.8, 600, 200),
    (1, 600, 300),
    (0.8, 200, 150),
    (1, 500, 200),
    (0.8, 400, 150),
)
_NUM_DESCRIPTORS = 93
# A region is learned from if so much of it is object, or background.
_PURITY = 0.75
# How much more the salient regions of a level count than the others.
_EMPHASIS = 1.25
_FORMAT = "keras_xmap DRFI 1"
# What reading bytes that are no file of ours ends in.
_DAMAGED = (
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


class DRFI:
    """Learns from masks which regions of a photo are salient, of any class.

    Discriminative regional feature integration: the photo is cut into regions
    several times, more and less finely; each region is described by 93
    numbers (see `region_descriptors`); a forest of regression trees says how
    salient it is; and the maps of all cuts are averaged. What is not salient
    is background: the cue of AE-PSL for `pseudo_labels`, and what
    `guided_labels` takes for the extent of objects.

    Some hundred photos with masks are enough, of any objects. Not of the
    paper: the forest learns from these cuts themselves, without merging
    regions by a learned similarity first; regions of both kinds weigh the
    same in all; and all cuts count alike.

    `fit` needs scikit-learn: `pip install keras-xmap[segmentation]`.

    Args:
        levels: List of cuts by the method of Felzenszwalb and Huttenlocher,
            each `(stddev, scale, min_size)`: of the blur, the larger the
            coarser, and the pixels of the smallest region. They are meant for
            photos of about 400 x 300. Defaults to the 15 best of the authors.
        num_trees: Integer >= 1. Defaults to `200`.
        contrast: `"global"`, `"global_area"` or `"adjacent"`; see
            `region_descriptors`. Defaults to `"global"`.
        seed: Integer, makes the forest repeatable, or `None`. Defaults to
            `None`.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Jiang et al., 2014](https://arxiv.org/abs/1410.5926)
        - [Felzenszwalb & Huttenlocher, 2004](
          https://doi.org/10.1023/B:VISI.0000022288.19776.77)

    Example:

    >>> image = np.full((40, 60, 3), 40, "uint8")
    >>> image[10:30, 20:40] = (250, 120, 0)
    >>> model = keras_xmap.segmentation.DRFI(
    ...     levels=[(0.8, 100, 20)], num_trees=10, seed=0
    ... )
    >>> masks = [image[..., 0] > 40] * 10
    >>> saliency = model.fit([image] * 10, masks, verbose=0).predict(image)
    >>> float(saliency[20, 30]), float(saliency[5, 5])
    (1.0, 0.0)
    """

    def __init__(
        self,
        levels: Sequence[tuple[Number, Number, int]] = _LEVELS,
        num_trees: int = 200,
        contrast: Literal["global", "global_area", "adjacent"] = "global",
        seed: int | None = None,
    ) -> None:
        self.levels = _check_levels(levels)
        self.num_trees = check_positive_integer("num_trees", num_trees)
        self.contrast = check_one_of("contrast", contrast, CONTRASTS)
        self.seed = check_optional(check_seed, "seed", seed)
        self._forest: RegressionForest | None = None

    def __repr__(self) -> str:
        return call_repr(self)

    def fit(
        self,
        images: Sequence[ArrayLike],
        masks: Sequence[ArrayLike],
        verbose: str | int = "auto",
    ) -> "DRFI":
        """Learns from photos and the masks of what is salient in them.

        Args:
            images: List of arrays `(height, width)`, `(height, width, 1)` or
                `(height, width, 3)`, 0 to 255, of any sizes, or one array of
                them.
            masks: As many arrays `(height, width)`, booleans or numbers, of
                which those above half of the highest are object.
            verbose: `"auto"` or 1 for a progress bar, 0 for none. Defaults to
                `"auto"`.

        Returns:
            The object itself.

        Raises:
            ImportError: If scikit-learn is not installed.
            TypeError: If `images` or `masks` do not hold numbers.
            ValueError: If a shape or a value is not as above, or if the masks
                leave no region of the object, or none of the background.
        """
        require_scikit_learn("DRFI is fitted")
        images, masks = entries("images", images), entries("masks", masks)
        if len(images) != len(masks):
            raise ValueError(
                "There must be as many masks as images. Received: "
                f"len(images)={len(images)}, len(masks)={len(masks)}."
            )
        bar = _progress_bar(len(images), verbose)
        rows, is_object = [], []
        for image, mask in zip(images, masks, strict=True):
            for found, share in self._examples(image, mask):
                pure = np.maximum(share, 1 - share) >= _PURITY
                rows.append(found[pure].astype("float32"))
                is_object.append(share[pure] > 0.5)
            bar.add(1)
        counts = np.bincount(np.concatenate([*is_object, [0]]).astype(int))
        if len(counts) < 2 or counts[0] < 2:
            raise ValueError(
                "The masks must leave regions of an object and of the "
                f"background. Received: {len(images)} masks, that leave "
                f"{counts[0] - 1} of the background and "
                f"{counts[1] if len(counts) > 1 else 0} of an object."
            )
        values = np.concatenate(is_object).astype("float64")
        weights = np.where(values > 0, 1 / counts[1], 1 / (counts[0] - 1))
        seed = self.seed
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self._forest = RegressionForest.grown(
            np.concatenate(rows), values, weights, self.num_trees, seed
        )
        return self

    def predict(
        self, images: ArrayLike, verbose: str | int = "auto"
    ) -> np.ndarray | list[np.ndarray]:
        """Returns how salient each pixel is.

        Args:
            images: Array `(height, width)`, `(height, width, 1)` or `(height,
                width, 3)`, 0 to 255. Or several: an array `(batch, height,
                width, channels)`, or a list of images of any sizes.
            verbose: See `fit`; one image has no bar.

        Returns:
            Float32 map `(height, width)`, from 0 to 1, of which each is
            reached, or 0 throughout where no two regions differ. Of a batch
            that is an array, an array; of a list, a list.

        Raises:
            ValueError: If it has not been fitted, or if an image is not as
                above.
        """
        if self._forest is None:
            raise ValueError(
                "It must be fitted before it predicts. Received: an unfitted "
                f"{self!r}. Call `fit`, or `DRFI.load` of what was saved."
            )
        if not is_batch(images):
            return self._saliency(images)
        images = entries("images", images)
        bar = _progress_bar(len(images), verbose)
        maps = []
        for image in images:
            maps.append(self._saliency(image))
            bar.add(1)
        if isinstance(images, (list, tuple)) or not maps:
            return maps
        return np.stack(maps)

    def save(self, path: Path) -> None:
        """Writes what was fitted to one file.

        It is an `.npz` of plain arrays: no pickle, which would run code of
        whoever wrote it and be bound to a version of scikit-learn. What is
        loaded predicts the same, also without scikit-learn.

        Args:
            path: Where to, local or remote; a file that is there is replaced.

        Raises:
            ValueError: If it has not been fitted.
        """
        path = check_path("path", path)
        if self._forest is None:
            raise ValueError(
                "It must be fitted before it is saved. Received: an unfitted "
                f"{self!r}. Call `fit`."
            )
        options = {
            "format": _FORMAT,
            "levels": self.levels,
            "num_trees": self.num_trees,
            "contrast": self.contrast,
            "seed": self.seed,
        }
        content = io.BytesIO()
        arrays = self._forest.arrays()
        np.savez_compressed(content, options=json.dumps(options), **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> "DRFI":
        """Returns what `save` wrote.

        Args:
            path: Where it is, local or remote.

        Raises:
            OSError: If it cannot be read.
            ValueError: If it is not whole, or not of this class.
        """
        path = check_path("path", path)
        content = io.BytesIO(read_file(path))
        try:
            # NumPy stops before the end of an array, where its checksum is.
            if zipfile.ZipFile(content).testzip() is not None:
                raise zipfile.BadZipFile
            content.seek(0)
            with np.load(content) as file:
                options = json.loads(str(file["options"]))
                forest = RegressionForest(
                    **{name: file[name] for name in NAMES}
                )
            is_right = options.pop("format") == _FORMAT
            is_right = is_right and forest.is_whole(_NUM_DESCRIPTORS)
            model = cls(**options)
        except _DAMAGED as error:
            raise _no_file_of_ours(path) from error
        if not is_right:
            raise _no_file_of_ours(path)
        model._forest = forest
        return model

    def _saliency(self, image):
        image = check_image(image)
        total = np.zeros(image.shape[:2])
        for rows, segments in self._described(image):
            scores = _scaled(self._forest.predict(rows))
            total += _scaled(np.exp(_EMPHASIS * scores))[segments]
        return _scaled(total).astype("float32")

    def _examples(self, image, mask):
        """Yields a level's rows, and how much of each region is object."""
        image, mask = check_image(image), check_map(mask)
        if mask.shape != image.shape[:2]:
            raise ValueError(
                "A mask must be of the size of its image. Received: "
                f"image.shape={image.shape}, mask.shape={mask.shape}."
            )
        mask = mask > 0.5 * mask.max() if mask.dtype != bool else mask
        for rows, segments in self._described(image):
            inside = np.bincount(segments[mask], minlength=len(rows))
            yield rows, inside / np.bincount(segments.ravel())

    def _described(self, image):
        """Yields the rows and the segments of each level."""
        from skimage.segmentation import felzenszwalb

        features = pixel_features(image)
        # Of floats from 0 to 255 the scale would mean something else.
        image = np.broadcast_to(image / 255.0, (*image.shape[:2], 3))
        for stddev, scale, min_size in self.levels:
            segments = felzenszwalb(
                image, scale=scale, sigma=stddev, min_size=min_size
            )
            yield describe(features, segments, self.contrast), segments


def _scaled(values):
    low, high = values.min(), values.max()
    # Equal scores differ by rounding.
    if high - low < 1e-9:
        return np.zeros_like(values)
    return (values - low) / (high - low)


def _check_levels(levels):
    if not isinstance(levels, (list, tuple)) or not levels:
        raise ValueError(
            "`levels` must be a list of cuts (stddev, scale, min_size). "
            f"Received: levels={levels!r}."
        )
    checked = []
    for level in levels:
        if not isinstance(level, (list, tuple)) or len(level) != 3:
            raise ValueError(
                "`levels` must be a list of cuts (stddev, scale, min_size). "
                f"Received: one of them is {level!r}."
            )
        stddev, scale, min_size = level
        checked.append(
            (
                check_positive("stddev of a level", stddev),
                check_positive("scale of a level", scale),
                check_positive_integer("min_size of a level", min_size),
            )
        )
    return tuple(checked)


def _progress_bar(num_images, verbose):
    check_one_of("verbose", verbose, ("auto", 0, 1, 2, False, True))
    return keras.utils.Progbar(num_images, verbose=int(bool(verbose)))


def _no_file_of_ours(path):
    return ValueError(
        "`path` must be a file that `DRFI.save` wrote, of this version, and "
        f"whole. Received: path={path!r}. Fit it again, and save it."
    )
