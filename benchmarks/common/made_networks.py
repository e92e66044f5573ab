"""Stand-ins for the networks of the folder of photos.

They have the names of its layers and nothing of its training. Five classes
always come first, so that the objects of `made_folder` are among the best.
"""

import keras
import numpy as np
from keras import layers

from benchmarks.common.layer_names import HEIGHTS
from benchmarks.common.layer_names import LAYERS

CAFFE_MEAN_RGB = np.array([122.0, 117.0, 104.0], "float32")
SEGMENTER = "deeplabv3_mnv2_voc"
INPUT_SIZE = {**dict.fromkeys(LAYERS, 64), SEGMENTER: 64}
NUM_CLASSES, FILTERS = 20, 8
FIRST = 5


def preprocess(name, images):
    del name
    return np.asarray(images, "float32") - CAFFE_MEAN_RGB


def build(name, weights_dir=None, size=None, logits=False):
    """Returns a model as the folder's `tools/archs.py` does."""
    del weights_dir
    size = size or INPUT_SIZE[name]
    keras.utils.set_random_seed(0)
    if name == SEGMENTER:
        return _segmenter(size)
    inputs = keras.Input((size, size, 3), name="image")
    make = _squeezenet if name.startswith("squeezenet") else _mobilenet
    outputs = make(inputs, name)
    if not logits:
        outputs = layers.Softmax(name="prob")(outputs)
    model = keras.Model(inputs, outputs, name=name)
    first, *_, last = (x for x in model.layers if x.weights)
    kernel, bias = first.get_weights()
    first.set_weights([kernel / 64, bias])  # pixels are of that size
    kernel, bias = last.get_weights()
    last.set_weights([kernel, 5.0 * (np.arange(NUM_CLASSES) < FIRST)])
    return model


def _segmenter(size):
    """Scores of the background and of 20 classes, at each pixel."""
    inputs = keras.Input((size, size, 3), name="image")
    scores = layers.Conv2D(21, 1, name="scores")(inputs)
    return keras.Model(inputs, scores, name=SEGMENTER)


def _conv(x, name, filters=FILTERS, size=3, strides=1):
    return layers.Conv2D(filters, size, strides, padding="same", name=name)(x)


def _squeezenet(x, name):
    """Only the last fire module is one; the others are a convolution each."""
    del name
    x = layers.ReLU()(_conv(x, "conv1", strides=2))
    for fire in range(3, 9):
        x = _conv(x, None, strides=2 if fire in (3, 5) else 1)
        x = layers.ReLU(name=f"fire{fire}_concat")(x)
    x = _conv(x, "fire9_squeeze1x1", size=1)
    x = layers.ReLU(name="fire9_squeeze1x1_relu")(x)
    parts = [layers.ReLU()(_conv(x, None, size=k)) for k in (1, 3)]
    x = layers.Concatenate(name="fire9_concat")(parts)
    x = layers.ReLU(name="conv10_relu")(_conv(x, "conv10", NUM_CLASSES, 1))
    return layers.GlobalAveragePooling2D()(x)


def _mobilenet(x, name):
    heights = [*HEIGHTS[name], 2 * HEIGHTS[name][-1]]
    x = layers.ReLU(6)(_conv(x, "stem", strides=2))
    for number in reversed(range(len(LAYERS[name]))):
        layer = LAYERS[name][number]
        strides = heights[number + 1] // heights[number]
        if layer.endswith("_add"):
            x = layers.Add(name=layer)([x, _conv(x, None)])
        else:
            x = _conv(x, layer.removesuffix("_relu6"), strides=strides)
            x = layers.ReLU(6, name=layer)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(NUM_CLASSES, name="logits")(x)
