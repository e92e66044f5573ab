"""One of several workers: fit as Keras has it, and as it is put right."""

import json
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf
from distribution.test_distribution import make_data
from distribution.test_distribution import make_image_model
from distribution.test_distribution import make_images
from distribution.test_distribution import make_model

from keras_xmap.callbacks import ExplanationLogger
from keras_xmap.distribution import Workers
from keras_xmap.distribution import distribution_safe
from keras_xmap.explainers import Saliency


def make_strategy():
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=(
            tf.distribute.experimental.CommunicationImplementation.RING
        )
    )
    return tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=options
    )


def log(strategy, directory):
    """Fits on images, and logs explanations to `directory`."""
    with strategy.scope():
        model = distribution_safe(make_image_model())
    logger = ExplanationLogger(
        Saliency(model), make_images(), 0, directory=directory
    )
    data = tf.data.Dataset.from_tensor_slices((make_images(), [0, 1]))
    model.fit(data.batch(2), epochs=2, verbose=0, callbacks=[logger])


def main():
    strategy = make_strategy()
    workers = Workers(strategy)
    assert workers.count == 2 and workers.is_chief == (workers.index == 0)
    assert workers.sum([1.0, workers.index]) == [2.0, 1.0]
    with strategy.scope():
        stock, model = make_model(), make_model()
    try:
        stock.fit(make_data(16, 8), verbose=0)
    except Exception as error:
        print("stock fit failed", type(error))
    model = distribution_safe(model)
    history = model.fit(
        make_data(16, 8), validation_data=make_data(8, 8), epochs=3, verbose=0
    )
    log(strategy, os.path.join(sys.argv[1], str(workers.index)))
    weights = [float(np.abs(w).sum()) for w in model.get_weights()]
    print(json.dumps([history.history["loss"], weights]), flush=True)


if __name__ == "__main__":
    main()
