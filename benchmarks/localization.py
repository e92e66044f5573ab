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
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _photos
import _timing
import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage

from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import ops as xmap_ops

NETWORKS = ("squeezenet_v1_1", "mobilenet_v2")
HELD_OUT = ("squeezenet_v1_0", "mobilenet_v1_075_192")
BATCH = 16

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

# From the last layer to the first; non-negative outputs, or sums of branches.
LAYERS = {
    "mobilenet_v2": [
        "conv_last_relu6",
        "block16_depthwise_relu6",
        "block16_expand_relu6",
        "block15_add",
        "block15_expand_relu6",
        "block13_expand_relu6",
        "block12_add",
        "block12_depthwise_relu6",
        "block10_expand_relu6",
        "block6_expand_relu6",
        "block3_expand_relu6",
    ],
    "mobilenet_v1_075_192": [
        "conv13_pointwise_relu6",
        "conv13_depthwise_relu6",
        "conv12_pointwise_relu6",
        "conv12_depthwise_relu6",
        "conv11_pointwise_relu6",
        "conv10_pointwise_relu6",
        "conv9_pointwise_relu6",
        "conv7_pointwise_relu6",
        "conv5_pointwise_relu6",
        "conv3_pointwise_relu6",
    ],
}
for _network in ("squeezenet_v1_0", "squeezenet_v1_1"):
    LAYERS[_network] = ["conv10_relu", "fire9_concat", "fire9_squeeze1x1_relu"]
    LAYERS[_network] += [f"fire{number}_concat" for number in range(8, 2, -1)]

# The input of the last layer that mixes neighbouring positions.
BEFORE_MIXING = {
    "mobilenet_v2": "block16_expand_relu6",
    "mobilenet_v1_075_192": "conv12_pointwise_relu6",
    "squeezenet_v1_0": "fire9_squeeze1x1_relu",
    "squeezenet_v1_1": "fire9_squeeze1x1_relu",
}

# Where the evidence of a position is traced back to, besides.
EARLIER = {"mobilenet_v2": "block12_add", "squeezenet_v1_1": "fire6_concat"}


# ---------------------------------------------------------------- scores


class Scores:
    """Scores of maps, one row per photo and class."""

    def __init__(self, photos, boxes=False):
        self.photos = photos
        self.boxes = boxes
        outside = [ndimage.distance_transform_edt(1 - m) for m in photos.masks]
        self.widened = (np.stack(outside) < 15).astype("float32")
        self._pointing = metrics.PointingGame()
        self._energy = metrics.EnergyInMask()
        self._iou = metrics.MeanIoU(num_thresholds=50)

    def of(self, maps):
        """Returns a dict of arrays `(n,)`; `iou` is `(n, thresholds)`."""
        parts = []
        for start in range(0, len(maps), BATCH):
            rows = slice(start, start + BATCH)
            masks = self.photos.masks[rows].astype("float32")
            some = np.maximum(maps[rows], 0).astype("float32")
            # Beyond six digits a plateau of equal values is not equal.
            peak = some.max((1, 2), keepdims=True)
            some = np.round(some / np.where(peak > 0, peak, 1), 6)
            parts.append(
                {
                    "pointing": self._pointing.image_scores(masks, some),
                    "pointing_15": self._pointing.image_scores(
                        self.widened[rows], some
                    ),
                    "energy": self._energy.image_scores(masks, some),
                    "iou": self._iou.image_scores(masks, some),
                }
            )
            parts[-1] = {k: np.asarray(v) for k, v in parts[-1].items()}
        scores = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        if self.boxes:
            pairs = zip(maps, self.photos.boxes, strict=True)
            scores["box"] = np.stack([self._boxed(*pair) for pair in pairs])
        return scores

    def _boxed(self, map, boxes):
        # At half the resolution, which takes a quarter of the time.
        metric = metrics.MaxBoxAccuracy(num_thresholds=40)
        map = np.maximum(map, 0)[::2, ::2]
        ends = np.maximum((boxes[:, 2:] - 1) // 2, boxes[:, :2] // 2)
        boxes = np.concatenate([boxes[:, :2] // 2, ends], axis=1)
        boxes = boxes.clip(0, len(map) - 1)
        metric.update_state(boxes[None], map[None])
        return metric.accuracies

    def centre(self):
        """A bump in the middle, a quarter of the side wide."""
        size = self.photos.masks.shape[1]
        bump = np.exp(-((np.arange(size) - size // 2) ** 2) / (size / 4) ** 2)
        return np.tile(bump[:, None] * bump, (len(self.photos), 1, 1))

    def flat(self):
        return np.ones(self.photos.masks.shape, "float32")


def summary(scores, photos, rows=slice(None), against=None):
    """Means over rows with intervals; thresholds are of the whole set.

    Args:
        scores: What `Scores.of` returned.
        photos: `Photos` of the same rows.
        rows: Which rows to report.
        against: Scores of other maps; adds the paired difference in pointing.
    """
    names = photos.names[rows]
    weights = _draws(names)
    report = {"n": len(names), "photos": len(set(names))}
    for key, values in scores.items():
        values = values[rows]
        if values.ndim == 2:
            values = values[:, values.mean(0).argmax()]
        report[key] = _interval(values, weights)
    if against is not None:
        gain = scores["pointing"][rows] - against["pointing"][rows]
        report["pointing gain"] = _interval(gain, weights)
    return report


def _draws(names, draws=2000):
    """Returns weights of rows, (draws, n), from drawing whole photos."""
    _, photo = np.unique(names, return_inverse=True)
    generator = np.random.default_rng(0)
    count = photo.max() + 1
    return generator.multinomial(count, np.full(count, 1 / count), draws)[
        :, photo
    ]


def _interval(values, weights):
    means = weights @ values / weights.sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(float(x), 3) for x in (values.mean(), low, high)]


def show(name, report, width=44):
    cells = [f"  {name:<{width}} n={report['n']:<4}"]
    for key in ("pointing", "pointing_15", "energy", "iou", "box"):
        if key in report:
            cells.append(f"{key} {report[key][0]:.3f}")
    low, high = report["pointing"][1:]
    cells.insert(2, f"[{low:.3f}, {high:.3f}]")
    if "pointing gain" in report:
        gain = report["pointing gain"]
        cells.append(f"gain {gain[0]:+.3f} [{gain[1]:+.3f}, {gain[2]:+.3f}]")
    print(" ".join(cells), flush=True)


# --------------------------------------------------------------- methods


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
    layers = _default_and_others(network)
    for label, (name, chosen) in layers.items():
        explainer = getattr(explainers, name)(model, target_layer=chosen)
        maps = explainer.explain(
            photos.images, photos.classes, batch_size=BATCH, verbose=0
        )
        add(label, scores.of(maps), photos)
    for name, maps in _peers(folder, network, photos):
        add(name, scores.of(maps), photos)
    return report


def _default_and_others(network):
    two = coarsest(network, 2)
    return {
        "LayerCAM, before the last mixing": (
            "LayerCAM",
            BEFORE_MIXING[network],
        ),
        "LayerCAM, fused: last layers of 2 sizes": ("LayerCAM", two),
        "LayerCAM, fused: all listed layers": ("LayerCAM", LAYERS[network]),
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


# ---------------------------------------------------------------- layers


def taps(model, names):
    """Returns a function of images, classes and a score: outputs, gradients.

    All layers are looked at in one forward and one backward pass.
    """
    outputs = [model.get_layer(name).output for name in names]
    tapped = keras.Model(model.input, [*outputs, model.output])

    @tf.function
    def run(images, classes, score):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            *outputs, logits = tapped(images, training=False)
            explained = SCORES[score](logits, classes)
        return outputs, tape.gradient(explained, outputs)

    return run


def _of_class(logits, classes):
    return tf.gather(logits, classes, batch_dims=1)


SCORES = {
    "logit": _of_class,
    "logit - mean of logits": lambda x, c: (
        _of_class(x, c) - tf.reduce_mean(x, -1)
    ),
    # Grad-CAM of the probability is this one's, times the probability.
    "log of probability": lambda x, c: _of_class(tf.nn.log_softmax(x), c),
}


PACKAGED = ("GradCAM", "GradCAMPlusPlus", "HiResCAM", "LayerCAM")


def formulas(model):
    """Maps of activations and gradients; the package's, and one more."""
    maps = {name: getattr(explainers, name)(model).map for name in PACKAGED}
    maps["sum of relu(g * A)"] = lambda a, g: tf.reduce_sum(
        tf.nn.relu(a * g), -1
    )
    return maps


def maps_of_layers(model, names, images, classes, score="logit"):
    """Returns a dict from (layer, formula) to maps of the layer's size."""
    run, maps = taps(model, names), {}
    methods = formulas(model)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        arguments = tf.constant(images[rows]), tf.constant(classes[rows])
        for name, *pair in zip(names, *run(*arguments, score), strict=True):
            for method, formula in methods.items():
                found = np.maximum(np.asarray(formula(*pair)), 0)
                maps.setdefault((name, method), []).append(found)
    return {key: np.concatenate(found) for key, found in maps.items()}


def enlarge(maps, size):
    maps = maps[..., None].astype("float32")
    return np.asarray(xmap_ops.resize(maps, (size, size)))[..., 0]


def peaked(maps):
    peak = maps.max((1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1)


def coarsest(network, count, sizes=None):
    """The last layer of each size, `count` of them from the end."""
    sizes = sizes or _sizes[network]
    found, size = [], 0
    for name in LAYERS[network]:
        if sizes[name] > 1.5 * size:
            found.append(name)
            size = sizes[name]
    return found[:count]


# Heights of the layers' outputs at the network's own input size.
_sizes = {
    "mobilenet_v2": dict(
        zip(
            LAYERS["mobilenet_v2"],
            [7] * 5 + [14] * 4 + [28, 56],
            strict=True,
        )
    ),
    "mobilenet_v1_075_192": dict(
        zip(
            LAYERS["mobilenet_v1_075_192"],
            [6] * 4 + [12] * 4 + [24, 48],
            strict=True,
        )
    ),
    "squeezenet_v1_1": dict(
        zip(LAYERS["squeezenet_v1_1"], [14] * 6 + [28] * 2 + [56], strict=True)
    ),
    "squeezenet_v1_0": dict(
        zip(
            LAYERS["squeezenet_v1_0"],
            [15, 13, 13, 27, 27, 27, 27, 55, 55],
            strict=True,
        )
    ),
}


def layers(folder, quick, datasets, save):
    kept = {}
    for network in (*NETWORKS, *HELD_OUT):
        photos = folder.photos("coco_seg", network)
        if quick:
            photos = photos.take(slice(0, 40))
        model = folder.network(network, logits=True)
        size = photos.masks.shape[1]
        judge = Scores(photos)
        found = maps_of_layers(
            model, LAYERS[network], photos.images, photos.classes
        )
        # Where nothing is negative the last formula is LayerCAM's.
        single = {
            (layer, method): judge.of(enlarge(maps, size))
            for (layer, method), maps in found.items()
            if method in PACKAGED or layer.endswith("_add")
        }
        last = single[LAYERS[network][0], "GradCAM"]
        reports = {"centre": summary(judge.of(judge.centre()), photos)}
        for (layer, method), values in single.items():
            report = summary(values, photos, against=last)
            reports[f"{layer} | {method}"] = report
        print(f"\ncoco_seg, {network}, all photos", flush=True)
        for name, report in reports.items():
            show(name, report)
        rules = _rules(network, found, size, judge)
        kept[network] = photos, rules, last
        save(f"{network}, layers", reports)
    save("choice", _choose(kept))
    for network, (photos, rules, last) in kept.items():
        held_out = network in HELD_OUT
        rows = slice(None) if held_out else photos.half(1)
        what = "held-out network" if held_out else "half 1 of the photos"
        print(f"\nrules, coco_seg, {network}: {what}")
        reports = {"rows": what}
        for name, values in sorted(
            rules.items(), key=lambda x: -x[1]["pointing"][rows].mean()
        ):
            report = summary(values, photos, rows, against=last)
            reports[name] = report
            show(name, report)
        save(f"{network}, rules", reports)


def _rules(network, found, size, judge):
    """Scores of rules that can be stated for any network."""
    names = LAYERS[network]
    of_two, of_three = coarsest(network, 2), coarsest(network, 3)
    groups = {
        "last": names[:1],
        "before the last mixing": [BEFORE_MIXING[network]],
        "last of the second coarsest size": of_two[1:],
        "2 coarsest sizes": of_two,
        "3 coarsest sizes": of_three,
        "all listed": names,
        "all listed but the last": names[1:],
    }
    scores = {}
    for method in ("GradCAM", "HiResCAM", "LayerCAM"):
        for group, members in groups.items():
            stack = np.stack(
                [peaked(enlarge(found[name, method], size)) for name in members]
            )
            if len(members) == 1:
                scores[f"{method} | {group}"] = judge.of(stack[0])
                continue
            fused = {"mean": stack.mean(0), "max": stack.max(0)}
            for how, maps in fused.items():
                scores[f"{method} | {how} of {group}"] = judge.of(maps)
    return scores


def _choose(kept):
    """The rule of the highest mean pointing on half 0 of two networks."""
    means = {
        rule: np.mean(
            [
                kept[network][1][rule]["pointing"][
                    kept[network][0].half(0)
                ].mean()
                for network in NETWORKS
            ]
        )
        for rule in kept[NETWORKS[0]][1]
    }
    ranking = sorted(means.items(), key=lambda item: -item[1])
    print("\nchosen on half 0 of squeezenet_v1_1 and mobilenet_v2:")
    for rule, mean in ranking[:8]:
        print(f"  {mean:.3f}  {rule}")
    return {rule: round(float(mean), 3) for rule, mean in ranking}


# ---------------------------------------------------------------- causes


def causes(folder, quick, datasets, save):
    for network in NETWORKS:
        photos = folder.photos("coco_seg", network)
        if quick:
            photos = photos.take(slice(0, 32))
        print(f"\n{network}: where a position's evidence comes from")
        save(f"{network}, evidence", _displacement(folder, network, photos))
        names = [LAYERS[network][0], BEFORE_MIXING[network]]
        model = folder.network(network, logits=True)
        judge = Scores(photos)
        size = photos.masks.shape[1]
        report = {}

        def add(name, maps, layer, against, judge=judge, report=report):
            values = judge.of(maps)
            label = f"{layer}: {name}"
            report[label] = summary(values, judge.photos, against=against)
            show(label, report[label], 60)
            return values

        print(f"{network}: variants")
        plain = {}
        for score in SCORES:
            found = maps_of_layers(
                model, names, photos.images, photos.classes, score
            )
            for name in names:
                label = f"GradCAM, score: {score}"
                maps = enlarge(found[name, "GradCAM"], size)
                values = add(label, maps, name, plain.get(name))
                plain.setdefault(name, values)
                if score == "logit":
                    small = found[name, "GradCAM"]
                    for shift in (4, 8, 12, 16):
                        maps = shifted(small, size, shift)
                        add(f"moved by {shift} px", maps, name, plain[name])
                    inner = np.zeros_like(small)
                    inner[:, 1:-1, 1:-1] = small[:, 1:-1, 1:-1]
                    maps = enlarge(inner, size)
                    add("border of the map zeroed", maps, name, plain[name])
        for side in (320, 448):
            larger = folder.photos("coco_seg", network, size=side)
            larger = larger.take(slice(0, len(photos)))
            found = maps_of_layers(
                folder.network(network, logits=True, size=side),
                names,
                larger.images,
                photos.classes,
            )
            for name in names:
                maps = enlarge(found[name, "GradCAM"], size)
                add(f"input of {side} px", maps, name, plain[name])
        border = 32
        padded = np.pad(
            photos.images,
            ((0, 0), (border, border), (border, border), (0, 0)),
            mode="reflect",
        )
        found = maps_of_layers(
            folder.network(network, logits=True, size=size + 2 * border),
            names,
            padded,
            photos.classes,
        )
        for name in names:
            maps = enlarge(found[name, "GradCAM"], size + 2 * border)
            maps = maps[:, border:-border, border:-border]
            add("reflected border, cropped", maps, name, plain[name])
        save(f"{network}, variants", report)


def shifted(maps, size, shift):
    """Enlarges maps as if each position stood `shift` pixels further on."""
    maps = enlarge(maps, size)
    rows = np.clip(np.arange(size) - shift, 0, size - 1)
    return maps[:, rows][:, :, rows]


def _displacement(folder, network, photos):
    """Traces the class score of single positions of the last layer back."""
    last = LAYERS[network][0]
    earlier = [BEFORE_MIXING[network], EARLIER[network]]
    model = folder.network(network, logits=True)
    head = model.layers[-1]
    names = [last, *earlier]
    outputs = [model.get_layer(name).output for name in names]
    tapped = keras.Model(model.input, outputs)
    size = photos.masks.shape[1]
    positions = tapped.output[0].shape[1]
    cell = size / positions

    @tf.function
    def run(images, classes, chosen, peak):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            features, *others = tapped(images, training=False)
            if isinstance(head, keras.layers.Dense):
                features = tf.einsum("bhwk,kc->bhwc", features, head.kernel)
            of_class = tf.gather(
                tf.transpose(features, (0, 3, 1, 2)), classes, batch_dims=1
            )
            flat = tf.reshape(of_class, (tf.shape(images)[0], -1))
            best = tf.argmax(flat, -1, output_type=tf.int32)
            chosen = tf.where(peak, best, chosen)
            score = tf.gather(flat, chosen, batch_dims=1)
        return chosen, others, tape.gradient(score, [images, *others])

    generator = np.random.default_rng(0)
    report = {}
    for which in ("highest position", "random position"):
        energy, traced, cells = [], {name: [] for name in earlier}, []
        for start in range(0, len(photos), BATCH):
            rows = slice(start, start + BATCH)
            images, classes = photos.images[rows], photos.classes[rows]
            drawn = generator.integers(0, positions**2, len(images))
            chosen, others, gradients = run(
                tf.constant(images),
                tf.constant(classes, tf.int32),
                tf.constant(drawn, tf.int32),
                tf.constant(which == "highest position"),
            )
            cells.append(np.asarray(chosen))
            energy.append(np.square(gradients[0]).sum(-1))
            for name, *pair in zip(earlier, others, gradients[1:], strict=True):
                positive = tf.nn.relu(pair[0] * pair[1])
                traced[name].append(np.asarray(positive).sum(-1))
        cells, energy = np.concatenate(cells), np.concatenate(energy)
        y = (cells // positions + 0.5) * cell
        x = (cells % positions + 0.5) * cell
        total = energy.sum((1, 2))
        alive = total > 0
        pixels = np.arange(size) + 0.5
        distance = np.hypot(
            pixels[None, :, None] - y[:, None, None],
            pixels[None, None] - x[:, None, None],
        )
        near = (energy * (distance < 32)).sum((1, 2))
        own = photos.masks[np.arange(len(cells)), y.astype(int), x.astype(int)]
        entry = report[which] = {
            "n": len(cells),
            "position stands on the object": _interval(
                own.astype(float), _draws(photos.names)
            ),
            "share of squared gradient within 32 px": round(
                float((near[alive] / total[alive]).mean()), 3
            ),
        }
        inner = alive & (np.abs(y - size / 2) < size / 6)
        inner &= np.abs(x - size / 2) < size / 6
        if inner.any():
            share = energy[inner] / total[inner, None, None]
            entry["centre of the gradient beside the position, px (y, x)"] = [
                round(float((share.sum(2) @ pixels - y[inner]).mean()), 1),
                round(float((share.sum(1) @ pixels - x[inner]).mean()), 1),
            ]
        judge = Scores(photos)
        for name in earlier:
            maps = enlarge(np.concatenate(traced[name]), size)
            peaks = maps.reshape(len(maps), -1).argmax(1)
            away = np.hypot(peaks // size - y, peaks % size - x)
            entry[f"its evidence in {name}"] = {
                "pointing": summary(judge.of(maps), photos)["pointing"],
                "median distance from the position, px": round(
                    float(np.median(away))
                ),
            }
        print(f"  {which}: {json.dumps(entry)}", flush=True)
    return report


PARTS = {"layers": layers, "causes": causes, "methods": methods}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default=os.environ.get(_photos.VARIABLE),
        help="folder described in benchmarks/_photos.py; defaults to the "
        f"environment variable {_photos.VARIABLE}",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--datasets", nargs="+", choices=EVERY, default=EVERY, help="of methods"
    )
    parser.add_argument(
        "--quick", action="store_true", help="40 photos; writes no file"
    )
    arguments = parser.parse_args(argv)
    if not arguments.data:
        parser.error(f"Expected --data, or {_photos.VARIABLE} set.")
    folder = _photos.Folder(arguments.data)
    results = {} if arguments.quick else _timing_results()
    for part in arguments.parts:

        def save(title, report, part=part):
            results.setdefault(part, {})[title] = report
            if not arguments.quick:
                _timing.write("localization", results)

        PARTS[part](folder, arguments.quick, arguments.datasets, save)
    return results


def _timing_results():
    """Results so far, so that parts can be run one at a time."""
    path = os.path.join(os.path.dirname(__file__), "results/localization.json")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return json.load(file)["results"]


if __name__ == "__main__":
    main()
