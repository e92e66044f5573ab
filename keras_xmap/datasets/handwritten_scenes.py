"""Real handwritten digits hidden in clutter, with the masks of their ink."""

import typing

import numpy as np

from keras_xmap._repr import with_shapes
from keras_xmap.datasets._digit_scenes import digit_scenes

# The 1,797 digits are 14 forms filled in by 13 people, one after the other;
# the eleventh starts here. No form gives digits to both splits. Whether the
# person with two forms is in both is not recorded.
_FIRST_TEST_DIGIT = 1287


class HandwrittenScenes(typing.NamedTuple):
    """What `handwritten_scenes` returns."""

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray

    def __repr__(self):
        return with_shapes(self)


def handwritten_scenes(
    num_scenes: int,
    size: int = 64,
    num_classes: int = 10,
    multi_label: bool = False,
    split: str = "train",
    seed: int | None = None,
) -> HandwrittenScenes:
    """Composes scenes of handwritten digits in clutter, with pixel masks.

    An explanation can be checked where the truth is known: here the ink of
    the digit decides the label, and its mask says where the ink is. Nothing
    else in a scene tells the label: it lies on a crop of a photograph,
    among long scratches and among decoys as bright and as large as a digit:
    quarters of four digits, swapped corner to corner and laid on their side.

    A digit stands anywhere, clear of the decoys, turned by up to 15 degrees
    and 0.3 to 0.4 times the scene's side high. The digits are those of
    scikit-learn (8 x 8 pixels, from filled-in forms), the photographs those
    that ship with scikit-image; nothing is downloaded. `"train"` and `"test"`
    share no form and no part of a photograph. `printed_scenes` are the same
    with digits that need no scikit-learn.

    Args:
        num_scenes: Integer >= 1.
        size: Integer from 32 to 256, height and width in pixels. Defaults to
            `64`.
        num_classes: Integer from 1 to 10: the digits `0` to
            `num_classes - 1` are used, decoys included. Defaults to `10`.
        multi_label: Boolean. `False` for one digit in each scene; `True` for
            one to three digits of different classes (at most `num_classes`)
            that do not overlap. Defaults to `False`.
        split: `"train"` or `"test"`. Defaults to `"train"`.
        seed: Integer >= 0, with which the same arguments give the same
            scenes; or `None` for others each time, as in Keras. Defaults to
            `None`.

    Returns:
        A named tuple of arrays:

        - `images`: float32 `(num_scenes, size, size, 1)` in 0..1;
        - `labels`: int32 `(num_scenes,)`, each class as often as the others
          to within one; float32 `(num_scenes, num_classes)` of 0 and 1 if
          `multi_label`;
        - `masks`: bool `(num_scenes, size, size)`, `True` on the ink;
          `(num_scenes, size, size, num_classes)` if `multi_label`.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If an argument is not as above.

    References:
        - [Alpaydin & Kaynak,
          1998](https://archive.ics.uci.edu/ml/datasets/Optical+Recognition+of+Handwritten+Digits)

    Example:

    >>> scenes = keras_xmap.datasets.handwritten_scenes(20, size=48)
    >>> scenes.images.shape, scenes.masks.shape
    ((20, 48, 48, 1), (20, 48, 48))
    >>> np.bincount(scenes.labels)
    array([2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    return HandwrittenScenes(
        *digit_scenes(
            _load_digits,
            num_scenes,
            size,
            num_classes,
            multi_label,
            split,
            seed,
        )
    )


def _load_digits(split, num_classes):
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "handwritten_scenes takes its digits from scikit-learn. Received: "
            "a Python without it. Run: pip install keras-xmap[segmentation]; "
            "or call printed_scenes, which needs nothing more."
        ) from error
    images, classes = load_digits(return_X_y=True)
    part = slice(_FIRST_TEST_DIGIT)
    if split == "test":
        part = slice(_FIRST_TEST_DIGIT, None)
    images, classes = images[part].reshape(-1, 8, 8) / 16, classes[part]
    wanted = classes < num_classes
    return images[wanted], classes[wanted]
