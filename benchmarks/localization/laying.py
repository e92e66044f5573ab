"""What laying maps where their layer looks does, beside stretching them."""

import numpy as np

from benchmarks.common.map_scores import Scores
from benchmarks.common.map_scores import show
from benchmarks.common.map_scores import summary
from benchmarks.localization.layer_maps import enlarge
from benchmarks.localization.layer_maps import peaked
from benchmarks.localization.methods import maps_of
from keras_xmap import explainers

# Maps that are laid, and what makes them of a model.
LAID = {
    "GradCAM | last": (explainers.GradCAM, None),
    "LayerCAM | mean of 2 coarsest sizes": (explainers.LayerCAM, 2),
}


def laying(folder, arguments, save):
    """Scores maps of the same layers of the same photos, both ways."""
    for network in arguments.networks:
        print(f"\n{network}: maps that are stretched over the photo, and laid")
        photos = folder.photos("coco_seg", network)
        model = folder.network(network)
        judge = Scores(photos)
        report = {}
        for name, (method, layers) in LAID.items():
            laid, stretched, used = both(method, model, layers, photos)
            before = judge.of(stretched)
            report[f"{name}, stretched"] = summary(before, photos)
            report[f"{name}, laid"] = {
                "layers": used,
                **summary(judge.of(laid), photos, against=before),
            }
        for name, row in report.items():
            show(name, row)
        save(network, report)


def both(method, model, layers, photos):
    """Returns maps that are laid, maps that are stretched, and their layers.

    Args:
        method: Class of explainers.
        model: The network.
        layers: `target_layer` of the maps that are laid. Those that are
            stretched are of the same layers, and fused as the package does it.
        photos: `Photos`.
    """
    explainer = method(model, target_layer=layers)
    laid = maps_of(explainer, photos)
    used = explainer.layers_used
    small = [maps_of(method(model, x, resize=False), photos) for x in used]
    stretched = [enlarge(maps, laid.shape[1]) for maps in small]
    if len(used) > 1:
        stretched = [peaked(maps) for maps in stretched]
    return laid, np.mean(stretched, axis=0), used
