"""Every kind of model an explainer may meet.

The kinds in `TWINS` all compute the same function with the same weights as
`functional`, built in another way: their maps must be equal. The kinds in
`OTHERS` compute something else; for each, what is expected is written down.
"""

import os
import tempfile
from typing import NamedTuple

import keras
import numpy as np
from keras import layers
from keras import ops

# A kind of model is a function that builds one, so that nothing is built
# before the test that needs it.
SIZE, CLASSES = 16, 5


class Kind(NamedTuple):
    """A model with data for it.

    `map_shape` is the shape of a map of one image, `cam` tells whether class
    activation maps are defined: `True`, or the words of the refusal. `score`
    is the function of the outputs that `target` stands for. `refused` holds
    the words by which single methods refuse the model, and the arguments by
    which they explain it.
    """

    model: object
    inputs: object
    target: object = 2
    map_shape: tuple = (SIZE, SIZE)
    cam: object = True
    score: object = lambda outputs: outputs[:, 2]
    refused: object = None


def images(*shape, seed=0, count=3):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, *shape)).astype("float32")


def _weights():
    generator = np.random.default_rng(1)
    shapes = [(3, 3, 3, 8), (8,), (3, 3, 8, 6), (6,), (6, CLASSES), (CLASSES,)]
    return [generator.normal(size=s).astype("float32") * 0.3 for s in shapes]


def _body():
    return [
        layers.Conv2D(8, 3, activation="relu", name="first"),
        layers.MaxPooling2D(name="pool"),
        layers.Conv2D(6, 3, activation="relu", name="last"),
    ]


def _head(activation="softmax"):
    return [
        layers.GlobalAveragePooling2D(name="gap"),
        layers.Dense(CLASSES, activation=activation, name="dense"),
    ]


def _chain(x, parts):
    for layer in parts:
        x = layer(x)
    return x


def _functional(size=SIZE):
    inputs = keras.Input((size, size, 3))
    model = keras.Model(inputs, _chain(inputs, _body() + _head()))
    model.set_weights(_weights())
    return model


def functional():
    return _functional()


def any_size():
    return _functional(size=None)


def frozen():
    model = _functional()
    model.trainable = False
    return model


def sequential_built():
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *_body(), *_head()])
    model.set_weights(_weights())
    return model


class SetOnBuild(keras.Sequential):
    """A Sequential without an input shape, whose weights are known anyway."""

    def build(self, input_shape=None):
        super().build(input_shape)
        self.set_weights(_weights())


def sequential_unbuilt():
    return SetOnBuild([*_body(), *_head()])


def nested_functional():
    inner_inputs = keras.Input((SIZE, SIZE, 3))
    inner = keras.Model(
        inner_inputs, _chain(inner_inputs, _body()), name="base"
    )
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, _chain(inner(inputs), _head()))
    model.set_weights(_weights())
    return model


def nested_sequential():
    base = keras.Sequential(_body(), name="base")
    head = keras.Sequential(_head(), name="head")
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), base, head])
    model.set_weights(_weights())
    return model


def softmax_layer():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = _chain(inputs, _body() + _head(activation=None))
    model = keras.Model(inputs, layers.Softmax()(x))
    model.set_weights(_weights())
    return model


def softmax_operation():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = _chain(inputs, _body() + _head(activation=None))
    model = keras.Model(inputs, ops.softmax(x))
    model.set_weights(_weights())
    return model


def linear_output():
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(
        inputs, _chain(inputs, _body() + _head(activation=None))
    )
    model.set_weights(_weights())
    return model


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = {"body": _body(), "head": _head(activation=None)}

    def call(self, inputs):
        x = _chain(inputs, [*self.parts["body"], *self.parts["head"]])
        return ops.softmax(x)


def subclassed():
    model = Subclassed()
    model(np.zeros((1, SIZE, SIZE, 3), "float32"))
    model.set_weights(_weights())
    return model


def loaded():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        nested_functional().save(path)
        return keras.saving.load_model(path)


TWINS = {
    build.__name__: build
    for build in (
        functional,
        any_size,
        frozen,
        sequential_built,
        sequential_unbuilt,
        nested_functional,
        nested_sequential,
        softmax_layer,
        softmax_operation,
        linear_output,
        subclassed,
        loaded,
    )
}


def _seeded(model, seed=7):
    """Gives every weight a value that makes maps differ from zero."""
    generator = np.random.default_rng(seed)
    model.set_weights(
        [
            (0.4 * generator.normal(size=w.shape) + 0.1).astype("float32")
            if w.ndim > 1
            else np.abs(w + 0.1 * generator.random(w.shape)).astype("float32")
            for w in model.get_weights()
        ]
    )
    return model


def transfer():
    """Rescaling + a network of two mobile blocks as one layer + a head.

    The blocks are MobileNetV2's; of the whole network, whose graph takes ten
    times as long to make, test_architectures asks the same.
    """
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = _normalized_relu6(x)
    for strides in (1, 2):
        x = _mobile_block(x, strides)
    base = keras.Model(inputs, x, name="base")
    inputs = keras.Input((SIZE, SIZE, 3))
    x = base(layers.Rescaling(1 / 127.5, offset=-1)(inputs))
    model = _seeded(keras.Model(inputs, _chain(x, _head())))
    return Kind(model, 127 + 60 * images(SIZE, SIZE, 3))


def _mobile_block(x, strides):
    """Widens, looks around in each channel, narrows, and adds what came in."""
    channels = x.shape[-1]
    inside = layers.Conv2D(3 * channels, 1, use_bias=False)(x)
    inside = _normalized_relu6(inside)
    inside = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(
        inside
    )
    inside = _normalized_relu6(inside)
    inside = layers.Conv2D(channels, 1, use_bias=False)(inside)
    inside = layers.BatchNormalization()(inside)
    return layers.Add()([x, inside]) if strides == 1 else inside


def _normalized_relu6(x):
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def fine_tuned():
    """As Keras' guides teach it: the channels are reversed inside."""
    base = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), *_body()], name="base"
    )
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomRotation(0.1)(x)
    x = layers.RandomZoom(0.1)(x)
    x = keras.applications.vgg16.preprocess_input(x)
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    outputs = layers.Dense(CLASSES)(layers.Dropout(0.2)(x))
    model = _seeded(keras.Model(inputs, outputs))
    return Kind(model, 127 + 60 * images(SIZE, SIZE, 3))


def letterboxed():
    """A wide image in the middle of a square, and a corner of it turned."""
    inputs = keras.Input((SIZE, 20, 3))
    x = layers.Resizing(SIZE, SIZE, pad_to_aspect_ratio=True)(inputs)
    x = ops.rot90(layers.Cropping2D(((1, 0), (0, 2)))(x), axes=(1, 2))
    model = keras.Model(inputs, _chain(x, _body() + _head()))
    return Kind(_seeded(model), images(SIZE, 20, 3), map_shape=(SIZE, 20))


def shared_layer():
    """One convolution called twice, at two resolutions."""
    inputs = keras.Input((SIZE, SIZE, 3))
    shared = layers.Conv2D(3, 3, activation="relu", name="shared")
    x = shared(layers.MaxPooling2D()(shared(inputs)))
    return Kind(
        _seeded(keras.Model(inputs, _chain(x, _head()))), images(SIZE, SIZE, 3)
    )


def list_inputs():
    a, b = keras.Input((SIZE, SIZE, 3)), keras.Input((SIZE, SIZE, 3))
    x = layers.Concatenate()([a, layers.Conv2D(4, 3, padding="same")(b)])
    model = _seeded(keras.Model([a, b], _chain(x, _body() + _head())))
    return Kind(model, [images(SIZE, SIZE, 3), images(SIZE, SIZE, 3, seed=3)])


def dict_inputs():
    """An image with a mask, by name."""
    inputs = {
        "image": keras.Input((SIZE, SIZE, 3), name="image"),
        "mask": keras.Input((SIZE, SIZE, 1), name="mask"),
    }
    x = layers.Multiply()([inputs["image"], inputs["mask"]])
    model = _seeded(keras.Model(inputs, _chain(x, _body() + _head())))
    mask = (images(SIZE, SIZE, 1, seed=5) > 0).astype("float32")
    return Kind(model, {"image": images(SIZE, SIZE, 3), "mask": mask})


def image_and_vector():
    image, vector = keras.Input((SIZE, SIZE, 3)), keras.Input((7,))
    x = _chain(image, _body() + [layers.GlobalAveragePooling2D()])
    x = layers.Concatenate()([x, vector])
    model = keras.Model([image, vector], layers.Dense(CLASSES)(x))
    return Kind(_seeded(model), [images(SIZE, SIZE, 3), images(7)])


def _two_heads(x):
    x = layers.GlobalAveragePooling2D()(x)
    return (
        layers.Dense(CLASSES, activation="softmax", name="class")(x),
        layers.Dense(2, name="place")(x),
    )


def list_outputs():
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, list(_two_heads(_chain(inputs, _body()))))
    return Kind(
        _seeded(model),
        images(SIZE, SIZE, 3),
        target=lambda outputs: outputs[1][:, 0],
    )


def dict_outputs():
    inputs = keras.Input((SIZE, SIZE, 3))
    category, place = _two_heads(_chain(inputs, _body()))
    model = keras.Model(inputs, {"class": category, "place": place})
    return Kind(
        _seeded(model),
        images(SIZE, SIZE, 3),
        target=lambda outputs: outputs["class"][:, 1],
    )


def segmentation():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    outputs = layers.Conv2D(CLASSES, 1, activation="softmax")(x)
    return Kind(
        _seeded(keras.Model(inputs, outputs)),
        images(SIZE, SIZE, 3),
        target=lambda outputs: ops.mean(outputs[..., 1], axis=(1, 2)),
        # A mean over positions is global average pooling.
        cam=True,
    )


def one_dimensional():
    inputs = keras.Input((40, 3))
    x = layers.Conv1D(8, 3, activation="relu")(inputs)
    x = layers.Conv1D(6, 3, activation="relu")(layers.MaxPooling1D()(x))
    x = layers.GlobalAveragePooling1D()(x)
    outputs = layers.Dense(CLASSES, activation="softmax")(x)
    model = _seeded(keras.Model(inputs, outputs))
    return Kind(model, images(40, 3), map_shape=(40,))


def three_dimensional():
    inputs = keras.Input((8, 10, 12, 1))
    x = layers.Conv3D(4, 3, activation="relu")(inputs)
    x = layers.Conv3D(6, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling3D()(x)
    outputs = layers.Dense(CLASSES, activation="softmax")(x)
    model = _seeded(keras.Model(inputs, outputs))
    return Kind(model, images(8, 10, 12, 1), map_shape=(8, 10, 12))


def channels_first():
    """Ends in a convolution that the CPU can run in either format."""
    inputs = keras.Input((3, SIZE, SIZE))
    options = {"data_format": "channels_first", "padding": "same"}
    x = layers.Conv2D(8, 3, activation="relu", **options)(inputs)
    x = layers.Conv2D(6, 3, activation="relu", **options)(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    outputs = layers.Dense(CLASSES, activation="softmax")(x)
    return Kind(_seeded(keras.Model(inputs, outputs)), images(3, SIZE, SIZE))


def transformer():
    """Patches, one block of attention with ReLU, mean of the tokens."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((16, 8))(x)
    attended = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, attended]))
    x = layers.Dense(8, activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    outputs = layers.Dense(CLASSES, activation="softmax")(x)
    return Kind(_seeded(keras.Model(inputs, outputs)), images(SIZE, SIZE, 3))


# Methods of one layer, where a score sees the image by two branches.
_OF_ONE_LAYER = ("EigenCAM", "ScoreCAM")


def _joined(inputs, *maps):
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x) for x in maps])
    model = keras.Model(inputs, layers.Dense(CLASSES, "softmax")(x))
    refusal = "defined for one layer", {"target_layer": ["one", "two"]}
    return Kind(
        _seeded(model),
        images(SIZE, SIZE, 3),
        refused=dict.fromkeys(_OF_ONE_LAYER, refusal),
    )


def two_backbones():
    """Two networks side by side, of different sizes."""
    inputs = keras.Input((SIZE, SIZE, 3))
    one = layers.Conv2D(4, 3, activation="relu", name="one")(inputs)
    two = layers.Conv2D(4, 3, 2, activation="relu", name="two")(inputs)
    kind = _joined(inputs, one, two)
    ordinary = {"relu_rule": "standard", "scales": (1,), "candidates": CLASSES}
    # Its layers are the last with a ReLU, and behind them is none.
    refusal = 'needs a ReLU between .* pass relu_rule="standard"', ordinary
    return kind._replace(
        refused={**kind.refused, "DistinctClassSaliency": refusal}
    )


def two_stages():
    """Features of two depths of one network."""
    inputs = keras.Input((SIZE, SIZE, 3))
    one = layers.Conv2D(4, 3, activation="relu", name="one")(inputs)
    two = layers.MaxPooling2D()(one)
    two = layers.Conv2D(4, 3, activation="relu", name="two")(two)
    return _joined(inputs, one, two)


def siamese():
    """One encoder on two images."""
    encoder = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), *_body()], name="encoder"
    )
    inputs = [keras.Input((SIZE, SIZE, 3)) for _ in range(2)]
    x = layers.Concatenate()(
        [layers.GlobalAveragePooling2D()(encoder(x)) for x in inputs]
    )
    model = keras.Model(inputs, layers.Dense(CLASSES)(x))
    refusal = "input_name=None for layers", {"input_name": 1}
    # With a ReLU behind it, as the guided rule of that method wants.
    of_calls = "show different inputs", {"target_layer": "encoder/first:1"}
    names = ("CAM", "EigenCAM", "GradCAM", "GradCAMPlusPlus", "GuidedGradCAM")
    names += ("HiResCAM", "LayerCAM", "RegionCAM", "ScoreCAM")
    return Kind(
        _seeded(model),
        [images(SIZE, SIZE, 3), images(SIZE, SIZE, 3, seed=3)],
        refused={
            **dict.fromkeys(names, refusal),
            "DistinctClassSaliency": of_calls,
        },
    )


def video():
    """A network on every frame, and the mean over frames."""
    base = keras.Sequential([keras.Input((8, 8, 3)), *_body()], name="base")
    inputs = keras.Input((6, 8, 8, 3))
    x = layers.TimeDistributed(base)(inputs)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(CLASSES, "softmax")(x))
    return Kind(_seeded(model), images(6, 8, 8, 3), map_shape=(6, 8, 8))


def detector():
    """A head convolution, flattened to boxes."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(7, 1, name="boxes")(_chain(inputs, _body()))
    outputs = layers.Reshape((-1, 7))(x)
    return Kind(
        _seeded(keras.Model(inputs, outputs)),
        images(SIZE, SIZE, 3),
        target=lambda outputs: ops.max(outputs[..., 4], axis=1),
        cam="CAM needs a model that ends in global average pooling",
    )


def vector():
    inputs = keras.Input((9,))
    x = layers.Dense(8, activation="relu")(inputs)
    outputs = layers.Dense(CLASSES, activation="softmax")(x)
    return Kind(
        _seeded(keras.Model(inputs, outputs)),
        images(9),
        map_shape=(9,),
        cam="The model has no spatial layer",
    )


def _two_classes(head):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = _chain(inputs, [*_body(), layers.GlobalAveragePooling2D()])
    return keras.Model(inputs, head(x))


def binary_unit():
    """The commonest classifier of two classes: one sigmoid unit."""
    model = _seeded(_two_classes(layers.Dense(1, activation="sigmoid")))
    # Far from both ends of the sigmoid, where it has a gradient.
    *weights, kernel, bias = model.get_weights()
    model.set_weights([*weights, 0.1 * kernel, bias])
    return Kind(
        model,
        images(SIZE, SIZE, 3),
        target=1,
        score=lambda outputs: outputs[:, 0],
    )


def two_units_of(binary):
    """The same classes as two softmax units, of minus and plus half a logit."""
    model = _two_classes(layers.Dense(2, activation="softmax"))
    *weights, kernel, bias = binary.get_weights()
    halves = [np.concatenate([-w, w], axis=-1) / 2 for w in (kernel, bias)]
    model.set_weights([*weights, *halves])
    return model


def no_channel_axis():
    """A grey image without an axis of channels."""
    inputs = keras.Input((SIZE, SIZE))
    x = layers.Reshape((SIZE, SIZE, 1))(inputs)
    return Kind(
        _seeded(keras.Model(inputs, _chain(x, _body() + _head()))),
        images(SIZE, SIZE),
    )


class Masked(layers.Layer):
    """An image, times a mask if one is given."""

    def call(self, image, weights=None):
        return image if weights is None else image * weights

    def compute_output_shape(self, shape, *others):
        return shape


def optional_input():
    """An image with a mask that is left out."""
    inputs = {
        "image": keras.Input((SIZE, SIZE, 3), name="image"),
        "mask": keras.Input((SIZE, SIZE, 1), name="mask", optional=True),
    }
    x = Masked()(inputs["image"], inputs["mask"])
    model = _seeded(keras.Model(inputs, _chain(x, _body() + _head())))
    return Kind(model, {"image": images(SIZE, SIZE, 3), "mask": None})


def _text_model(inputs, ids):
    x = layers.Embedding(12, 6, name="embedding")(ids)
    x = layers.Conv1D(8, 3, activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling1D()(x)
    outputs = layers.Dense(CLASSES, activation="softmax")(x)
    return _seeded(keras.Model(inputs, outputs))


def token_ids():
    inputs = keras.Input((9,), dtype="int32")
    ids = np.random.default_rng(0).integers(1, 12, (3, 9))
    return Kind(_text_model(inputs, inputs), ids, map_shape=(9,))


def strings():
    texts = np.array([["a good film"], ["so bad"], ["good or bad or good"]])
    split = layers.TextVectorization(12, output_sequence_length=9)
    split.adapt(texts)
    inputs = keras.Input((1,), dtype="string")
    return Kind(_text_model(inputs, split(inputs)), texts, map_shape=(9,))


# These have no gradient by their inputs, but by their layer "embedding".
TEXTS = {build.__name__: build for build in (token_ids, strings)}

OTHERS = {
    build.__name__: build
    for build in (
        transfer,
        fine_tuned,
        letterboxed,
        shared_layer,
        list_inputs,
        dict_inputs,
        image_and_vector,
        list_outputs,
        dict_outputs,
        segmentation,
        one_dimensional,
        three_dimensional,
        channels_first,
        transformer,
        two_backbones,
        two_stages,
        siamese,
        video,
        detector,
        vector,
        binary_unit,
        no_channel_axis,
        optional_input,
    )
}
