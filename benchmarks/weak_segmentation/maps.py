"""Maps of the classes of photos: the methods that are compared.

A method is a function of a `Setting` that returns a function of a fold, which
returns a dictionary from names to maps `(photos, classes at most, rows,
columns)`: those of a classifier that has not seen the photos of the fold.
"""

import numpy as np

from benchmarks.common.labelled import SIZE
from benchmarks.weak_segmentation.choosing import PARAMETERS
from benchmarks.weak_segmentation.choosing import of_classes
from benchmarks.weak_segmentation.photos import BATCH
from benchmarks.weak_segmentation.photos import FEATURE_SIDE
from benchmarks.weak_segmentation.photos import SIDE
from benchmarks.weak_segmentation.photos import reduced
from keras_xmap import explainers
from keras_xmap import layers
from keras_xmap import models
from keras_xmap import ops
from keras_xmap import segmentation

ROUNDS, ERASED = 3, 0.5


def explained(name, make):
    """Makes a method of an explainer of the classifier."""

    def method(setting):
        explainer = make(setting.classifier)

        def of_fold(fold):
            setting.use(fold)
            return {name: _explained(explainer, setting)}

        return of_fold

    return method


def _explained(explainer, setting, target=None):
    if target is None:  # explainers know of no -1
        target = setting.labelled.target
        target = np.where(target < 0, target[:, :1], target)
    batches = explainer.explain_batches(setting.images, target, BATCH)
    return np.concatenate(
        [reduced(maps, SIDE, (2, 3)).astype("float16") for maps in batches]
    )


def distinct(setting):
    """Distinct class saliency, of a classifier of each position."""
    scorer = models.fully_convolutional(setting.classifier, pooling="position")
    last = scorer.layers[-1]
    dcsm = explainers.DistinctClassSaliency(
        scorer, scales=(1,), candidates="target"
    )

    def of_fold(fold):
        setting.use(fold)
        kernel, bias = setting.classifier.layers[-1].get_weights()
        last.set_weights([kernel[None, None], bias])
        target = setting.labelled.target
        return {"DCSM": _explained(dcsm, setting, target)}

    return of_fold


def erasing(setting):
    """CAM after each round, of what was not erased before."""
    images = setting.images
    mean = images.mean((0, 1, 2)).tolist()
    erase = layers.EraseRegions("mean", mean, dtype="float32")

    def of_fold(fold):
        found, total = {}, 0.0
        erased = np.zeros(images.shape[:3], bool)
        features = setting.features
        for number in range(1, ROUNDS + 1):
            if number > 1:
                features = _features_of_erased(setting, erase, erased)
            kernel, _ = setting.head(fold, features)
            maps = _class_maps(setting, features, kernel)
            total = np.maximum(total, maps)
            found[f"erasing, {number} rounds"] = total
            erased |= _enlarged((maps > ERASED).any(1))
        del found["erasing, 1 rounds"]  # which is CAM
        return found

    return of_fold


def _features_of_erased(setting, erase, erased):
    found = []
    for start in range(0, len(erased), BATCH):
        rows = slice(start, start + BATCH)
        images = erase([setting.images[rows], erased[rows]])
        found.append(setting.trunk.predict_on_batch(images))
    return np.concatenate(found)


def _class_maps(setting, features, kernel):
    """CAM of the classes of each photo, as shares of their maxima."""
    target = setting.labelled.target
    maps = np.zeros((*target.shape, SIDE, SIDE), "float32")
    for row in range(len(target)):
        classes = setting.classes(row)
        of_photo = np.moveaxis(features[row] @ kernel[:, classes], -1, 0)
        maps[row, : len(classes)] = ops.normalize(
            ops.resize(np.maximum(of_photo, 0)[..., None], (SIDE, SIDE))[
                ..., 0
            ],
            "max",
            axis=(1, 2),
        )
    return maps


def _enlarged(masks):
    times = SIZE // SIDE
    return masks.repeat(times, 1).repeat(times, 2)


def walked(name, method):
    """Makes a method that spreads the maps of another one by affinities."""

    def of_setting(setting):
        base = method(setting)

        def of_fold(fold):
            (maps,) = base(fold).values()
            return {name: _walked(setting, fold, maps)}

        return of_fold

    return of_setting


def _walked(setting, fold, maps):
    rows, columns = setting.train(fold), setting.columns(fold)
    of_photos = [
        of_classes(setting, row, maps) for row in range(len(setting.photos))
    ]
    labels = segmentation.confident_labels(
        setting.photos[rows],
        [of_photos[row] for row in rows],
        [setting.classes(row).tolist() for row in rows],
        parameters=PARAMETERS["sec"],
    )
    affinity = segmentation.Affinity(seed=fold)
    affinity.fit(columns[rows], labels, verbose=0)
    small = [reduced(x, FEATURE_SIDE, (1, 2)) for x in of_photos]
    found = np.zeros((*maps.shape[:2], FEATURE_SIDE, FEATURE_SIDE), "float32")
    for row, walked in enumerate(affinity.refine(columns, small)):
        found[row, : len(walked)] = walked
    return found


def layer_cam(classifier):
    return explainers.LayerCAM(classifier, "stages")


_CAM = explained("CAM", explainers.CAM)
_LAYER_CAM = explained("LayerCAM", layer_cam)
METHODS = {
    "CAM": _CAM,
    "RegionCAM": explained("RegionCAM", explainers.RegionCAM),
    "LayerCAM": _LAYER_CAM,
    "erasing": erasing,
    "affinity": walked("CAM, affinity", _CAM),
    "DCSM": distinct,
    "LayerCAM, affinity": walked("LayerCAM, affinity", _LAYER_CAM),
}
