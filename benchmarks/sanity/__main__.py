"""Do maps change when the network forgets? Weight randomisation of each method.

A trained SqueezeNet 1.1 forgets its last convolution, then its upper half,
then everything, by `metrics.parameter_randomization`: weights start anew, and
the class explained stays that of the trained network. Reported is Spearman's
rank correlation between the absolute maps before and after, and their
structural similarity, means over photos: 1 is a map that does not know what
the network has learned.
([Adebayo et al., 2018](https://arxiv.org/abs/1810.03292))

    python -m benchmarks.sanity --data DIR
"""

import keras
import numpy as np
from keras import ops
from skimage import filters

from benchmarks.common import command
from benchmarks.common import methods
from keras_xmap import explainers
from keras_xmap import metrics

COUNT = 16  # photos
TITLES = ("last", "upper half", "all")  # what is forgotten
NETWORK, BATCH = "squeezenet_v1_1", 8
# Fewer samples than the papers take.
OPTIONS = {
    "ClassModel": {"num_steps": 50},
    "DistinctClassSaliency": {"scales": (1,)},
    "IntegratedGradients": {"num_steps": 20},
    "Occlusion": {"patch_size": 48, "strides": 24},
    "QuadtreeOcclusion": {"patch_size": 48, "strides": 3},
    "RISE": {"num_masks": 200},
    "ScoreCAM": {"max_channels": 64},
    "SmoothGrad": {"num_samples": 15},
}


class ClassModels(explainers.Explainer):
    """The image of each class that is answered, which sees no photo.

    Args:
        model: `keras.Model`.
        **options: Of `ClassModel`.
    """

    def __init__(self, model, **options):
        super().__init__(model)
        self._class_model = explainers.ClassModel(model, **options)

    def explain_batches(self, data, target=None, *args, **kwargs):
        made = self._class_model(target.parts["index"][: BATCH // 2])
        yield ops.convert_to_numpy(ops.max(ops.abs(made), axis=-1))

    def compute(self, inputs, target, parts):
        raise NotImplementedError


def explainer_of(name, model):
    """Returns the explainer of a name, for one class an image."""
    kind = getattr(explainers, name) if name != "ClassModel" else ClassModels
    return kind(model, **OPTIONS.get(name, {}))


def target_of(name, answers, num_classes):
    if name == "DistinctClassSaliency":
        # Of two classes, that of the photo and the next one.
        return np.stack([answers, (answers + 1) % num_classes], axis=1)
    return answers


def randomized(explainer, images, target):
    """Returns the similarity of maps, by what was forgotten."""
    convolutions = [
        layer
        for layer in explainer.model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    found = {}
    for steps in ([convolutions[-1]], 2):
        similar = metrics.parameter_randomization(
            explainer, images, target, steps=steps, batch_size=BATCH, verbose=0
        )
        found.update(similar)
    return dict(zip(TITLES, found.values(), strict=True))


def figures(similarity):
    return [round(similarity.absolute_spearman, 3), round(similarity.ssim, 3)]


def forgetting(folder, arguments, save):
    photos = folder.photos("coco_seg", NETWORK)
    count = min(COUNT, folder.limit or COUNT)
    step = max(1, len(photos) // count)
    images = photos.take(slice(0, None, step)).images[:count]
    model = folder.network(NETWORK)
    answers = model.predict(images, verbose=0).argmax(axis=1)
    edges = np.stack([filters.sobel(x.mean(axis=-1)) for x in images])
    save("photos", {"number": len(images)})
    for name in arguments.explainers:
        explainer = explainer_of(name, model)
        target = target_of(name, answers, model.output_shape[-1])
        if name != "ClassModel":
            maps = explainer.explain(images, target, BATCH, verbose=0)
            maps = maps[:, 0] if maps.ndim == 4 else maps
            found = figures(metrics.map_similarity(maps, edges))
            save(name, {"against edges of the photo": found})
        for title, similarity in randomized(explainer, images, target).items():
            found = figures(similarity)
            save(name, {title: found})
            print(
                f"  {name:24} {title:12} Spearman {found[0]:6.3f}  "
                f"SSIM {found[1]:6.3f}",
                flush=True,
            )


PARTS = {"forgetting": forgetting}
SMOKE = {
    "photos": 2,
    "explainers": ["GradCAM", "ClassModel", "DistinctClassSaliency"],
}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument(
        "--explainers",
        nargs="+",
        choices=methods.names(),
        default=methods.names(),
        help="the others stay",
    )
    return command.run(
        __package__, parser, PARTS, argv, photos=PARTS, smoke=SMOKE
    )


if __name__ == "__main__":
    main()
