"""Which layers by rule, and which views, find the object best.

Each row is what a user can call, without a list of layers. The choice among
them is made on one half of the photos of two networks; reported are the other
half, and two networks that had no part in it.
"""

import functools

import keras
import numpy as np

from benchmarks.common.intervals import drawn_photos
from benchmarks.common.intervals import of_weighted_mean
from benchmarks.common.kept import kept
from benchmarks.common.map_scores import BATCH
from benchmarks.common.map_scores import Scores
from benchmarks.common.map_scores import summary
from benchmarks.localization.layer_maps import NETWORKS
from benchmarks.localization.layers import HELD_OUT
from keras_xmap import explainers

FLOOR = "GradCAM"
TWO = "LayerCAM, target_layer=2"
# Method, layers, views.
ROWS = {
    FLOOR: ("GradCAM", None, None),
    TWO: ("LayerCAM", 2, None),
    'LayerCAM, target_layer="stages"': ("LayerCAM", "stages", None),
    'LayerCAM, "stages", views=[1, 1.5]': ("LayerCAM", "stages", [1, 1.5]),
}
SMALL = "mask < 10 %"


def stages(folder, arguments, save):
    """Saves the choice on half 0, and figures of what it was not made on."""
    chosen_on = dict.fromkeys(ROWS, ())
    for network in (*NETWORKS, *HELD_OUT):
        photos = folder.photos("coco_seg", network)
        scores = _scores(folder, network, photos, arguments)
        rows = np.ones(len(photos), bool)
        if network in NETWORKS:
            rows, chosen = photos.half(1), photos.half(0)
            for name, values in scores.items():
                mean = values["pointing"][chosen].mean()
                chosen_on[name] = (*chosen_on[name], float(mean))
        if not rows.any():
            continue  # of a handful of photos
        report = {
            name: _of_row(values, scores, photos, rows)
            for name, values in scores.items()
        }
        for name, row in report.items():
            print(f"  {network}, {name}: {row}", flush=True)
        save(network, report)
    means = {k: round(float(np.mean(v)), 3) for k, v in chosen_on.items()}
    save("choice", means)


def _of_row(values, scores, photos, rows):
    """Returns the figures of a row; gains in IoU are over two sizes."""
    report = summary(values, photos, rows, against=scores[FLOOR])
    weights = drawn_photos(photos.names[rows])
    found = {k: report[k] for k in ("n", "pointing", "pointing gain", "iou")}
    difference = _at_best(values, rows) - _at_best(scores[TWO], rows)
    found["iou gain"] = of_weighted_mean(difference, weights)
    small = rows & photos.subsets[SMALL]
    if small.any():
        pointing = values["pointing"][small]
        found[SMALL] = [
            int(small.sum()),
            *of_weighted_mean(pointing, drawn_photos(photos.names[small])),
        ]
    return found


def _at_best(values, rows):
    """Overlaps at the one threshold that is best for the photos."""
    overlaps = values["iou"][rows]
    return overlaps[:, overlaps.mean(0).argmax()]


def _scores(folder, network, photos, arguments):
    """Returns a dictionary from the names of rows to scores of the photos."""
    judge = functools.cache(lambda: Scores(photos))
    model = functools.cache(lambda: _of_any_size(folder.network(network)))
    found = {}
    for name, (method, layer, views) in ROWS.items():

        def scores(method=method, layer=layer, views=views):
            explainer = getattr(explainers, method)(model(), layer)
            maps = explainer.explain(
                *(photos.images, photos.classes),
                batch_size=BATCH,
                views=views,
                verbose=0,
            )
            return judge().of(maps)

        case = ("localization", "stages", network, name, len(photos))
        found[name] = kept(case, scores, arguments)
        print(f"  {network}, {name}", flush=True)
    return found


def _of_any_size(model):
    """The same network without a size of its input, for views."""
    free = keras.models.clone_model(
        model, input_tensors=keras.Input((None, None, 3))
    )
    free.set_weights(model.get_weights())
    return free
