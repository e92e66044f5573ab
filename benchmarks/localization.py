"""How well maps find the object in real photos, and what spoils or mends it.

Three parts, each on networks trained on ImageNet:

`methods`  every explainer by its defaults beside tf-keras-vis, the image's
           centre and a flat map (a pixel drawn at random);
`layers`   one map per layer and formula, and fusions of layers, chosen on
           one half of the photos and reported on the other half and on
           networks that had no part in the choice;
`causes`   where the evidence of one position of the last layer comes from,
           what the border, the alignment, the size of the input and the
           explained score do.

All maps are cut at zero (`relu`) first. Intervals hold 95 % of 2,000 draws of
photos with replacement. The folder of photos is described in `_photos.py`.

    python benchmarks/localization.py --data DIR [--parts methods ...] [--quick]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _photos
import _timing
import numpy as np
from _layer_maps import BEFORE_MIXING
from _layer_maps import LAYERS
from _layer_maps import NETWORKS
from _localization_causes import causes
from _localization_layers import layers as layers_part
from _map_scores import BATCH
from _map_scores import Scores
from _map_scores import show
from _map_scores import summary
from scipy import ndimage

from keras_xmap import explainers

# Options other than the defaults, and those that need many passes: they see
# every k-th photo only, with fewer samples than their papers take.
OPTIONS = {
    "IntegratedGradients": {"num_steps": 20},
    "SmoothGrad": {"num_samples": 15},
    "RISE": {"num_masks": 200},
    "ScoreCAM": {"max_channels": 64},
    "Occlusion": {"patch_size": 48, "strides": 24},
}

SLOW = ("IntegratedGradients", "SmoothGrad", "RISE", "ScoreCAM", "Occlusion")

# Maps of single pixels, reported as they are and blurred by 1/20 of the side.
FINE = (
    "DeconvNet",
    "GradientInput",
    "GuidedBackprop",
    "GuidedGradCAM",
    "IntegratedGradients",
    "Saliency",
    "SmoothGrad",
)

# Methods see every k-th photo.
EVERY = {"coco_seg": 1, "imagenet_boxes": 3, "msrc": 1}

LEFT_OUT = {"ClassModel": "makes an image of a class, not a map of a photo"}


def methods(folder, quick, datasets, save):
    for dataset in datasets:
        for network in NETWORKS:
            photos = folder.photos(dataset, network)
            photos = photos.take(slice(0, None, EVERY[dataset]))
            if quick:
                photos = photos.take(slice(0, 40))
            step = max(1, len(photos) // (10 if quick else 40))
            title = f"{dataset}, {network}"
            print(f"\n{title}: {len(photos)} targets", flush=True)
            save(title, _compare(folder, network, photos, step, dataset))


def _compare(folder, network, photos, step, dataset):
    boxes = dataset == "imagenet_boxes"
    model = folder.network(network)
    some = photos.take(slice(0, None, step))
    scores, scores_of_some = Scores(photos, boxes), Scores(some, boxes)
    report = {}

    def add(name, values, photos):
        report[name] = summary(values, photos)
        for subset, member in photos.subsets.items():
            part = summary(values, photos, member) if member.any() else None
            report[name][subset] = part
        show(name, report[name])

    add("centre", scores.of(scores.centre()), photos)
    add("flat map", scores.of(scores.flat()), photos)
    for name in explainers.__all__:
        if name in LEFT_OUT:
            report[name] = {"left out": LEFT_OUT[name]}
            continue
        slow = name in SLOW
        if slow and dataset != "coco_seg":
            continue
        seen, judge = (some, scores_of_some) if slow else (photos, scores)
        options = OPTIONS.get(name, {})
        label = name + "".join(f", {k}={v}" for k, v in options.items())
        try:
            explainer = getattr(explainers, name)(model, **options)
            maps = explainer.explain(
                seen.images, seen.classes, batch_size=BATCH, verbose=0
            )
        except (TypeError, ValueError) as error:
            report[name] = {"refused": str(error).splitlines()[0]}
            print(f"  {name}: refused: {error}")
            continue
        add(label, judge.of(maps), seen)
        if name in FINE:
            blur = (0, maps.shape[1] / 20, maps.shape[2] / 20)
            maps = ndimage.gaussian_filter(np.maximum(maps, 0), blur)
            add(f"{label}, blurred", judge.of(maps), seen)
    # For the slow ones: what a fast one reaches on the same few photos.
    if dataset == "coco_seg":
        maps = explainers.GradCAM(model).explain(
            some.images, some.classes, verbose=0
        )
        add("GradCAM, photos of the slow ones", scores_of_some.of(maps), some)
    for label, layer in _default_and_others(network).items():
        explainer = explainers.LayerCAM(model, target_layer=layer)
        maps = explainer.explain(
            photos.images, photos.classes, batch_size=BATCH, verbose=0
        )
        add(label, scores.of(maps), photos)
    for name, maps in _peers(folder, network, photos):
        add(name, scores.of(maps), photos)
    return report


def _default_and_others(network):
    return {
        "LayerCAM, before the last mixing": BEFORE_MIXING[network],
        "LayerCAM, target_layer=2": 2,
        "LayerCAM, fused: all listed layers": LAYERS[network],
    }


def _peers(folder, network, photos):
    """tf-keras-vis, on a model without its softmax, batch by batch."""
    try:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.utils.scores import CategoricalScore
    except ImportError:
        return
    model = folder.network(network, logits=True)
    for peer in (Gradcam, GradcamPlusPlus, Saliency):
        explainer, maps = peer(model, clone=True), []
        try:
            for start in range(0, len(photos), BATCH):
                rows = slice(start, start + BATCH)
                score = CategoricalScore(photos.classes[rows].tolist())
                maps.append(np.asarray(explainer(score, photos.images[rows])))
        except Exception as error:  # the peer's, whatever it is
            print(f"  tf-keras-vis {peer.__name__}: {error}")
            continue
        yield f"tf-keras-vis {peer.__name__}", np.concatenate(maps)


PARTS = {"layers": layers_part, "causes": causes, "methods": methods}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _photos.add_data(parser)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--datasets", nargs="+", choices=EVERY, default=EVERY, help="of methods"
    )
    parser.add_argument(
        "--quick", action="store_true", help="40 photos; writes no file"
    )
    arguments = parser.parse_args(argv)
    folder = _photos.folder_of(parser, arguments)
    results = _timing.Results("localization", trial=arguments.quick)
    for part in arguments.parts:
        PARTS[part](
            folder, arguments.quick, arguments.datasets, results.of(part)
        )
    return results.found


if __name__ == "__main__":
    main()
