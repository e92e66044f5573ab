"""The dense CRF in a step of training."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common import timing
from benchmarks.crf.photos import photo
from keras_xmap import layers


def training(folder, arguments, save):
    """The field as a constant, and with the gradient through it."""
    del folder
    rng = np.random.default_rng(0)
    batch, side, classes = (2, 12, 3) if arguments.small else (16, 41, 21)
    images = tf.constant(
        np.stack([photo("coffee", (side, side))] * batch), "float32"
    )
    logits = rng.normal(size=(batch, side, side, classes))
    logits = tf.Variable(logits.astype("float32"))
    crf = layers.DenseCRF("sec", data_format="channels_last")

    def step(through):
        with tf.GradientTape() as tape:
            q = crf([images, logits])
            q = q if through else tf.stop_gradient(q)
            p = keras.ops.softmax(logits)
            loss = tf.reduce_mean(
                tf.reduce_sum(q * tf.math.log((q + 1e-4) / (p + 1e-4)), -1)
            )
        return tape.gradient(loss, logits)

    def one_step(compiled, through):
        run = tf.function(step, jit_compile=compiled)
        return lambda: run(through).numpy()

    for name, through in [("constant", False), ("gradient through it", True)]:
        for suffix, compiled in [("", False), (", XLA", True)]:
            row = timing.alone(one_step(compiled, through), arguments.repeats)
            print(f"  {name}{suffix}: {row}", flush=True)
            save(f"{batch} x {side} x {side} x {classes}", {name + suffix: row})
