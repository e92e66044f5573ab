import itertools

import keras

from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._checks import check_share
from keras_xmap._checks import check_string
from keras_xmap._typing import Number
from keras_xmap.models._data_format import DataFormats
from keras_xmap.models._given import check_image_model
from keras_xmap.models._quadtree_levels import QuadtreeLevels
from keras_xmap.models._surgery import Recording
from keras_xmap.models._surgery import Replay


def quadtree_decoder(
    backbone: keras.Model,
    num_classes: int,
    filters: int = 64,
    threshold: Number = 0.5,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Makes a network that says what is where, and looks closely at edges.

    Most of a label map is flat: a decoder that goes through all positions at
    the finest level computes the same answer thousands of times. This one
    starts with the coarsest features of the backbone. Of each cell it says
    its class, or that it is mixed; mixed cells alone are divided in four, and
    asked again with the features of the next level, down to the finest:

    `f = relu(conv3x3(features) + above(f of the cell above))`, `softmax(f)`

    What a cell is told does not depend on which of its neighbors are asked.
    So training, which computes every cell and learns of those that lie in
    mixed ones, and inference, which computes these alone, agree exactly; and
    how much is computed follows the length of edges, not the area.

    It trains with `keras_xmap.ops.quadtree_labels`, a loss for each level:

        levels = keras_xmap.ops.quadtree_labels(labels, num_classes, num_levels)
        model.compile("adam", loss=dict.fromkeys(levels, SeedingLoss()))
        model.fit(images, levels)

    Labels of 255 say nothing, so that it learns from pseudo labels too. As
    many cells are computed as an image wants: on TensorFlow under
    `jit_compile=False`, which Keras takes for this model by itself, on PyTorch
    always; where JAX compiles, sizes are fixed, all cells are computed, and
    the answer is the same.

    Args:
        backbone: `keras.Model` of one image input whose outputs are two maps
            of features or more, the finest first, each of half the size of
            the one before, rounded up: `keras.Model(x.input, [...])` of the
            layers of a classifier that end its stages. It is copied, weights
            included, its layers becoming layers of the new model; what is
            frozen in it is frozen in the copy.
        num_classes: Integer >= 1, the background left out.
        filters: Integer >= 1, channels at each level. Defaults to `64`.
        threshold: Float from 0 to 1: a cell is divided where it is mixed by
            a probability above it. Lower ones divide more cells, at 0 all,
            also those within leaves, of which training says nothing. Defaults
            to `0.5`.
        seed: Integer or `None`: the new weights. Defaults to `None`.
        name: Name of the model. Defaults to `None`.

    Returns:
        A `keras.Model` on the backbone's images. Its output is a dictionary
        of probabilities: `"masks"`, `(batch, rows, columns, 1 + num_classes)`,
        the background first, at the positions of the finest features; and
        `"level_1"`, `"level_2"`, ..., with a last channel for mixed cells. In
        training they hold what each level says; in inference cells that
        nobody asked have what the leaf they lie in was told. All are in the
        data format of the finest features.

    Raises:
        TypeError: If `backbone` is not a Keras model.
        ValueError: If the backbone's outputs are not as above, or if an
            argument is out of its range.

    References:
        - [Chitta et al., 2020](https://arxiv.org/abs/1907.11821), whose
          decoder convolves the features of mixed cells with each other.

    Example:

    >>> x = inputs = keras.Input((None, None, 3))
    >>> stages = []
    >>> for filters in (8, 16, 32):
    ...     x = keras.layers.Conv2D(filters, 3, 2, "same", activation="relu")(x)
    ...     stages.append(x)
    >>> backbone = keras.Model(inputs, stages)
    >>> model = keras_xmap.models.quadtree_decoder(backbone, 20, filters=8)
    >>> found = model(np.ones((1, 48, 64, 3)))
    >>> {name: tuple(x.shape[1:]) for name, x in found.items()}
    {'masks': (24, 32, 21), 'level_1': (12, 16, 22), 'level_2': (6, 8, 22)}
    """
    num_classes = check_positive_integer("num_classes", num_classes)
    filters = check_positive_integer("filters", filters)
    threshold = check_share("threshold", threshold)
    seed = check_optional(check_seed, "seed", seed)
    check_optional(check_string, "name", name)
    recording = Recording(
        _check_stages(check_image_model("backbone", backbone))
    )
    inputs = keras.Input(
        batch_shape=backbone.inputs[0].shape,
        dtype=backbone.inputs[0].dtype,
        name="images",
    )
    replay = Replay(recording, taken=(inputs.name, "levels"))
    features = keras.tree.flatten(replay.outputs([inputs]))
    formats = DataFormats(recording)
    decoder = QuadtreeLevels(
        num_classes,
        filters,
        threshold,
        [formats.of(x) for x in keras.tree.flatten(recording.outputs)],
        seed,
        name="levels",
    )
    return keras.Model(inputs, decoder(features), name=name)


def _check_stages(model):
    """Returns `model`, whose outputs must be maps, each half as large."""
    shapes = [tuple(x.shape) for x in model.outputs]
    recording = Recording(model)
    formats = DataFormats(recording)
    sizes = [
        shape[1:3] if formats.of(x) == "channels_last" else shape[2:]
        for x, shape in zip(
            keras.tree.flatten(recording.outputs), shapes, strict=True
        )
        if len(shape) == 4
    ]
    fits = len(sizes) == len(shapes) > 1 and all(
        None in (fine, coarse) or coarse == -(-fine // 2)
        for a, b in itertools.pairwise(sizes)
        for fine, coarse in zip(a, b, strict=True)
    )
    if not fits:
        raise ValueError(
            "`backbone` must have two outputs or more, feature maps with a "
            "batch, two spatial and a channel axis, the finest first, each "
            "half the size of the one before, rounded up. Received: "
            f"backbone={model.name!r} of outputs of shapes {shapes}. Take the "
            "layers that end the stages, of strides 4, 8, 16 and so on, of "
            "convolutions with padding='same': keras.Model(x.input, "
            "[x.get_layer(name).output for name in names])."
        )
    return model
