from collections.abc import Sequence
from typing import Any
from typing import Literal

import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_pair
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_threshold
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation import _label_maps


def pseudo_labels(
    maps: ArrayLike,
    saliency: ArrayLike | None = None,
    classes: Sequence[Any] | None = None,
    threshold: float = 0.2,
    saliency_threshold: float = 0.06,
    overlap: Literal["smallest", "highest", "ignore"] = "smallest",
    with_background: Literal["ignore", "class", "background"] = "ignore",
    unclaimed: Literal["ignore", "background"] = "ignore",
    size: tuple[int, int] | None = None,
) -> np.ndarray | list[np.ndarray]:
    """Makes label maps of classes' regions and a background cue.

    The region of a class is where its map exceeds a share of its maximum, and
    the background where nothing is salient. What neither claims, or both, is
    in doubt, as in AE-PSL. The result is what a segmentation network trains
    on, in the convention of PASCAL VOC.

    Args:
        maps: Array `(classes, height, width)` of the classes that are in the
            image: explanation maps, of which values below 0 count as 0, or
            regions as booleans, such as those of a `regions.RegionStore`. Or
            several: `(batch, classes, height, width)` or a list, whose
            entries may differ in the number of classes.
        saliency: Array `(height, width)`, bright where an object is, whatever
            its class, such as `DRFI` predicts; or booleans, such as the
            contrary of `background_cue`. For several images `(batch, height,
            width)` or a list. `None` where there is no background cue, which
            needs `unclaimed="background"`. Defaults to `None`.
        classes: List of the class of each map, integers from 0 to 253, or
            `None` for 0, 1, ... For several images a list of lists. Defaults
            to `None`.
        threshold: Float from 0 to below 1. Defaults to `0.2`, as CAM.
        saliency_threshold: Float from 0 to below 1: the background is where
            the saliency does not exceed this share of its maximum. Defaults
            to `0.06`, as AE-PSL.
        overlap: What a pixel of several classes becomes: `"smallest"`, the
            class of the smallest region; `"highest"`, that of the map with
            the highest share of its maximum; or `"ignore"`, 255. Defaults to
            `"smallest"`, as SEC.
        with_background: What a pixel of a class and of the background
            becomes: `"ignore"`, `"class"` or `"background"`. Defaults to
            `"ignore"`.
        unclaimed: What a pixel of neither becomes: `"ignore"` or
            `"background"`. Defaults to `"ignore"`.
        size: `(height, width)` of the labels, to which maps are resized
            linearly before they are cut, or `None` for that of the saliency,
            and without one that of the maps. Defaults to `None`.

    Returns:
        uint8 array `(height, width)`: 0 for the background, 1 more than the
        class, and 255 in doubt. Of several arrays an array, else a list.

    Raises:
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> maps = np.array([[[9.0, 5.0, 1.0, 0.0, 0.0]], [[0, 1.0, 0, 0, 1.0]]])
    >>> saliency = np.array([[1.0, 1.0, 0.5, 0.0, 0.0]])
    >>> keras_xmap.segmentation.pseudo_labels(maps, saliency, classes=[6, 14])
    array([[  7,   7, 255,   0, 255]], dtype=uint8)
    """
    check_threshold("threshold", threshold)
    check_threshold("saliency_threshold", saliency_threshold)
    check_one_of("overlap", overlap, ("smallest", "highest", "ignore"))
    known = ("ignore", "class", "background")
    check_one_of("with_background", with_background, known)
    check_one_of("unclaimed", unclaimed, ("ignore", "background"))
    if size is not None:
        size = check_pair("size", size, check_positive_integer)
    if saliency is None and unclaimed != "background":
        raise ValueError(
            "Without `saliency` nothing says what is background. Received: "
            f"saliency=None, unclaimed={unclaimed!r}. Pass a background cue, "
            "or unclaimed='background' for all that no class claims."
        )

    def label(maps, saliency, classes):
        maps = _label_maps.check_maps(maps)
        labels = _label_maps.check_classes(classes, maps)
        if saliency is not None:
            saliency = _label_maps.check_saliency(saliency)
        where = size or (maps if saliency is None else saliency).shape[-2:]
        shares = _label_maps.heights(maps, where)
        found = _join(shares, shares > threshold, labels, overlap)
        # Where no class claims a pixel, 0 stands for nothing yet.
        if saliency is None:
            return found
        salient = _label_maps.salient(saliency, where, saliency_threshold)
        if unclaimed == "ignore":
            found[(found == 0) & salient] = _label_maps.IGNORED
        both = (shares > threshold).any(axis=0) & ~salient
        if with_background != "class":
            ignores = with_background == "ignore"
            found[both] = _label_maps.IGNORED if ignores else 0
        return found

    values = {"maps": maps, "saliency": saliency, "classes": classes}
    if _label_maps.is_batch(maps):
        return _label_maps.for_each_image(label, **values)
    return label(**values)


def _join(shares, regions, labels, overlap):
    """Returns one label a pixel, 0 where no region is."""
    if overlap == "smallest":
        found = np.zeros(regions.shape[1:], "uint8")
        areas = regions.sum(axis=(1, 2))
        # The smallest is laid last, and of equal ones the first.
        for number in np.lexsort((-np.arange(len(areas)), -areas)):
            found[regions[number]] = labels[number]
        return found
    count = regions.sum(axis=0)
    nothing = np.zeros(regions.shape[1:], "uint8")
    if not len(labels):
        return nothing
    highest = labels[np.where(regions, shares, -1).argmax(axis=0)]
    found = np.where(count > 0, highest, nothing)
    if overlap == "ignore":
        found[count > 1] = _label_maps.IGNORED
    return found
