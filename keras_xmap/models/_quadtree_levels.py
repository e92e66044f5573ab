"""The decoder of `models.quadtree_decoder`, from the coarsest map on."""

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._numeric import known_integer
from keras_xmap._saving import registered
from keras_xmap.ops import divided

# A position with the eight around it, and the four of the next level in it.
_AROUND = [(row, column) for row in range(3) for column in range(3)]
_WITHIN = [(row, column) for row in range(2) for column in range(2)]


@registered
class QuadtreeLevels(keras.layers.Layer):
    """Says of the cells of each level what is there, or that they are mixed.

    `f = relu(convolution(features of the level) + above(f of the cell above))`
    and `softmax(head(f))`. So what a cell is told depends on the features and
    on the cells it lies in, and not on which of its neighbors are looked at:
    a cell gets the same answer whether all are computed, as in training, or
    those alone that lie in mixed ones.
    """

    def __init__(
        self,
        num_classes,
        filters,
        threshold,
        data_formats,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.filters = filters
        self.threshold = threshold
        self.data_formats = list(data_formats)
        self.seed = seed
        # XLA fixes sizes, and how many cells are mixed the image says.
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False
        count = len(self.data_formats)
        self.convolutions = [self._convolution(i) for i in range(count)]
        self.above = [self._above(i) for i in range(count - 1)]
        self.heads = [self._head(i) for i in range(count)]

    def build(self, input_shape):
        for shape, data_format, convolution in zip(
            input_shape, self.data_formats, self.convolutions, strict=True
        ):
            channels = shape[channel_axis(data_format)]
            convolution.build((None, None, None, channels))
        for layer in (*self.above, *self.heads):
            layer.build((None, self.filters))

    def call(self, features, training=False):
        maps = [
            ops.moveaxis(x, channel_axis(data_format), -1)
            for x, data_format in zip(features, self.data_formats, strict=True)
        ]
        if training:
            levels = self._everywhere(maps)
        elif self.threshold and _can_be_seen(maps[-1]):
            levels = self._where_mixed(maps)
        else:
            levels = self._chosen(self._everywhere(maps))
        axis = channel_axis(self.data_formats[0])
        levels = [ops.moveaxis(x, -1, axis) for x in levels]
        return dict(zip(self._names(), levels, strict=True))

    def _everywhere(self, maps):
        """Returns the probabilities of all cells, the finest level first."""
        levels, x = [], None
        for level in reversed(range(len(maps))):
            around = self.convolutions[level](maps[level])
            if x is not None:
                size = ops.shape(maps[level])[1:3]
                around = around + _side_by_side(self.above[level](x), size)
            x = ops.relu(around)
            levels.append(self._probabilities(level, x))
        return levels[::-1]

    def _chosen(self, levels):
        """Returns of what was computed everywhere what is asked for."""
        found, is_asked = levels[-1:], ops.ones_like(levels[-1][..., 0], "bool")
        for level in reversed(range(len(levels) - 1)):
            own, size = levels[level], ops.shape(levels[level])[1:3]
            is_mixed = found[0][..., -1] > self.threshold
            is_asked = divided(ops.logical_and(is_asked, is_mixed), size)
            below = divided(_of_leaves(found[0], level), size)
            found.insert(0, ops.where(is_asked[..., None], own, below))
        return found

    def _where_mixed(self, maps):
        """Returns the probabilities, computed within mixed cells alone."""
        x = ops.relu(self.convolutions[-1](maps[-1]))
        cells = _Cells.all_of(x)
        x = ops.reshape(x, (-1, self.filters))
        p = self._probabilities(len(maps) - 1, x)
        found = [ops.reshape(p, (*ops.shape(maps[-1])[:3], p.shape[-1]))]
        for level in reversed(range(len(maps) - 1)):
            size = ops.shape(maps[level])[1:3]
            (mixed,) = ops.nonzero(p[:, -1] > self.threshold)
            handed = self.above[level](ops.take(x, mixed, axis=0))
            handed = ops.reshape(handed, (-1, self.filters))
            cells, inside = cells.take(mixed).divided(size)
            handed = ops.take(handed, inside, axis=0)
            x = ops.relu(self._convolved(level, maps[level], cells) + handed)
            p = self._probabilities(level, x)
            below = divided(_of_leaves(found[0], level), size)
            found.insert(0, ops.scatter_update(below, cells.places(), p))
        return found

    def _convolved(self, level, x, cells):
        """Returns the convolution of a map at some of its positions."""
        layer = self.convolutions[level]
        x = ops.cast(x, layer.compute_dtype)
        height, width = ops.shape(x)[1:3]
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        rows = ops.reshape(x, (-1, x.shape[-1]))
        first = cells.image * (height + 2) + cells.row
        first = first * (width + 2) + cells.column
        steps = [row * (width + 2) + column for row, column in _AROUND]
        places = ops.stack([first + step for step in steps], axis=1)
        around = ops.take(rows, places, axis=0)
        around = ops.reshape(around, (-1, 9 * x.shape[-1]))
        kernel = ops.reshape(layer.kernel, (-1, self.filters))
        kernel = ops.cast(kernel, around.dtype)
        return ops.matmul(around, kernel) + ops.cast(layer.bias, around.dtype)

    def _probabilities(self, level, x):
        return ops.softmax(self.heads[level](x))

    def _names(self):
        count = len(self.data_formats)
        return ["masks", *(f"level_{level}" for level in range(1, count))]

    def _num_outputs(self, level):
        return 1 + self.num_classes + bool(level)

    def _seed(self, number):
        return None if self.seed is None else self.seed + number

    def _convolution(self, level):
        return keras.layers.Conv2D(
            self.filters,
            3,
            padding="same",
            kernel_initializer=keras.initializers.HeNormal(
                self._seed(3 * level)
            ),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=f"convolution_{level}",
        )

    def _above(self, level):
        return keras.layers.Dense(
            4 * self.filters,
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(
                self._seed(3 * level + 1)
            ),
            dtype=self.dtype_policy,
            name=f"above_{level}",
        )

    def _head(self, level):
        # The last step in full precision, under mixed precision too.
        return keras.layers.Dense(
            self._num_outputs(level),
            kernel_initializer=keras.initializers.GlorotUniform(
                self._seed(3 * level + 2)
            ),
            dtype=keras.config.floatx(),
            name=f"head_{level}",
        )

    def compute_output_spec(self, features, training=False):
        specs = {}
        for level, name in enumerate(self._names()):
            of_level = channel_axis(self.data_formats[level])
            shape = list(features[level].shape)
            del shape[of_level]
            shape.insert(
                channel_axis(self.data_formats[0]) % 4, self._num_outputs(level)
            )
            specs[name] = keras.KerasTensor(shape, keras.config.floatx())
        return specs

    def get_config(self):
        config = {
            "num_classes": self.num_classes,
            "filters": self.filters,
            "threshold": self.threshold,
            "data_formats": self.data_formats,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


class _Cells:
    """A list of cells of one level: of which image, and where."""

    def __init__(self, image, row, column):
        self.image, self.row, self.column = image, row, column

    @classmethod
    def all_of(cls, x):
        batch, height, width = ops.shape(x)[:3]
        place = ops.arange(batch * height * width, dtype="int32")
        row = place // width
        return cls(row // height, row % height, place % width)

    def take(self, picked):
        return _Cells(*(ops.take(x, picked) for x in self._all()))

    def divided(self, size):
        """Returns the four cells of each that lie inside, and their places
        among all four."""
        image, row, column = (
            ops.stack([factor * x + step for step in steps], axis=1)
            for x, factor, steps in zip(
                self._all(),
                (1, 2, 2),
                ([0] * 4, *zip(*_WITHIN, strict=True)),
                strict=True,
            )
        )
        image, row, column = (
            ops.reshape(x, (-1,)) for x in (image, row, column)
        )
        is_inside = ops.logical_and(row < size[0], column < size[1])
        (inside,) = ops.nonzero(is_inside)
        return _Cells(image, row, column).take(inside), inside

    def places(self):
        return ops.stack(self._all(), axis=1)

    def _all(self):
        return self.image, self.row, self.column


def _can_be_seen(x):
    """Returns whether sizes may follow from values: not while JAX compiles."""
    if keras.backend.backend() == "tensorflow":
        return True
    # The sum of nothing: what is asked is whether it has a value.
    return known_integer(ops.sum(ops.cast(x[:0], "int32"))) is not None


def _of_leaves(p, level):
    """Returns what holds for all that lies in leaves, none of it mixed."""
    of_classes = p[..., :-1]
    total = ops.sum(of_classes, axis=-1, keepdims=True)
    of_classes = of_classes / ops.maximum(total, keras.config.epsilon())
    if not level:
        return of_classes
    return ops.concatenate([of_classes, ops.zeros_like(p[..., -1:])], axis=-1)


def _side_by_side(x, size):
    """Returns four neighbors of each position out of its channels."""
    batch, height, width = ops.shape(x)[:3]
    channels = x.shape[-1] // 4
    x = ops.reshape(x, (batch, height, width, 2, 2, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    x = ops.reshape(x, (batch, 2 * height, 2 * width, channels))
    return x[:, : size[0], : size[1]]
