"""Where the evidence of one position of the last layer comes from."""

import json

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common.intervals import drawn_photos
from benchmarks.common.intervals import of_weighted_mean
from benchmarks.common.layer_names import BEFORE_MIXING
from benchmarks.common.layer_names import LAYERS
from benchmarks.common.map_scores import BATCH
from benchmarks.common.map_scores import Scores
from benchmarks.common.map_scores import summary
from benchmarks.localization.layer_maps import enlarge

# Where the evidence of a position is traced back to, besides.
EARLIER = {"mobilenet_v2": "block12_add", "squeezenet_v1_1": "fire6_concat"}
NEAR = 32  # pixels


def evidence(folder, arguments, save):
    """Traces the class score of single positions of the last layer back."""
    for network in arguments.networks:
        print(f"\n{network}: where a position's evidence comes from")
        photos = folder.photos("coco_seg", network)
        model = folder.network(network, logits=True)
        earlier = [BEFORE_MIXING[network], EARLIER[network]]
        tracer = Tracer(model, LAYERS[network][0], earlier)
        generator = np.random.default_rng(0)
        report = {}
        for which in ("highest position", "random position"):
            found = tracer.trace(photos, which, generator)
            report[which] = _of_positions(photos, *found, tracer.positions)
            print(f"  {which}: {json.dumps(report[which])}", flush=True)
        save(network, report)


class Tracer:
    """Follows the score of a class at one position back to earlier layers.

    Args:
        model: Network that puts out logits.
        last: Name of the last layer that has positions.
        earlier: Names of layers before it.
    """

    def __init__(self, model, last, earlier):
        self.earlier = earlier
        self.head = model.layers[-1]
        outputs = [model.get_layer(name).output for name in (last, *earlier)]
        self.tapped = keras.Model(model.input, outputs)
        self.positions = outputs[0].shape[1]
        self.step = tf.function(self._step)

    def _step(self, images, classes, chosen, peak):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            features, *others = self.tapped(images, training=False)
            if isinstance(self.head, keras.layers.Dense):
                kernel = self.head.kernel
                features = tf.einsum("bhwk,kc->bhwc", features, kernel)
            of_class = tf.gather(
                tf.transpose(features, (0, 3, 1, 2)), classes, batch_dims=1
            )
            flat = tf.reshape(of_class, (tf.shape(images)[0], -1))
            best = tf.argmax(flat, -1, output_type=tf.int32)
            chosen = tf.where(peak, best, chosen)
            score = tf.gather(flat, chosen, batch_dims=1)
        return chosen, others, tape.gradient(score, [images, *others])

    def trace(self, photos, which, generator):
        """Returns positions, squared gradients, and maps of earlier layers."""
        energy, traced, cells = [], {name: [] for name in self.earlier}, []
        for start in range(0, len(photos), BATCH):
            rows = slice(start, start + BATCH)
            images, classes = photos.images[rows], photos.classes[rows]
            drawn = generator.integers(0, self.positions**2, len(images))
            chosen, others, gradients = self.step(
                tf.constant(images),
                tf.constant(classes, tf.int32),
                tf.constant(drawn, tf.int32),
                tf.constant(which == "highest position"),
            )
            cells.append(np.asarray(chosen))
            energy.append(np.square(gradients[0]).sum(-1))
            for name, *pair in zip(
                self.earlier, others, gradients[1:], strict=True
            ):
                positive = tf.nn.relu(pair[0] * pair[1])
                traced[name].append(np.asarray(positive).sum(-1))
        traced = {name: np.concatenate(maps) for name, maps in traced.items()}
        return np.concatenate(cells), np.concatenate(energy), traced


def _of_positions(photos, cells, energy, traced, positions):
    size = photos.masks.shape[1]
    cell = size / positions
    y = (cells // positions + 0.5) * cell
    x = (cells % positions + 0.5) * cell
    own = photos.masks[np.arange(len(cells)), y.astype(int), x.astype(int)]
    report = {
        "n": len(cells),
        "position stands on the object": of_weighted_mean(
            own.astype(float), drawn_photos(photos.names)
        ),
        **_of_gradients(energy, y, x),
    }
    judge = Scores(photos)
    for name, maps in traced.items():
        maps = enlarge(maps, size)
        peaks = maps.reshape(len(maps), -1).argmax(1)
        away = np.hypot(peaks // size - y, peaks % size - x)
        report[f"its evidence in {name}"] = {
            "pointing": summary(judge.of(maps), photos)["pointing"],
            "median distance from the position, px": round(
                float(np.median(away))
            ),
        }
    return report


def _of_gradients(energy, y, x):
    """How the squared gradient `(n, size, size)` lies about the positions."""
    size = energy.shape[1]
    total = energy.sum((1, 2))
    alive = total > 0
    pixels = np.arange(size) + 0.5
    distance = np.hypot(
        pixels[None, :, None] - y[:, None, None],
        pixels[None, None] - x[:, None, None],
    )
    near = (energy * (distance < NEAR)).sum((1, 2))
    share = float((near[alive] / total[alive]).mean()) if alive.any() else 0.0
    report = {f"share of squared gradient within {NEAR} px": round(share, 3)}
    inner = alive & (np.abs(y - size / 2) < size / 6)
    inner &= np.abs(x - size / 2) < size / 6
    if inner.any():
        share = energy[inner] / total[inner, None, None]
        report["centre of the gradient beside the position, px (y, x)"] = [
            round(float((share.sum(2) @ pixels - y[inner]).mean()), 1),
            round(float((share.sum(1) @ pixels - x[inner]).mean()), 1),
        ]
    return report
