"""Why a last layer points beside the object."""

import json

import keras
import numpy as np
import tensorflow as tf
from _layer_maps import BEFORE_MIXING
from _layer_maps import LAYERS
from _layer_maps import NETWORKS
from _layer_maps import SCORES
from _layer_maps import enlarge
from _layer_maps import maps_of_layers
from _map_scores import BATCH
from _map_scores import Scores
from _map_scores import draws
from _map_scores import interval
from _map_scores import show
from _map_scores import summary

# Where the evidence of a position is traced back to, besides.
EARLIER = {"mobilenet_v2": "block12_add", "squeezenet_v1_1": "fire6_concat"}


def causes(folder, quick, datasets, save):
    for network in NETWORKS:
        photos = folder.photos("coco_seg", network)
        if quick:
            photos = photos.take(slice(0, 32))
        print(f"\n{network}: where a position's evidence comes from")
        save(f"{network}, evidence", displacement(folder, network, photos))
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


def displacement(folder, network, photos):
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
            "position stands on the object": interval(
                own.astype(float), draws(photos.names)
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
