"""Whoever does as a refusal says finds the right map.

A row is a call that is refused, the words that say what to do instead, the
call that they lead to, and its result, found in another way.
"""

import functools
import os
import pathlib
import tempfile
from typing import NamedTuple

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import input_gradients
from explainers.networks import randomize
from keras import layers
from keras import ops
from reference.half_pixel import resize
from remedies_in_use import followed_by
from remedies_in_use import modules_of
from remedies_in_use import remedies

from keras_xmap import datasets
from keras_xmap import ops as xmap_ops
from keras_xmap import targets
from keras_xmap.explainers import CAM
from keras_xmap.explainers import ClassModel
from keras_xmap.explainers import DistinctClassSaliency
from keras_xmap.explainers import EigenCAM
from keras_xmap.explainers import Explainer
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import IntegratedGradients
from keras_xmap.explainers import Occlusion
from keras_xmap.explainers import QuadtreeOcclusion
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import ScoreCAM

pytestmark = pytest.mark.tensorflow

SIZE = 8
X = images(SIZE, SIZE, 2, count=2)
Y = images(SIZE, SIZE, 2, seed=1, count=2)
K = 1  # the class that is explained


class Row(NamedTuple):
    refused: object
    words: str
    followed: object
    expected: object


def chain(inputs, head=layers.GlobalAveragePooling2D, units=3, end=None):
    """A convolution, a head and `units` scores, with random weights."""
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = layers.Dense(units, activation=end, name="dense")(head()(x))
    return x


def image_input(**options):
    return keras.Input((SIZE, SIZE, 2), **options)


def made(inputs, outputs):
    model = keras.Model(inputs, outputs)
    randomize(model, 0.4, 0.1)
    return model


@functools.cache
def net(head=layers.GlobalAveragePooling2D, end=None):
    inputs = image_input()
    return made(inputs, chain(inputs, head, end=end))


@functools.cache
def logits(model):
    """The same model without what squashes its last layer."""
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.layers[-1].activation = keras.activations.linear
    return twin


@functools.cache
def pair():
    """Two images, by one encoder."""
    encoder = keras.Sequential(
        [
            image_input(),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
        ],
        name="encoder",
    )
    inputs = [image_input(name="left"), image_input(name="right")]
    x = layers.Concatenate()([encoder(x) for x in inputs])
    return made(inputs, layers.Dense(3)(x))


@functools.cache
def branches():
    """Two convolutions side by side, of unlike positions."""
    inputs = image_input()
    one = layers.Conv2D(3, 3, activation="relu", name="one")(inputs)
    two = layers.Conv2D(3, 3, 2, activation="relu", name="two")(inputs)
    pool = layers.GlobalAveragePooling2D
    x = layers.Concatenate()([pool()(one), pool()(two)])
    return made(inputs, layers.Dense(3)(x))


FRAMES = 3


@functools.cache
def folded(is_time_first=False):
    """A network on frames that are folded into the batch, and their mean."""
    inputs = keras.Input((FRAMES, SIZE, SIZE, 2))
    x = inputs
    if is_time_first:
        x = ops.transpose(x, (1, 0, 2, 3, 4))
    x = ops.reshape(x, (-1, SIZE, SIZE, 2))
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    if is_time_first:
        x = ops.mean(ops.reshape(x, (FRAMES, -1, 3)), 0)
    else:
        x = ops.mean(ops.reshape(x, (-1, FRAMES, 3)), 1)
    return made(inputs, layers.Dense(3, name="dense")(x))


CLIP = images(FRAMES, SIZE, SIZE, 2, count=2)


@functools.cache
def texts():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 4, name="embedding")(inputs)
    x = layers.Conv1D(3, 3, name="conv")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return made(inputs, layers.Dense(3)(x))


IDS = np.array([[1, 2, 3, 4, 5], [5, 6, 7, 8, 0]])


@functools.cache
def signed(model, score="logits", **options):
    return Saliency(model, None, score=score, **options)


def explained(data, model=None, target=K, **options):
    model = net() if model is None else model
    return signed(model, **options).explain(data, target, verbose=0)


def gradients(model=None, x=X, target=K):
    return input_gradients(net() if model is None else model, x, target)


def hires_of(model, layer="conv", x=X, target=K):
    """HiResCAM at the size of the layer, by a tape."""
    activations, slopes = activations_and_gradients(model, x, target, layer)
    return (activations * slopes).sum(-1)


def at_layer(model, layer="conv", method=HiResCAM, x=X, **options):
    explainer = method(model, layer, resize=False, **options)
    return explainer.explain(x, K, verbose=0)


def in_a_function(function, *specs):
    return tf.function(function, input_signature=list(specs), autograph=False)


SPEC = tf.TensorSpec((None, SIZE, SIZE, 2))


class Endless(keras.utils.PyDataset):
    def __getitem__(self, number):
        return X[number : number + 1]


class Ended(Endless):
    def __len__(self):
        return 2


@functools.cache
def open_end():
    """A score behind a sigmoid and arithmetic."""
    inputs = image_input()
    return made(inputs, 2 * ops.sigmoid(chain(inputs)) + 1)


@functools.cache
def several_outputs():
    inputs = image_input()
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(inputs))
    return made(inputs, {"a": layers.Dense(3)(x), "b": layers.Dense(2)(x)})


@functools.cache
def named(output):
    model = several_outputs()
    return keras.Model(model.inputs, model.output[output])


@functools.cache
def of_maps():
    inputs = image_input()
    return made(inputs, layers.Conv2D(3, 3, name="conv")(inputs))


@functools.cache
def means_of_maps():
    inputs = image_input()
    return keras.Model(inputs, ops.mean(of_maps()(inputs), axis=(1, 2)))


@functools.cache
def one_unit(end=None, loss=None):
    inputs = image_input()
    model = made(inputs, chain(inputs, units=1, end=end))
    if loss:
        model.compile(loss=loss)
    return model


@functools.cache
def smooth():
    """A model without a ReLU."""
    inputs = image_input()
    x = layers.Conv2D(3, 3, activation="tanh", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return made(inputs, layers.Dense(3, name="dense")(x))


@functools.cache
def turned():
    """Positions that are shuffled, which no geometry follows."""
    inputs = image_input()
    x = ops.sort(inputs, axis=1)
    return made(inputs, chain(x))


DATA = {
    "a path": Row(
        lambda: explained("photo.png"),
        r"Read the image first: `datasets.read_photo\(path\)\[np.newaxis\]`",
        lambda: explained(read()[np.newaxis], colours()),
        lambda: gradients(colours(), PIXELS.astype("float32")),
    ),
    "a picture": Row(
        lambda: explained(PIL.Image.fromarray(PIXELS[0]), colours()),
        r"Pass `np.asarray\(image\)\[np.newaxis\]`",
        lambda: explained(
            np.asarray(PIL.Image.fromarray(PIXELS[0]))[np.newaxis], colours()
        ),
        lambda: gradients(colours(), PIXELS.astype("float32")),
    ),
    "a function": Row(
        lambda: explained(lambda: X),
        "Call it, and pass what it returns",
        lambda: explained((lambda: X)()),
        gradients,
    ),
    "an endless dataset": Row(
        lambda: explained(tf.data.Dataset.from_tensors(X).repeat()),
        r"Remove `repeat\(\)` or add `take\(count\)`",
        lambda: explained(tf.data.Dataset.from_tensors(X).repeat().take(1)),
        gradients,
    ),
    "a PyDataset without an end": Row(
        lambda: explained(Endless()),
        "Define its `__len__`",
        lambda: explained(Ended()),
        gradients,
    ),
    "a sparse tensor": Row(
        lambda: explained(tf.sparse.from_dense(X)),
        "Make it dense, by `.*tf.sparse.to_dense`",
        lambda: explained(tf.sparse.to_dense(tf.sparse.from_dense(X))),
        gradients,
    ),
    "a ragged tensor": Row(
        lambda: explained(tf.RaggedTensor.from_tensor(X, ragged_rank=2)),
        r"Make it dense, by `.*x.to_tensor\(\)`",
        lambda: explained(
            tf.RaggedTensor.from_tensor(X, ragged_rank=2).to_tensor()
        ),
        gradients,
    ),
    "lists of numbers": Row(
        lambda: explained(X.tolist()),
        r"Pass `np.array\(images\)`",
        lambda: explained(np.array(X.tolist())),
        gradients,
    ),
    "complex numbers": Row(
        lambda: explained(X[..., 0] + 1j * X[..., 1]),
        "their real and imaginary parts as channels",
        lambda: explained(np.stack([X[..., 0], X[..., 1]], -1)),
        gradients,
    ),
    "an image with holes": Row(
        lambda: explained(HOLED),
        "Find them by `numpy.isfinite`",
        lambda: explained(HOLED[np.isfinite(HOLED).all((1, 2, 3))]),
        lambda: gradients(x=X[1:]),
    ),
    "a single image": Row(
        lambda: explained(X[0]),
        r"needs a batch axis, `images\[np.newaxis\]`",
        lambda: explained(X[0][np.newaxis]),
        lambda: gradients(x=X[:1]),
    ),
    "grey images": Row(
        lambda: explained(GREY[..., 0], grey()),
        r"grey images need a channel axis, `images\[..., np.newaxis\]`",
        lambda: explained(GREY[..., 0][..., np.newaxis], grey()),
        lambda: gradients(grey(), GREY),
    ),
    "an unknown rank in a function": Row(
        lambda: in_a_function(
            lambda x: signed(net())(x, K), tf.TensorSpec(None)
        )(X),
        r"Tell its shape by `x.set_shape\(...\)`",
        lambda: in_a_function(_of_known_shape, tf.TensorSpec(None))(X),
        gradients,
    ),
    "texts in a list": Row(
        lambda: explained(["a", "b"]),
        r"go in as an array: `np.array\(texts\)\[:, np.newaxis\]`",
        lambda: explained(
            np.array(["a", "b"])[:, np.newaxis], words(), target_layer="numbers"
        ),
        lambda: np.tile(words().layers[-1].get_weights()[0][:, K], (2, 1)),
    ),
}


HOLED = X.copy()
HOLED[0, 0, 0, 0] = np.nan


def _of_known_shape(x):
    x.set_shape((None, SIZE, SIZE, 2))
    return signed(net())(x, K)


@functools.cache
def grey():
    inputs = keras.Input((SIZE, SIZE, 1))
    return made(inputs, chain(inputs))


@functools.cache
def colours():
    inputs = keras.Input((SIZE, SIZE, 3))
    return made(inputs, chain(inputs))


def read():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "photo.png")
        PIL.Image.fromarray(PIXELS[0]).save(path)
        return datasets.read_photo(path)


@functools.cache
def words():
    inputs = keras.Input((1,), dtype="string")
    split = layers.TextVectorization(5, output_mode="multi_hot")
    split.adapt(["a", "b"])
    x = layers.Lambda(lambda x: ops.cast(x, "float32"), name="numbers")(
        split(inputs)
    )
    return made(inputs, layers.Dense(3)(x))


PIXELS = np.arange(3 * SIZE**2, dtype="uint8").reshape(1, SIZE, SIZE, 3)
GREY = images(SIZE, SIZE, 1, count=2)


LAYERS = {
    "no such layer": Row(
        lambda: at_layer(net(), "last"),
        "Layers that run: conv,",
        lambda: at_layer(net(), "conv"),
        lambda: hires_of(net()),
    ),
    "one of several calls": Row(
        lambda: explained([X, Y], pair(), target_layer="conv"),
        "Pass the call that is meant, as target_layer='encoder/conv:0'",
        lambda: explained([X, Y], pair(), target_layer="encoder/conv:0"),
        lambda: at_call(0),
    ),
    "a call that is not there": Row(
        lambda: explained([X, Y], pair(), target_layer="conv:2"),
        "called 2 times: the last is ':1'",
        lambda: explained([X, Y], pair(), target_layer="conv:1"),
        lambda: at_call(1),
    ),
    "a call from another input": Row(
        lambda: at_layer(pair(), "conv:0", x=[X, Y], input_name="right"),
        "made from input 0. .* another `input_name`",
        lambda: at_layer(pair(), "conv:0", x=[X, Y], input_name="left"),
        lambda: hires_of_call(0),
    ),
    "two images without a name": Row(
        lambda: HiResCAM(pair(), resize=False).explain([X, Y], K),
        "pass the one that is meant as `input_name`",
        lambda: HiResCAM(pair(), resize=False, input_name=1).explain([X, Y], K),
        lambda: hires_of_call(1),
    ),
    "a name that fits several layers": Row(
        lambda: explained(X, alike(), target_layer="conv"),
        "which fits a/conv, b/conv.* Pass the path, or the layer",
        lambda: explained(X, alike(), target_layer="b/conv"),
        lambda: at_hidden(alike(), "b"),
    ),
    "no input of that name": Row(
        lambda: explained([X, Y], pair(), input_name="centre"),
        "Inputs: 0, 1, 'left', 'right'",
        lambda: explained([X, Y], pair(), input_name="right"),
        lambda: of_pair()[1],
    ),
    "a layer and an input": Row(
        lambda: explained(X, target_layer="conv", input_name=0),
        "Leave one of them None",
        lambda: explained(X, input_name=0),
        gradients,
    ),
    "a dense layer": Row(
        lambda: at_layer(net(), "dense"),
        "Name the last convolution",
        lambda: at_layer(net(), "conv"),
        lambda: hires_of(net()),
    ),
    "a layer behind the score": Row(
        lambda: explained(X, ended(), target_layer="end"),
        'or behind the score: .* which score="output" includes',
        lambda: explained(X, ended(), target_layer="end", score="output"),
        lambda: np.eye(3)[[K, K]],
    ),
    "shuffled positions": Row(
        lambda: HiResCAM(turned(), "conv").explain(X, K),
        r"Explain the layer with `resize=False`, as in GradCAM\(model, 'conv'",
        lambda: at_layer(turned(), "conv", GradCAM),
        lambda: grad_cam_of(turned()),
    ),
    "an image beside its mirror image": Row(
        lambda: HiResCAM(mirrored(), "conv").explain(X, K),
        "far apart come together. Explain the layer with `resize=False`",
        lambda: at_layer(mirrored(), "conv"),
        lambda: hires_of(mirrored()),
    ),
    "no layer whose positions are known": Row(
        lambda: GradCAM(turned()).explain(X, K),
        "one before it, or this one with `resize=False`",
        lambda: at_layer(turned(), "conv", GradCAM),
        lambda: grad_cam_of(turned()),
    ),
    "frames folded into the batch": Row(
        lambda: HiResCAM(folded()).explain(CLIP, K),
        "such as 'conv'",
        lambda: at_layer(folded(), "conv", x=CLIP),
        lambda: of_frames(),
    ),
    "gradients at folded frames": Row(
        lambda: explained(CLIP, folded(), target_layer="conv"),
        r"or the layer by GradCAM\(model, 'conv'\)",
        lambda: at_layer(folded(), "conv", x=CLIP),
        lambda: of_frames(),
    ),
    "frames before the images": Row(
        lambda: HiResCAM(folded(True), "conv").explain(CLIP, K),
        r"Explain the input, as in Saliency\(model\)",
        lambda: explained(CLIP, folded(True)),
        lambda: gradients(folded(True), CLIP),
    ),
    "frames before the images, at their own size": Row(
        lambda: at_layer(folded(True), "conv", x=CLIP),
        r"Explain the input itself, as in Saliency\(model\)",
        lambda: explained(CLIP, folded(True)),
        lambda: gradients(folded(True), CLIP),
    ),
    "no convolution": Row(
        lambda: GradCAM(flat()).explain(X, K),
        "Explain the input by Saliency or SmoothGrad",
        lambda: explained(X, flat()),
        lambda: gradients(flat()),
    ),
    "ids": Row(
        lambda: explained(IDS, texts()),
        "Explain the first layer that makes numbers of them",
        lambda: explained(IDS, texts(), target_layer="embedding"),
        lambda: activations_and_gradients(texts(), IDS, K, "embedding")[1],
    ),
    "numbers that are rounded": Row(
        lambda: explained(X, rounded()),
        r"Occlusion\(model\) needs no gradient",
        lambda: Occlusion(rounded(), SIZE).explain(X, K)[:, 0, 0],
        lambda: (rounded()(X) - rounded()(0 * X)).numpy()[:, K],
    ),
    "ids that are covered": Row(
        lambda: Occlusion(texts()).explain(IDS, K),
        r"IntegratedGradients\(model, target_layer='embedding'\)",
        lambda: (
            IntegratedGradients(
                texts(), 200, target_layer="embedding", channel_reduction="sum"
            )
            .explain(IDS, K)
            .sum(1)
        ),
        lambda: above_zeros(texts(), IDS, "embedding"),
    ),
    "ids that are masked": Row(
        lambda: ScoreCAM(texts(), "conv").explain(IDS, K),
        "Name another `target_layer`, or use GradCAM",
        lambda: GradCAM(texts(), "conv", resize=False).explain(IDS, 0),
        lambda: grad_cam_of(texts(), IDS, 0),
    ),
}


@functools.cache
def over_rows():
    """A dense layer over the rows of images."""
    inputs = image_input()
    x = layers.Dense(3, activation="relu")(layers.Permute((2, 3, 1))(inputs))
    return made(inputs, layers.Dense(3)(layers.Flatten()(x)))


@functools.cache
def gated():
    """Two convolutions, and a gate by one whose positions are shuffled."""
    inputs = keras.Input((None, None, 2))
    gate = layers.Conv2D(2, 3, name="gate")(ops.sort(inputs, axis=1))
    x = inputs * ops.mean(gate, (1, 2), keepdims=True)
    x = layers.Conv2D(3, 3, activation="relu", name="one")(x)
    x = layers.Conv2D(3, 3, 2, activation="relu", name="two")(x)
    return made(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def _told(model):
    told = layers.Normalization(3, mean=[0.0] * 2, variance=[1.0] * 2)
    return keras.Sequential([image_input(), told, model])


@functools.cache
def widened():
    """Two rows of an image as one, which makes no grid of axes."""
    inputs = image_input()
    x = layers.Reshape((SIZE // 2, 2 * SIZE, 2))(inputs)
    x = layers.Conv2D(3, 1, activation="relu", name="conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return made(inputs, layers.Dense(3)(x))


@functools.cache
def decoded():
    """A map that is made of numbers."""
    inputs = image_input()
    x = layers.Dense(2 * SIZE**2, name="wide")(layers.Flatten()(inputs))
    return made(inputs, chain(layers.Reshape((SIZE, SIZE, 2))(x)))


@functools.cache
def staged():
    inputs = image_input()
    x = layers.Conv2D(3, 3, activation="relu", name="stages")(inputs)
    return made(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@functools.cache
def moved_apart():
    """The sum of two images, one of them mirrored."""
    inputs = [image_input(), image_input()]
    x = inputs[0][:, :, ::-1] + inputs[1]
    return made(inputs, chain(x))


def hires_of_moved():
    return hires_of(net_of(moved_apart()), x=X[:, :, ::-1] + Y)


def laid_as_it_is(maps):
    """A kernel of 3: positions begin one pixel inside, the border repeats."""
    return np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")


@functools.cache
def sorted_tokens():
    """Pixels as tokens, which are shuffled before a layer sees them."""
    inputs = image_input()
    x = layers.Reshape((SIZE**2, 2))(inputs)
    x = layers.Conv1D(3, 1, activation="relu", name="conv")(ops.sort(x, 1))
    x = layers.GlobalAveragePooling1D()(x)
    return made(inputs, layers.Dense(3)(x))


@functools.cache
def classified():
    """Tokens of patches behind a class token, which alone is classified."""
    inputs = image_input()
    x = layers.Reshape((16, 3))(layers.Conv2D(3, 2, 2)(inputs))
    x = ops.concatenate([ops.mean(x, axis=1, keepdims=True), x], axis=1)
    y = layers.LayerNormalization(name="norm")(x)
    x = layers.MultiHeadAttention(1, 3)(y, y)
    x = layers.LayerNormalization(name="last")(x)
    return made(inputs, layers.Dense(3)(x[:, 0]))


def _laid_upright(x):
    sizes = tf.shape(x)
    turned = lambda: tf.transpose(x, (0, 2, 1, 3))  # noqa: E731
    return tf.cond(sizes[1] > sizes[2], turned, lambda: x)


@functools.cache
def upright():
    """Turns images that are higher than they are wide."""
    inputs = keras.Input((None, None, 2))
    x = layers.Lambda(_laid_upright, output_shape=(None, None, 2))(inputs)
    return made(inputs, chain(x))


def _of_any_size(explainer):
    spec = tf.TensorSpec((None, None, None, 2))
    return in_a_function(lambda x: explainer(x, K), spec)


TALL = images(2 * SIZE, SIZE, 2, count=2)


def _in_a_function_of_size(resize):
    return _of_any_size(HiResCAM(upright(), "conv", resize=resize))(TALL)


def at_call(number):
    """Derivatives at a call of the encoder's convolution, by a tape."""
    return _of_call(number)[1]


def hires_of_call(number):
    activations, slopes = _of_call(number)
    return (activations * slopes).sum(-1)


def _of_call(number):
    model = pair()
    conv, pool = model.get_layer("encoder").layers
    maps = [tf.convert_to_tensor(conv(x)) for x in (X, Y)]
    with tf.GradientTape() as tape:
        tape.watch(maps)
        x = tf.concat([pool(x) for x in maps], -1)
        score = model.layers[-1](x)[:, K]
    return maps[number].numpy(), tape.gradient(score, maps)[number].numpy()


def of_pair():
    inputs = [tf.constant(X), tf.constant(Y)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        score = pair()(inputs)[:, K]
    return [x.numpy() for x in tape.gradient(score, inputs)]


@functools.cache
def alike():
    """Two blocks in a row, whose layers have the same names."""
    inputs = image_input()
    x = inputs
    for name in ("a", "b"):
        block = keras.Sequential(name=name)
        block.add(layers.Conv2D(2, 3, activation="relu", name="conv"))
        x = block(x)
    x = layers.GlobalAveragePooling2D()(x)
    return made(inputs, layers.Dense(3)(x))


def at_hidden(model, layer):
    return activations_and_gradients(model, X, K, layer)[1]


@functools.cache
def mirrored():
    inputs = image_input()
    x = ops.concatenate([inputs, inputs[:, :, ::-1]], axis=-1)
    return made(inputs, chain(x))


@functools.cache
def rounded():
    inputs = image_input()
    return made(inputs, chain(ops.round(inputs)))


@functools.cache
def ended():
    inputs = image_input()
    return made(inputs, layers.Softmax(name="end")(chain(inputs)))


@functools.cache
def flat():
    inputs = image_input()
    x = layers.Dense(4, activation="relu")(layers.Flatten()(inputs))
    return made(inputs, layers.Dense(3)(x))


def grad_cam_of(model, x=X, target=K):
    activations, slopes = activations_and_gradients(model, x, target, "conv")
    axes = tuple(range(1, slopes.ndim - 1))
    weighed = slopes.mean(axes, keepdims=True) * activations
    return np.maximum(weighed.sum(-1), 0)


def of_frames(model=None):
    """HiResCAM of each frame as of an image alone, for the mean of frames."""
    alone = net_of(model or folded())
    maps = [hires_of(alone, x=CLIP[:, n]) for n in range(FRAMES)]
    return np.stack(maps, 1) / FRAMES


def net_of(model):
    alone = keras.models.clone_model(net())
    alone.set_weights(model.get_weights())
    return alone


def above_zeros(model, x, layer):
    """How far scores are above those of a layer that puts out zeros."""
    hidden = model.get_layer(layer).output
    rest = keras.Model(hidden, model.outputs[0])
    values = keras.Model(model.inputs, hidden)(x)
    return (rest(values) - rest(0 * values))[:, K].numpy()


# Where positions lie, and which axes hold them.
PLACES = {
    "products over rows alone": Row(
        lambda: Saliency(over_rows()).explain(X, K),
        "take the derivatives of all values, as in "
        r"Saliency\(model, channel_reduction=None\)",
        lambda: explained(X, over_rows()),
        lambda: gradients(over_rows()),
    ),
    "products over rows alone, and channels that are told": Row(
        lambda: Occlusion(over_rows(), SIZE).explain(X, K),
        "Tell it by a layer in front of the model that changes nothing, for "
        r"axis .*3 keras.layers.Normalization\(3, mean=\[0.0\] \* 2, variance=",
        lambda: Saliency(_told(over_rows())).explain(X, K),
        lambda: np.abs(gradients(over_rows())).max(-1),
    ),
    "positions in another order": Row(
        lambda: HiResCAM(widened()).explain(X, K),
        "or name the `target_layer` that holds positions of it in another "
        "order, such as 'conv'",
        lambda: HiResCAM(widened(), "conv").explain(X, K),
        lambda: hires_of(widened()).reshape(2, SIZE, SIZE),
    ),
    "positions that are of no image": Row(
        lambda: HiResCAM(decoded()).explain(X, K),
        "or a layer for a map of its own positions, as in "
        r"GradCAM\(model, 'conv', resize=False\)",
        lambda: at_layer(decoded(), "conv"),
        lambda: hires_of(decoded()),
    ),
    "one of several calls, by its input": Row(
        lambda: at_layer(pair(), "conv", x=[X, Y]),
        "or the input that it is made from as `input_name`",
        lambda: at_layer(pair(), "conv", x=[X, Y], input_name="left"),
        lambda: hires_of_call(0),
    ),
    "a layer named as the word for stages": Row(
        lambda: HiResCAM(staged(), "stages").explain(X, K),
        "Pass the layer itself, or how many of the coarsest sizes",
        lambda: at_layer(staged(), staged().get_layer("stages")),
        lambda: hires_of(staged(), "stages"),
    ),
    "images that are moved against each other": Row(
        lambda: HiResCAM(moved_apart(), "conv").explain([X, Y], K),
        "not clear where the map should be laid.* Name the input by "
        "`input_name`, or pass `resize=False`",
        lambda: HiResCAM(moved_apart(), "conv", input_name=1).explain(
            [X, Y], K
        ),
        lambda: laid_as_it_is(hires_of_moved()),
    ),
    "tokens in an unknown order": Row(
        lambda: HiResCAM(sorted_tokens(), "conv").explain(X, K),
        "where its rows are tokens of an image in order, tell .*by "
        r"`tokens=\(rows, columns\)`",
        lambda: HiResCAM(sorted_tokens(), "conv", tokens=(SIZE, SIZE)).explain(
            X, K
        ),
        lambda: hires_of(sorted_tokens()).reshape(2, SIZE, SIZE),
    ),
    "tokens behind the last attention": Row(
        lambda: HiResCAM(classified(), "last").explain(X, K),
        "Name an earlier layer, such as the normalisation before the last",
        lambda: at_layer(classified(), "norm"),
        lambda: hires_of(classified(), "norm")[:, 1:].reshape(2, 4, 4),
    ),
    "axes that depend on the size": Row(
        lambda: _in_a_function_of_size(True),
        "must not depend on the size of the image.* Pass `resize=False`",
        lambda: _in_a_function_of_size(False),
        lambda: hires_of(upright(), x=TALL),
    ),
    "sizes that are not known": Row(
        lambda: _of_any_size(HiResCAM(gated(), 2))(X),
        "sizes of the layers are not known before .* Pass a list of layers",
        lambda: _of_any_size(HiResCAM(gated(), ["two", "one"]))(X),
        lambda: fused(HiResCAM, gated()),
    ),
    "no layer at all": Row(
        lambda: Saliency(net(), None, target_layer=[]),
        "Pass None for",
        lambda: explained(X, target_layer=None),
        gradients,
    ),
}

METHODS = {
    "CAM behind a flat head": Row(
        lambda: CAM(net(layers.Flatten)).explain(X, K),
        "Use HiResCAM, which is complete for those, or GradCAM",
        lambda: at_layer(net(layers.Flatten)),
        lambda: hires_of(net(layers.Flatten)),
    ),
    "CAM before a layer that is not linear": Row(
        lambda: CAM(net(), "conv", score="logits").explain(X, _squared),
        "Use GradCAM, or name the last layer before the pooling",
        lambda: GradCAM(net(), "conv", resize=False).explain(X, _squared),
        lambda: _grad_cam_of_squares(),
    ),
    "CAM before the last layer": Row(
        lambda: CAM(two_in_a_row(), "first").explain(X, K),
        "or name the last layer before the pooling as `target_layer`",
        lambda: at_layer(two_in_a_row(), "conv", CAM).mean((1, 2)),
        lambda: two_in_a_row()(X).numpy()[:, K] - two_in_a_row().weights[-1][K],
    ),
    "what one branch holds alone": Row(
        lambda: CAM(branches(), "one").explain(X, K),
        "past which the score sees it by .* GradCAM for what this layer holds "
        "alone",
        lambda: GradCAM(branches(), "one", resize=False).explain(X, K),
        lambda: np.maximum(hires_of_branch("one"), 0),
    ),
    "CAM of one branch": Row(
        lambda: CAM(branches(), "one").explain(X, K),
        "Pass target_layer=None for the sum of all branches",
        lambda: CAM(branches()).explain(X, K).mean((1, 2)),
        lambda: branches()(X).numpy()[:, K] - branches().weights[-1][K],
    ),
    "a method of one layer": Row(
        lambda: EigenCAM(branches()).explain(X, K),
        r"Fuse their maps by target_layer=\['two', 'one'\]",
        lambda: EigenCAM(branches(), ["two", "one"]).explain(X, K),
        lambda: fused(EigenCAM),
    ),
    "branches at their own size": Row(
        lambda: HiResCAM(branches(), resize=False).explain(X, K),
        "Pass `resize=True`, or name one of them as `target_layer`",
        lambda: at_layer(branches(), "two"),
        lambda: hires_of_branch("two"),
    ),
    "several layers at their own size": Row(
        lambda: HiResCAM(net(), ["conv", "conv"], resize=False),
        "Explain the layers one by one",
        lambda: at_layer(net(), "conv"),
        lambda: hires_of(net()),
    ),
    "no layer in the list": Row(
        lambda: HiResCAM(net(), []),
        "`None` means the last one",
        lambda: at_layer(net(), None),
        lambda: hires_of(net()),
    ),
    "guided without a ReLU": Row(
        lambda: GuidedBackprop(smooth()).explain(X, K),
        "needs a ReLU between .* Use an explainer that takes ordinary "
        "gradients, such as Saliency",
        lambda: explained(X, smooth()),
        lambda: gradients(smooth()),
    ),
    "distinct classes without a ReLU": Row(
        lambda: DistinctClassSaliency(smooth(), scales=(1,)).explain(X, K),
        'pass relu_rule="standard"',
        lambda: plain_dcs(smooth()),
        lambda: strongest_of(smooth()),
    ),
    "distinct classes at a fixed size": Row(
        lambda: DistinctClassSaliency(
            net(layers.Flatten),
            scales=(1, 2),
            candidates=None,
            relu_rule="standard",
        ).explain(X, K),
        r"or explain it at `scales=\(1,\)`",
        lambda: plain_dcs(net(layers.Flatten)),
        lambda: strongest_of(net(layers.Flatten)),
    ),
    "a way past all layers": Row(
        lambda: HiResCAM(beside()).explain(X, K),
        "Explain the input by Saliency .* or pass target_layer='conv'",
        lambda: at_layer(beside(), "conv"),
        lambda: hires_of_beside(),
    ),
    "more sizes than there are": Row(
        lambda: HiResCAM(net(), 3).explain(X, K),
        "for a model with the sizes of 'conv'",
        lambda: at_layer(net(), "conv"),
        lambda: hires_of(net()),
    ),
    "images of two sizes": Row(
        lambda: HiResCAM(of_two_sizes(), "conv").explain([X, WIDE], K),
        "to which size the map should be brought.* Name the input by "
        "`input_name`, or pass `resize=False`",
        lambda: at_layer(of_two_sizes(), "conv", x=[X, WIDE]),
        lambda: hires_of_two_sizes(),
    ),
    "integrated gradients at frames": Row(
        lambda: IntegratedGradients(clips(), 2, target_layer="conv").explain(
            CLIP, K
        ),
        "Name the TimeDistributed layer around it",
        lambda: IntegratedGradients(
            clips(), 2, target_layer="frames", channel_reduction="sum"
        ).explain(CLIP, K),
        lambda: of_frames(clips()),
    ),
    "a ReLU with a gradient of its own": Row(
        lambda: GuidedBackprop(hidden_relu()).explain(X, K),
        "did not reach these ReLUs.* Use an explainer that takes ordinary "
        "gradients, such as Saliency",
        lambda: explained(X, hidden_relu()),
        lambda: gradients(hidden_relu()),
    ),
    "a ReLU in a compiled function": Row(
        lambda: GuidedBackprop(compiled_relu()).explain(X, K),
        "or use an explainer that takes ordinary gradients, such as Saliency",
        lambda: explained(X, compiled_relu()),
        lambda: gradients(compiled_relu()),
    ),
    "a model that was never called": Row(
        lambda: in_a_function(
            lambda x: signed(unbuilt())(x, K),
            tf.TensorSpec((None, None, None, 2)),
        )(X),
        "Call the model once on a batch before",
        lambda: explained(X, called()),
        lambda: gradients(called()),
    ),
    "baselines of several layers": Row(
        lambda: IntegratedGradients(
            texts(), 2, [0, 0, 0], target_layer=["embedding", "conv"]
        ).explain(IDS, K),
        "or a list with one for each of them",
        lambda: (
            IntegratedGradients(
                texts(),
                2,
                [0, 0],
                target_layer=["embedding", "conv"],
                channel_reduction="sum",
            )
            .explain(IDS, K)[0]
            .sum(1)
        ),
        lambda: above_zeros(texts(), IDS, "embedding"),
    ),
    "candidates that are not known": Row(
        lambda: found_candidates("target"),
        "a threshold, a number of classes or a list of classes",
        lambda: np.eye(3)[found_candidates(1)[:, 0]],
        lambda: np.eye(3)[net()(X).numpy().argmax(-1)],
    ),
    "distinct classes without a convolution": Row(
        lambda: DistinctClassSaliency(flat(), scales=(1,)).explain(X, K),
        "Name the `target_layer`",
        lambda: plain_dcs(net(), "conv"),
        lambda: strongest_of(net()),
    ),
    "distinct classes at no size": Row(
        lambda: DistinctClassSaliency(net(), scales=()),
        r"One size is `scales=\(1,\)`",
        lambda: plain_dcs(net()),
        lambda: strongest_of(net()),
    ),
    "distinct classes of two images": Row(
        lambda: DistinctClassSaliency(
            pair(), target_layer=["conv:0", "conv:1"], scales=(1,)
        ).explain([X, Y], K),
        "Pass those of one input as `target_layer`",
        lambda: DistinctClassSaliency(
            pair(),
            target_layer="conv:0",
            relu_rule="standard",
            scales=(1,),
            candidates=None,
            alpha=1.0,
        ).explain([X, Y], K),
        lambda: np.tanh(laid(at_call(0))),
    ),
    "a score in a compiled function": Row(
        lambda: explained(X, compiled_end()),
        'Pass score="output" to explain the output as it is',
        lambda: explained(X, compiled_end(), score="output"),
        lambda: gradients(compiled_end()),
    ),
    "a window of too many axes": Row(
        lambda: Occlusion(net(), (2, 2, 2)).explain(X, K),
        "An integer serves inputs of every number of axes",
        lambda: Occlusion(net(), SIZE).explain(X, K)[:, 0, 0],
        lambda: (net()(X) - net()(0 * X)).numpy()[:, K],
    ),
    "a shape and a start": Row(
        lambda: ClassModel(linear())(K, shape=(4,), start=np.ones((1, 4))),
        "Pass `shape` or `start`, not both",
        lambda: ClassModel(linear(), num_steps=1, learning_rate=0.5)(
            K, start=np.ones((1, 4), "float32")
        ),
        lambda: _one_step(ClassModel(linear()).weight_decay),
    ),
    "an image of no class": Row(
        lambda: ClassModel(linear())(None),
        "Pass a class, such as `target=3`",
        lambda: ClassModel(linear(), weight_decay=0.1)(K),
        lambda: linear().get_weights()[0][None, :, K] / 0.2,
    ),
    "an image that grows": Row(
        lambda: ClassModel(linear(), learning_rate=20.0, weight_decay=0.1),
        "Pass learning_rate < 10",
        lambda: ClassModel(linear(), learning_rate=9.0, weight_decay=0.1)(K),
        lambda: linear().get_weights()[0][None, :, K] / 0.2,
    ),
    "an image of no known shape": Row(
        lambda: ClassModel(unbuilt())(K),
        "Pass `shape`, or, for several inputs, `start`",
        lambda: ClassModel(called(), num_steps=1, weight_decay=0.0)(
            K, shape=(SIZE, SIZE, 2)
        ),
        lambda: gradients(called(), 0 * X[:1]),
    ),
    "several images of a class": Row(
        lambda: ClassModel(linear(), weight_decay=0.1)([[0, 1]]),
        r"Pass the classes as an array \(n,\)",
        lambda: ClassModel(linear(), weight_decay=0.1)([0, 1]),
        lambda: linear().get_weights()[0][:, :2].T / 0.2,
    ),
    "a squashed score": Row(
        lambda: explained(X, open_end()),
        'Pass score="output" to explain the output as it is',
        lambda: explained(X, open_end(), score="output"),
        lambda: gradients(open_end()),
    ),
    "a target of certain places in the batch": Row(
        lambda: quadtree_of_one_window(lambda x: ops.sum(x * CLASSES, -1)),
        "Give what differs from image to image as an array of a target",
        lambda: quadtree_of_one_window(CLASSES.argmax(-1)),
        lambda: ((net()(X) - net()(0 * X)).numpy() * CLASSES).sum(-1),
    ),
    "a window that leaves gaps": Row(
        lambda: Occlusion(net(), 2, strides=3),
        "at most `patch_size`",
        lambda: Occlusion(net(), SIZE, strides=SIZE).explain(X, K)[:, 0, 0],
        lambda: (net()(X) - net()(0 * X)).numpy()[:, K],
    ),
    "baselines of another structure": Row(
        lambda: IntegratedGradients(sums(), 2, [0, 0, 0]).explain([X, Y], K),
        "or have their structure",
        lambda: _sum_of_both(IntegratedGradients(sums(), 2, [0, 0])),
        lambda: (sums()([X, Y]) - sums()([0 * X, 0 * Y])).numpy()[:, K],
    ),
}


CLASSES = np.eye(3, dtype="float32")[[1, 2]]


def quadtree_of_one_window(target):
    explainer = QuadtreeOcclusion(net(), SIZE, strides=SIZE)
    return explainer.explain(X, target)[:, 0, 0]


def _squared(outputs):
    return outputs[:, K] ** 2


def _grad_cam_of_squares():
    """The derivative of a square is that of its root, times twice the root."""
    twice = 2 * net()(X).numpy()[:, K]
    activations, slopes = activations_and_gradients(net(), X, K, "conv")
    weights = slopes.mean((1, 2)) * twice[:, None]
    return np.maximum(np.einsum("bhwc,bc->bhw", activations, weights), 0)


@functools.cache
def beside():
    """A convolution, and beside it the mean of the image itself."""
    inputs = image_input()
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    pool = layers.GlobalAveragePooling2D
    x = layers.Concatenate()([pool()(x), pool()(inputs)])
    return made(inputs, layers.Dense(3, name="dense")(x))


def hires_of_beside():
    maps = beside().get_layer("conv")(X).numpy()
    weights = beside().get_layer("dense").get_weights()[0][:3, K]
    return (maps * weights).sum(-1) / (SIZE - 2) ** 2


WIDE = images(SIZE, 2 * SIZE, 2, seed=2, count=2)


@functools.cache
def of_two_sizes():
    inputs = [image_input(), keras.Input((SIZE, 2 * SIZE, 2))]
    x = inputs[0] + layers.AveragePooling2D((1, 2))(inputs[1])
    return made(inputs, chain(x))


def hires_of_two_sizes():
    x = X + WIDE.reshape(2, SIZE, SIZE, 2, 2).mean(3)
    return hires_of(net_of(of_two_sizes()), x=x)


@functools.cache
def clips():
    """A network on every frame, and the mean over frames."""
    inputs = keras.Input((FRAMES, SIZE, SIZE, 2))
    base = keras.Sequential(
        [
            image_input(),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
        ]
    )
    x = layers.TimeDistributed(base, name="frames")(inputs)
    x = layers.GlobalAveragePooling3D()(x)
    return made(inputs, layers.Dense(3, name="dense")(x))


class Relu(layers.Layer):
    def call(self, x):
        return tf.function(tf.nn.relu)(x)


@functools.cache
def compiled_relu():
    inputs = image_input()
    x = layers.ReLU()(layers.Conv2D(3, 3)(inputs))
    x = layers.GlobalAveragePooling2D()(Relu()(layers.Conv2D(3, 3)(x)))
    return made(inputs, layers.Dense(3)(x))


def unbuilt():
    return keras.Sequential(
        [
            layers.Conv2D(3, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


@functools.cache
def called():
    model = unbuilt()
    model(X)
    return model


def hires_of_branch(name):
    model = branches()
    maps = model.get_layer(name)(X).numpy()
    own = slice(0, 3) if name == "one" else slice(3, 6)
    weights = model.get_weights()[-2][own, K]
    return (maps * weights).sum(-1) / np.prod(maps.shape[1:3])


def fused(method, model=None):
    model = branches() if model is None else model
    maps = [method(model, name).explain(X, K) for name in ("one", "two")]
    peaks = [x.max((1, 2), keepdims=True) for x in maps]
    return sum(x / peak for x, peak in zip(maps, peaks, strict=True)) / 2


def found_candidates(rule):
    explainer = DistinctClassSaliency(net(), scales=(1,), candidates=rule)
    return explainer.find_candidates(X)


@functools.cache
def linear():
    """Three scores of four numbers, without a bias."""
    inputs = keras.Input((4,))
    return made(inputs, layers.Dense(3, use_bias=False)(inputs))


class Softmax(layers.Layer):
    def call(self, x):
        return tf.function(tf.nn.softmax)(x)


@functools.cache
def compiled_end():
    inputs = image_input()
    return made(inputs, Softmax()(chain(inputs)))


def _one_step(weight_decay):
    """One step of ascent from ones."""
    return 1 + 0.5 * (linear().get_weights()[0][None, :, K] - 2 * weight_decay)


@functools.cache
def two_in_a_row():
    inputs = image_input()
    x = layers.Conv2D(3, 3, activation="relu", name="first")(inputs)
    return made(inputs, chain(x))


class HiddenRelu(layers.Layer):
    def call(self, x):
        eye = tf.eye(3)
        return tf.recompute_grad(lambda x: tf.nn.relu(x @ eye) @ eye)(x)


@functools.cache
def hidden_relu():
    inputs = image_input()
    x = HiddenRelu()(layers.Conv2D(3, 3, activation="relu")(inputs))
    return made(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@functools.cache
def risen():
    """A probability behind other arithmetic."""
    inputs = image_input()
    return made(inputs, 1 - ops.sigmoid(chain(inputs, units=1)))


def plain_dcs(model, layer="conv"):
    explainer = DistinctClassSaliency(
        model,
        relu_rule="standard",
        scales=(1,),
        candidates=None,
        target_layer=layer,
        alpha=1.0,
    )
    return np.arctanh(explainer.explain(X, K))


def strongest_of(model):
    """The largest derivative of a position, where its layer lies."""
    return laid(activations_and_gradients(model, X, K, "conv")[1])


def laid(slopes):
    maps = np.abs(slopes).max(-1)
    maps = maps / maps.max((1, 2), keepdims=True)
    # A kernel of 3: positions begin one pixel inside, and the border repeats.
    return np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")


@functools.cache
def sums():
    """Two images, in a linear model."""
    inputs = [image_input(), image_input()]
    return made(
        inputs, layers.Dense(3)(layers.Flatten()(inputs[0] + inputs[1]))
    )


def _sum_of_both(explainer):
    maps = explainer.explain([X, Y], K)
    return sum(x.sum((1, 2)) for x in maps)


TARGETS = {
    "several outputs": Row(
        lambda: explained(X, several_outputs()),
        r"by `keras_xmap.targets.Class\(index, output=...\)`",
        lambda: explained(X, several_outputs(), targets.Class(K, output="b")),
        lambda: gradients(named("b")),
    ),
    "an output that is not there": Row(
        lambda: explained(X, several_outputs(), targets.Class(K, "c")),
        r"Outputs: 'a' .*, 'b' ",
        lambda: explained(X, several_outputs(), targets.Class(K, "a")),
        lambda: gradients(named("a")),
    ),
    "a class of maps": Row(
        lambda: explained(X, of_maps()),
        r"use `keras_xmap.targets.MaskedMean\(index\)`",
        lambda: explained(X, of_maps(), targets.MaskedMean(K)),
        lambda: gradients(means_of_maps()),
    ),
    "maps of classes": Row(
        lambda: explained(X, target=targets.MaskedMean(K)),
        r"use `keras_xmap.targets.Class`",
        lambda: explained(X, target=targets.Class(K)),
        gradients,
    ),
    "a weight below zero": Row(
        lambda: explained(X, of_maps(), targets.MaskedMean(K, WEIGHTS)),
        r"take what is positive: `np.maximum\(mask, 0\)`",
        lambda: explained(
            X, of_maps(), targets.MaskedMean(K, np.maximum(WEIGHTS, 0))
        ),
        lambda: of_weights(np.maximum(WEIGHTS, 0)),
    ),
    "one-hot labels": Row(
        lambda: explained(X, target=np.eye(3)[[1, 2]]),
        r"For one-hot labels use `labels.argmax\(-1\)`",
        lambda: explained(X, target=np.eye(3)[[1, 2]].argmax(-1)),
        lambda: gradients(target=[1, 2]),
    ),
    "labels of floats": Row(
        lambda: explained(X, target=np.array([1.0, 0.0])),
        r"of 0 and 1 `labels.astype\('int32'\)`",
        lambda: explained(X, target=np.array([1.0, 0.0]).astype("int32")),
        lambda: gradients(target=[1, 0]),
    ),
    "labels of several classes": Row(
        lambda: explained(labelled([[1, 1, 0], [0, 1, 1]]), target="labels"),
        r"Pass the classes to explain as an array \(n, classes\)",
        lambda: explained(X, target=np.array([[0, 1], [1, 2]])),
        lambda: np.stack(
            [gradients(target=[0, 1]), gradients(target=[1, 2])], 1
        ),
    ),
    "no labels": Row(
        lambda: explained(X, target="labels"),
        "batches of inputs and one array.* Pass the classes as an array",
        lambda: explained(X, target=np.array([2, 1])),
        lambda: gradients(target=[2, 1]),
    ),
    "a unit of no known meaning": Row(
        lambda: explained(X, one_unit()),
        r"For the classes pass `keras_xmap.targets.Binary\(target\)`",
        lambda: explained(X, one_unit(), targets.Binary(0)),
        lambda: -gradients(one_unit(), target=0),
    ),
    "the number of such a unit": Row(
        lambda: explained(X, one_unit()),
        r"for the number itself `keras_xmap.targets.Component\(\)`",
        lambda: explained(X, one_unit(), targets.Component()),
        lambda: gradients(one_unit(), target=0),
    ),
    "the loss of such a unit": Row(
        lambda: explained(X, one_unit()),
        "or compile the model with the loss",
        lambda: explained(X, one_unit(loss="mse"), 0),
        lambda: gradients(one_unit(loss="mse"), target=0),
    ),
    "two classes of a number": Row(
        lambda: explained(X, one_unit(loss="mse")),
        r"for two classes pass `keras_xmap.targets.Binary\(target\)`",
        lambda: explained(X, one_unit(loss="mse"), targets.Binary(1)),
        lambda: gradients(one_unit(loss="mse"), target=0),
    ),
    "a softmax over one unit": Row(
        lambda: explained(X, one_unit("softmax"), 0),
        r"explain the unit before the softmax by `keras_xmap.targets.Component",
        lambda: explained(X, one_unit("softmax"), targets.Component()),
        lambda: gradients(logits(one_unit("softmax")), target=0),
    ),
    "two classes of several units": Row(
        lambda: explained(X, net(), targets.Binary(1)),
        "Of several units pass the number of the class",
        lambda: explained(X, net(), 1),
        lambda: gradients(target=1),
    ),
    "a threshold of probabilities": Row(
        lambda: explained(X, risen(), targets.Binary(1)),
        'Pass score="output" to explain the output as it is',
        lambda: explained(
            X, risen(), targets.Binary(0, threshold=0.5), score="output"
        ),
        lambda: -gradients(risen(), target=0),
    ),
    "a threshold of a number": Row(
        lambda: explained(X, risen(), targets.Binary(1), score="output"),
        "Pass threshold=0.5 if the output is a probability",
        lambda: explained(
            X, risen(), targets.Binary(1, threshold=0.5), score="output"
        ),
        lambda: gradients(risen(), target=0),
    ),
    "labels of a call": Row(
        lambda: targets.get("labels").scores(net()(X), {}),
        "has no scores without labels.* Pass it to `explain`",
        lambda: explained(labelled([2, 0]), target="labels"),
        lambda: gradients(target=[2, 0]),
    ),
    "classes of unknown rank in a function": Row(
        lambda: in_a_function(
            lambda x, k: signed(net())(x, k),
            SPEC,
            tf.TensorSpec(None, tf.int32),
        )(X, [0, 1]),
        r"Tell it by `target.set_shape\(\(None,\)\)`",
        lambda: in_a_function(
            _of_known_rank, SPEC, tf.TensorSpec(None, tf.int32)
        )(X, [0, 1]),
        lambda: gradients(target=[0, 1]),
    ),
    "one unit of a shape that is not known": Row(
        lambda: explained(X, of_unknown_shape(), 0),
        r"Give the output a shape, by `keras.ops.reshape\(outputs, \(-1",
        lambda: explained(X, _of_one_unit(of_unknown_shape()), 0),
        lambda: -gradients(logits(one_unit("sigmoid")), target=0),
    ),
    "a target that is not made": Row(
        lambda: explained(X, target=targets.Class),
        "Call it with its arguments",
        lambda: explained(X, target=targets.Class(K)),
        gradients,
    ),
    "an image without a label": Row(
        lambda: explained(labelled([-1, 1]), target="labels"),
        "Leave images without a label out of the dataset",
        lambda: explained(
            labelled([-1, 1]).unbatch().filter(lambda _, y: y >= 0).batch(2),
            target="labels",
        ),
        lambda: gradients(x=X[1:]),
    ),
    "a label of a number": Row(
        lambda: explained(
            labelled([0, 1]), one_unit(loss="mse"), target="labels"
        ),
        "Pass target=None for the number",
        lambda: explained(X, one_unit(loss="mse"), None),
        lambda: gradients(one_unit(loss="mse"), target=0),
    ),
    "boxes and scores in one output": Row(
        lambda: explained(X, detector(), targets.BoxScore(BOX, K)),
        "Of one output that holds boxes and scores, `layout` names the columns",
        lambda: explained(
            X, detector(), targets.BoxScore(BOX, K, layout=("boxes", "classes"))
        ),
        lambda: gradients(score_of_detector()),
    ),
    "columns before rows": Row(
        lambda: explained(
            X,
            turned_detector(),
            targets.BoxScore(BOX, 0, layout=("boxes", "objectness")),
        ),
        "Boxes have 4 columns, classes those that are left, anything else 1.* "
        r"moved by `keras.layers.Permute\(\(2, 1\)\)` at the end of the model",
        lambda: explained(
            X,
            keras.Sequential([turned_detector(), layers.Permute((2, 1))]),
            targets.BoxScore(BOX, K, layout=("boxes", "classes")),
        ),
        lambda: gradients(score_of_detector()),
    ),
    "a function that stops": Row(
        lambda: explained(X, target=_with_a_float),
        "compute by `keras.ops`, as in `lambda outputs: outputs",
        lambda: explained(X, target=lambda outputs: outputs[:, K]),
        gradients,
    ),
    "a function of no scores": Row(
        lambda: explained(X, target=lambda x: np.zeros(2)),
        "Such as `lambda outputs: outputs",
        lambda: explained(X, target=lambda outputs: outputs[:, 0]),
        lambda: gradients(target=0),
    ),
    "a function of a table": Row(
        lambda: explained(X, target=lambda outputs: outputs[:, :2]),
        r"one score per image, shape \(batch,\)",
        lambda: explained(X, target=lambda outputs: outputs[:, 1]),
        gradients,
    ),
    "a constant": Row(
        lambda: explained(X, target=lambda x: ops.stop_gradient(x)[:, 0]),
        "for `stop_gradient`",
        lambda: explained(X, target=lambda x: x[:, 0]),
        lambda: gradients(target=0),
    ),
    "classes of unknown number in a function": Row(
        lambda: in_a_function(
            lambda x, k: signed(net())(x, k),
            SPEC,
            tf.TensorSpec((None, None), tf.int32),
        )(X, [[0], [1]]),
        r"`target.set_shape\(\(None, classes\)\)`",
        lambda: in_a_function(
            _of_known_number, SPEC, tf.TensorSpec((None, None), tf.int32)
        )(X, [[0], [1]])[:, 0],
        lambda: gradients(target=[0, 1]),
    ),
    "a score of several axes": Row(
        lambda: explained(X, sequence()),
        r"callable that returns shape \(batch,\)",
        lambda: explained(X, sequence(), lambda x: ops.sum(x[..., K], 1)),
        lambda: of_sequence(),
    ),
}

WEIGHTS = np.random.default_rng(0).normal(size=(2, SIZE - 2, SIZE - 2))


def of_weights(weights):
    """The gradient of a weighed mean is that of the convolution itself."""
    kernel = of_maps().get_weights()[0][..., K]
    found = np.zeros(X.shape)
    for row, column in np.ndindex(SIZE - 2, SIZE - 2):
        share = (weights / weights.sum((1, 2), keepdims=True))[:, row, column]
        window = found[:, row : row + 3, column : column + 3]
        window += share[:, None, None, None] * kernel
    return found


def labelled(labels):
    return tf.data.Dataset.from_tensors((X, np.array(labels)))


def _with_a_float(outputs):
    return outputs[:, int(outputs[0, 0])]


@functools.cache
def of_unknown_shape():
    def flexible(x):
        return tf.reshape(x, tf.concat([tf.shape(x)[:1], [1]], 0) + 0)

    model = one_unit("sigmoid")
    x = layers.Lambda(flexible, output_shape=(None,))(model.output)
    return keras.Model(model.inputs, x)


def _of_one_unit(model):
    return keras.Model(model.inputs, ops.reshape(model.output, (-1, 1)))


def _of_known_rank(x, classes):
    classes.set_shape((None,))
    return signed(net())(x, classes)


def _of_known_number(x, classes):
    classes.set_shape((None, 1))
    return signed(net())(x, classes)


@functools.cache
def sequence():
    inputs = image_input()
    x = ops.mean(layers.Conv2D(3, 3)(inputs), axis=2)
    return made(inputs, x)


def of_sequence():
    inputs = sequence().inputs[0]
    model = keras.Model(inputs, ops.sum(sequence()(inputs), axis=1))
    return gradients(model)


BOX = [0, 0, 4, 4]


@functools.cache
def detector():
    """Two boxes and three classes each, in one tensor; one box is that."""
    inputs = image_input()
    scores = layers.Reshape((2, 3))(layers.Dense(6)(layers.Flatten()(inputs)))
    boxes = np.array([[BOX, [4, 4, 8, 8]]], "float32")
    boxes = ops.zeros_like(scores[..., :1]) + boxes
    return made(inputs, ops.concatenate([boxes, scores], -1))


@functools.cache
def score_of_detector():
    inputs = detector().inputs
    return keras.Model(inputs, detector().output[:, 0, 4:])


@functools.cache
def turned_detector():
    inputs = detector().inputs
    return keras.Model(inputs, ops.transpose(detector().output, (0, 2, 1)))


def viewed(explainer, views=("mirror",), data=X, target=K):
    return explainer.explain(data, target, verbose=0, views=list(views))


def flipped(maps):
    return np.asarray(maps)[:, :, ::-1]


def mirrored_gradients(model=None):
    return flipped(gradients(model, flipped(X)))


def mirrored_hires(x=X):
    return flipped(laid_as_it_is(hires_of(net(), x=flipped(x))))


@functools.cache
def of_any_sizes():
    """The sum of two images, with the weights of `net`."""
    inputs = [keras.Input((None, None, 2)) for _ in range(2)]
    model = keras.Model(inputs, chain(inputs[0] + inputs[1]))
    model.set_weights(net().get_weights())
    return model


def _viewed_in_a_function(name):
    explainer = HiResCAM(of_any_sizes(), "conv", input_name=name)
    spec = tf.TensorSpec((None, None, None, 2))
    return in_a_function(
        lambda x, y: explainer([x, y], K, views=["mirror"]), spec, spec
    )(X, Y)


@functools.cache
def plane():
    """A linear score of all pixels."""
    inputs = image_input()
    return made(inputs, layers.Dense(3)(layers.Flatten()(inputs)))


COLOUR = np.array([0.5, -1.0], "float32")


def contributions(baseline):
    """The part of each number of a mirrored image in a linear score."""
    weights = plane().get_weights()[0][:, K].reshape(SIZE, SIZE, 2)
    return flipped((flipped(X) - baseline) * weights)


@functools.cache
def numbered():
    """An image, and a table of integers beside it."""
    inputs = [image_input(), keras.Input((SIZE, SIZE), dtype="int32")]
    x = inputs[0] * ops.cast(inputs[1], "float32")[..., None]
    return made(inputs, chain(x))


TABLE = np.arange(2 * SIZE**2, dtype="int32").reshape(2, SIZE, SIZE) % 5


def _mean_over_mirror_images():
    views = [signed(numbered()).explain([x, i], K)[0] for x, i in BOTH]
    return (views[0] + flipped(views[1])) / 2


BOTH = [(X, TABLE), (flipped(X), flipped(TABLE))]


def _mean_by_tape():
    def slopes(x, i):
        model = net_of(numbered())
        return gradients(model, x * i[..., None]) * i[..., None]

    return (slopes(*BOTH[0]) + flipped(slopes(*BOTH[1]))) / 2


class Rows(Explainer):
    """Every other row of the image, as a map."""

    def compute(self, inputs, target, parts):
        found = self.evaluate(inputs)
        return inputs[:, ::2, :, 0], {"score_used": found.score_used}


@functools.cache
def pooled():
    """Has no coarse positions any more at half the size."""
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 2, 2, activation="relu", name="fine")(inputs)
    x = layers.Conv2D(3, 1, name="coarse")(layers.MaxPooling2D(2)(x))
    return made(inputs, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))


def _by_two_views():
    half = resized(X, (SIZE // 2, SIZE // 2))
    own = HiResCAM(pooled(), "fine")
    maps = [own.explain(x, K) for x in (X, half)]
    return (maps[0] + resized(maps[1], (SIZE, SIZE))) / 2


def resized(x, size):
    return np.stack([resize(image, size) for image in x]).astype("float32")


VIEWS = {
    "no list of views": Row(
        lambda: signed(net()).explain(X, K, views="mirror"),
        r"Such as \[1, 1.5, 'mirror', \(1.5, 'mirror'\)\]; the image alone is",
        lambda: viewed(signed(net())),
        mirrored_gradients,
    ),
    "views from a baseline with positions": Row(
        lambda: viewed(IntegratedGradients(plane(), 2, X[0])),
        r"Give a name such as 'mean', or an array \(channels,\)",
        lambda: viewed(IntegratedGradients(plane(), 2, COLOUR, None)),
        lambda: contributions(COLOUR),
    ),
    "views of a size that is not taken": Row(
        lambda: viewed(signed(net()), [1, 2]),
        r"Leave the scales out, as in views=\[1, 'mirror'\]",
        lambda: viewed(signed(net()), [1, "mirror"]),
        lambda: (gradients() + mirrored_gradients()) / 2,
    ),
    "views with a target of places": Row(
        lambda: viewed(
            signed(of_maps()),
            target=targets.MaskedMean(K, np.ones((2, SIZE - 2, SIZE - 2))),
        ),
        r"Pass `MaskedMean\(index\)` without a mask, or a class",
        lambda: viewed(signed(of_maps()), target=targets.MaskedMean(K)),
        lambda: mirrored_gradients(means_of_maps()),
    ),
    "views at other layers": Row(
        lambda: viewed(HiResCAM(pooled()), [1, 0.5]),
        "Name one that has them in all views as `target_layer`, or leave out",
        lambda: viewed(HiResCAM(pooled(), "fine"), [1, 0.5]),
        _by_two_views,
    ),
    "views of numbers": Row(
        lambda: viewed(signed(linear()), data=X[:, 0, 0, [0, 1, 0, 1]]),
        "Pass `views=None`",
        lambda: signed(linear()).explain(X[:, 0, 0, [0, 1, 0, 1]], K),
        lambda: np.tile(linear().get_weights()[0][:, K], (2, 1)),
    ),
    "views of images of two sizes": Row(
        lambda: _viewed_in_a_function(None),
        "not clear which input a map lies on.* Name one by `input_name`",
        lambda: _viewed_in_a_function(1),
        lambda: mirrored_hires(X + Y),
    ),
    "views beside a table of integers": Row(
        lambda: viewed(signed(numbered()), data=[X, TABLE]),
        "Explain each view by itself, and average the maps",
        _mean_over_mirror_images,
        _mean_by_tape,
    ),
    "views of maps of half the size": Row(
        lambda: viewed(Rows(net())),
        "Explain without `views`",
        lambda: Rows(net()).explain(X, K),
        lambda: X[:, ::2, :, 0],
    ),
    "views at the size of a layer": Row(
        lambda: viewed(HiResCAM(net(), "conv", resize=False)),
        "Pass `resize=True`, and bring the mean to another size by `keras_xmap",
        lambda: xmap_ops.resize(
            viewed(HiResCAM(net(), "conv"))[..., None], (4, 4)
        )[..., 0],
        lambda: resized(mirrored_hires(), (4, 4)),
    ),
    "views of gradients at a layer": Row(
        lambda: viewed(signed(net(), target_layer="conv")),
        "Explain the input, or use LayerCAM or another class activation map",
        lambda: viewed(HiResCAM(net(), "conv")),
        mirrored_hires,
    ),
}

SLOW = {**PLACES, **METHODS, **VIEWS}
ROWS = {**DATA, **LAYERS, **TARGETS, **SLOW}


# What is told by the engine, by explainers and by targets, and is not
# followed by a row: the test that follows it instead, or `None` for what is
# no remedy.
ELSEWHERE = {
    "Set the environment variable KERAS_BACKEND=tensorflow": (
        "test_import.py",
        "test_on_another_backend_making_an_explainer_names_the_setting",
    ),
    'saturated: explain score="logits"': (
        "explainers/test_zero_maps.py",
        "test_a_saturated_output_is_told_with_the_remedy",
    ),
    'Pass score="output" if the model ends in sigmoids': (
        "targets/test_box_score_and_difference.py",
        "test_logits_are_not_multiplied_and_the_remedy_works",
    ),
    "Compile the model with the loss it was trained with, or pass a": (
        "targets/test_single_unit.py",
        "test_the_remedy_for_a_map_that_nothing_tells_of_works",
    ),
    "The framework stopped": None,
    "It stopped with": None,
    "(entries, images):": None,
}
# The last while a function of the user's runs.
REFUSALS = (TypeError, ValueError, tf.errors.InvalidArgumentError)
TOLD = remedies(modules_of("engine/", "explainers/", "targets/"))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in ROWS
    ],
)
def test_the_remedy_leads_to_the_right_map(name):
    row = ROWS[name]
    with pytest.raises(REFUSALS, match=row.words) as caught:
        row.refused()
    assert_close(row.followed(), row.expected(), 1e-5)
    # Else the next test would count the row for another remedy.
    remedy = followed_by(row.words, TOLD)
    assert remedy is None or remedy.fits(str(caught.value)), remedy.place


def test_every_remedy_is_followed():
    followed = {followed_by(row.words, TOLD) for row in ROWS.values()}
    left = [
        f"keras_xmap/{remedy.place}: {remedy.advice}"
        for remedy in TOLD
        if remedy not in followed
        and not any(words in remedy.advice for words in ELSEWHERE)
    ]
    assert not left, "no row follows\n" + "\n".join(left)


@pytest.mark.parametrize("words", ELSEWHERE)
def test_what_is_followed_elsewhere_is_there(words):
    assert any(words in remedy.advice for remedy in TOLD)
    if ELSEWHERE[words]:
        path, name = ELSEWHERE[words]
        source = (pathlib.Path(__file__).parents[1] / path).read_text("utf-8")
        assert f"def {name}(" in source


def test_remedies_are_found_in_all_that_errors_are_built_of():
    source = """
def f(x, hint):
    'Pass what is right.'
    if x:
        raise ValueError(f"Expected 1. Received: x={x}. One is `1`.")
    remedy = "Name one"
    remedy += f", or call it {x}"
    warnings.warn("Expected 1. Received: 2. Pass 1.")
    raise ValueError(f"Expected 1. Received: {x}. {remedy}.")
"""
    found = remedies({"a.py": source})
    assert [(x.place, x.advice.replace("\0", "{}")) for x in found] == [
        ("a.py:5", "One is `1`."),
        ("a.py:6", "Name one"),
        ("a.py:7", "or call it {}"),
    ]
    assert found[0].fits("So: Expected 1. Received: x=3. One is `1`. Yes.")
    assert not found[0].fits("Expected 1. Received: x=3. Two is `2`.")
    assert followed_by(r"1. Received: .* One is `1`", found) is None
    assert followed_by("or call it 'conv'", found) is None
    assert followed_by(r"Received: x=3\. One is `1`", found) is None
