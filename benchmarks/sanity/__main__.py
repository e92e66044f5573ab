"""Do maps change when the network forgets? Weight randomisation of each method.

A trained SqueezeNet 1.1 forgets its last convolution, then its upper half,
then everything: kernels are drawn anew from a normal distribution of the
standard deviation they had, biases shuffled. The class explained stays that
of the trained network. Reported is Spearman's rank correlation between the
absolute maps before and after, and their structural similarity, means over
photos: 1 is a map that does not know what the network has learned.
([Adebayo et al., 2018](https://arxiv.org/abs/1810.03292))

    python -m benchmarks.sanity --data DIR
"""

import keras
import numpy as np
from scipy import stats
from skimage import filters
from skimage import metrics
from skimage import transform

from benchmarks.common import command
from benchmarks.common import methods
from keras_xmap import explainers

COUNT = 16  # photos
SHARES = {"last": 0, "upper half": 0.5, "all": 1}
NETWORK, SIDE, BATCH = "squeezenet_v1_1", 56, 8
# Fewer samples than the papers take.
OPTIONS = {
    "ClassModel": {"num_steps": 50},
    "DistinctClassSaliency": {"scales": (1,)},
    "IntegratedGradients": {"num_steps": 20},
    "Occlusion": {"patch_size": 48, "strides": 24},
    "RISE": {"num_masks": 200},
    "ScoreCAM": {"max_channels": 64},
    "SmoothGrad": {"num_samples": 15},
}


def forget(model, share, seed=0):
    """Draws the upper `share` of the convolutions anew; 0 is the last one."""
    generator = np.random.default_rng(seed)
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    count = max(1, round(share * len(convolutions)))
    for layer in convolutions[-count:]:
        kernel, bias = layer.get_weights()
        drawn = generator.normal(scale=kernel.std(), size=kernel.shape)
        layer.set_weights([drawn, generator.permutation(bias)])
    return count


def similarity(first, second):
    """Returns the means of Spearman's correlation and of SSIM over maps."""
    rank, structure = [], []
    for a, b in zip(first, second, strict=True):
        a, b = (peak_one(shrunk(np.abs(x))) for x in (a, b))
        if a.max() == 0 or b.max() == 0:
            # A dead map is another map, and has no ranks.
            rank.append(0.0)
        else:
            rank.append(stats.spearmanr(a.ravel(), b.ravel()).statistic)
        structure.append(metrics.structural_similarity(a, b, data_range=1.0))
    return [round(float(np.mean(x)), 3) for x in (rank, structure)]


def shrunk(x):
    return transform.resize(x, (SIDE, SIDE), anti_aliasing=True)


def peak_one(x):
    return x / x.max() if x.max() > 0 else x


def maps_of(name, model, photos, target):
    options = OPTIONS.get(name, {})
    explainer = getattr(explainers, name)(model, **options)
    if name == "ClassModel":
        made = np.asarray(explainer(target[: BATCH // 2].astype("int32")))
        return np.abs(made).max(axis=-1)
    if name == "DistinctClassSaliency":
        # Of two classes, that of the photo and the next one.
        number = model.output_shape[-1]
        target = np.stack([target, (target + 1) % number], axis=1)
    maps = explainer.explain(photos, target, batch_size=BATCH, verbose=0)
    return maps[:, 0] if maps.ndim == 4 else maps


def forgetting(folder, arguments, save):
    photos = folder.photos("coco_seg", NETWORK)
    count = min(COUNT, folder.limit or COUNT)
    step = max(1, len(photos) // count)
    images = photos.take(slice(0, None, step)).images[:count]
    trained = folder.network(NETWORK)
    target = trained.predict(images, verbose=0).argmax(axis=1)
    before = {
        name: maps_of(name, trained, images, target)
        for name in arguments.explainers
    }
    edges = np.stack([filters.sobel(x.mean(axis=-1)) for x in images])
    save("photos", {"number": len(images)})
    for name, maps in before.items():
        if name != "ClassModel":
            found = similarity(maps, edges)
            save(name, {"against edges of the photo": found})
    for title, share in arguments.shares.items():
        model = folder.network(NETWORK)
        count = forget(model, share)
        print(f"\n{title}: {count} convolutions forgotten", flush=True)
        for name, maps in before.items():
            after = maps_of(name, model, images, target)
            found = similarity(maps, after)
            save(name, {title: found})
            print(f"  {name:24} Spearman {found[0]:6.3f}  SSIM {found[1]:6.3f}")


PARTS = {"forgetting": forgetting}
SMOKE = {
    "photos": 2,
    "shares": {"all": 1},
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
    parser.set_defaults(shares=SHARES)
    return command.run(
        __package__, parser, PARTS, argv, photos=PARTS, smoke=SMOKE
    )


if __name__ == "__main__":
    main()
