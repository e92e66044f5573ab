"""The most that can be asked of a map: the same network, taught the masks.

Pixel attention sees no masks. Its attention network, trained on the true ones
of as many images, tells how well they can be drawn at all from these pixels;
cut and judged as the maps of `cuts` are.
"""

import itertools

import keras

from benchmarks.pixel_attention.cuts import SETS
from benchmarks.pixel_attention.cuts import scores
from benchmarks.pixel_attention.runs import saved
from keras_xmap import models

BATCH = 64


def taught(folder, arguments, save):
    del folder
    for name, seed in itertools.product(
        arguments.cut_sets or SETS, arguments.seeds or (0, 1, 2)
    ):
        draw, options, _ = SETS[name]
        keras.utils.set_random_seed(seed)
        data = draw(arguments.images, split="train", seed=seed, **options)
        test = draw(arguments.tested, split="test", seed=seed, **options)
        passes = arguments.taught_passes
        network = trained(data.with_mirrors(), passes)
        maps = 1 - network.predict(test.images, verbose=0)[..., 0]
        row = scores(test.masks, maps, float(test.masks.mean()))
        row = {"passes": passes, "n": len(test.images), **row}
        title = f"{name}, seed {seed}"
        if arguments.images:
            title += f", {arguments.images} images"
        saved(save, title, row)


def trained(data, passes):
    """The network after training, on masks as it puts them out: 0 inside."""
    network = models.attention_network(data.images.shape[1:])
    steps = passes * -(-len(data.images) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    network.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    outside = 1.0 - data.masks[..., None]
    network.fit(data.images, outside, BATCH, passes, verbose=0)
    return network
