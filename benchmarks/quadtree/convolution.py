"""`QuadtreeConv2D` beside `Conv2D`, at several numbers of leaves a pixel."""

import itertools
import math

import keras
import numpy as np
import tensorflow as tf
from skimage import data

from benchmarks.common import timing
from keras_xmap import layers
from keras_xmap import ops

CONVOLUTION = {
    "size": 512,
    "channels": 32,
    "depth": 4,
    "shares": (0.03, 0.06, 0.12, 0.25, 0.5),  # leaves a pixel
    "blocks": (0.05, 0.1, 0.25, 0.5, 0.75),  # of all, that are touched
    "block_size": 16,
    "repeats": 3,
}
NUM_LEVELS = 6
FLOAT = 4  # bytes


def layer(folder, arguments, save):
    """One layer of the photo."""
    del folder
    _of_depth(1, arguments.convolution, save)


def stack(folder, arguments, save):
    """Layers behind each other, on one table."""
    del folder
    _of_depth(arguments.convolution["depth"], arguments.convolution, save)


def blocks(folder, arguments, save):
    """One layer of features, in the blocks that masks touch."""
    del folder
    setting = arguments.convolution
    for way, wrap in WAYS.items():
        layers_of = _of_blocks(setting).items()
        calls = {name: wrap(*made) for name, made in layers_of}
        rows = timing.ratios(calls, "dense", setting["repeats"])
        speed = {
            float(name): 1 / row["ratio"]
            for name, row in rows.items()
            if name != "dense"
        }
        found = {f"{share:g}": round(x, 2) for share, x in speed.items()}
        save(way, {"faster": found, "crossing": _crossing(speed)})
    save("setting", setting)


def _of_depth(depth, setting, save):
    """Times from a photo to features, as ratios of a round."""
    size, channels = setting["size"], setting["channels"]
    photo = data.astronaut()[:size, :size].astype("float32")[None]
    trees = [_tree(photo, share) for share in setting["shares"]]
    networks = _networks(photo, channels, depth, trees)
    for way, wrap in WAYS.items():
        calls = {name: wrap(*made) for name, made in networks.items()}
        rows = timing.ratios(calls, "dense", setting["repeats"])
        save(way, _found(rows, trees))
    save("memory", _memory(trees, size**2, channels, depth))
    save("setting", setting)


def _tree(photo, share):
    """Returns a threshold, the leaves a pixel, values and table."""
    low, high = 0.0, 255.0
    for _ in range(12):
        threshold = (low + high) / 2
        levels = ops.quadtree(photo, threshold, NUM_LEVELS)
        found = len(ops.quadtree_leaves(levels)) / levels.shape[1] ** 2
        low, high = (threshold, high) if found > share else (low, threshold)
    layer = layers.QuadtreeLeaves(threshold, data_format="channels_last")
    return threshold, found, *layer(photo)


def _networks(photo, channels, depth, trees):
    """Returns each network with what it is called on, on leaves twice:

    on leaves that are there, and on the photo, of which they are made.
    """
    image = keras.Input(photo.shape[1:])
    x = image
    for _ in range(depth):
        x = keras.layers.Conv2D(channels, 3, padding="same", activation="relu")(
            x
        )
    found = {"dense": (keras.Model(image, x), photo)}
    for threshold, share, values, table in trees:
        stack = [
            layers.QuadtreeConv2D(channels, activation="relu")
            for _ in range(depth)
        ]
        of_photo = layers.QuadtreeLeaves(threshold, data_format="channels_last")

        def on_leaves(inputs, stack=stack):
            x, table = inputs
            for layer in stack:
                x = layer([x, table])
            return x

        def on_photo(photo, of_photo=of_photo, on_leaves=on_leaves):
            return on_leaves(of_photo(photo))

        on_leaves([values, table])
        weights = [w.value for layer in stack for w in layer.weights]
        found[f"{share:.3f}"] = (on_leaves, [values, table], weights)
        found[f"{share:.3f} with tree"] = (on_photo, photo, weights)
    return found


def _of_blocks(setting):
    """Returns one layer each, dense and on the blocks that masks touch."""
    size, channels = setting["size"], setting["channels"]
    rng = np.random.default_rng(0)
    shape = (1, size, size, channels)
    features = rng.normal(size=shape).astype("float32")
    dense = keras.layers.Conv2D(channels, 3, padding="same")
    dense.build(shape)
    found = {"dense": (dense, features)}
    side = setting["block_size"]
    count = (size // side) ** 2
    for share in setting["blocks"]:
        mask = np.zeros(count, "float32")
        mask[rng.permutation(count)[: round(share * count)]] = 1.0
        mask = mask.reshape(1, size // side, size // side)
        mask = mask.repeat(side, axis=1).repeat(side, axis=2)
        layer = layers.BlockSparseConv2D(channels, block_size=side)
        layer([features, mask])
        weights = [w.value for w in layer.weights]
        found[f"{share:g}"] = (layer, [features, mask], weights)
    return found


def _forward(network, given, weights=None):
    del weights
    call = tf.function(network, autograph=False)
    given = keras.tree.map_structure(tf.constant, given)
    return lambda: call(given).numpy()


def _training(network, given, weights=None):
    weights = weights or [w.value for w in network.trainable_weights]
    given = keras.tree.map_structure(tf.constant, given)

    @tf.function(autograph=False)
    def gradients(given):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = tf.reduce_mean(tf.square(network(given)))
        return tape.gradient(loss, weights)

    return lambda: gradients(given)[0].numpy()


def _found(rows, trees):
    """Returns how many times faster than dense, and where no more."""
    found = {"ms of dense": rows["dense"]["ms"]}
    for suffix in ("", " with tree"):
        speed = {}
        for _, share, *_ in trees:
            row = rows[f"{share:.3f}{suffix}"]
            speed[share] = 1 / row["ratio"]
        found[f"faster{suffix}"] = {
            f"{share:.3f}": round(times, 2) for share, times in speed.items()
        }
        found[f"crossing{suffix}"] = _crossing(speed)
    print(found, flush=True)
    return found


def _crossing(speed):
    """Returns the share of which both take as long, between two measured."""
    shares = sorted(speed)
    for below, above in itertools.pairwise(shares):
        low, high = math.log(speed[below]), math.log(speed[above])
        if low > 0 >= high:
            part = low / (low - high)
            return round(below * (above / below) ** part, 3)
    return None


WAYS = {"forward": _forward, "training": _training}


def _memory(trees, pixels, channels, depth):
    """Returns how many times less is kept for the way back.

    What layers hand on, float32; and with the table of neighbors besides.
    """
    found = {}
    for _, share, values, table in trees:
        tensors = keras.tree.flatten(table)
        of_table = sum(np.asarray(tensor).nbytes for tensor in tensors)
        dense = depth * pixels * channels * FLOAT
        of_leaves = depth * values.shape[1] * channels * FLOAT
        found[f"{share:.3f}"] = {
            "values": round(dense / of_leaves, 1),
            "with table": round(dense / (of_leaves + of_table), 1),
        }
    return found
