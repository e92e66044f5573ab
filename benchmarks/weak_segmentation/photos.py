"""Photos, a frozen network, and a classifier for each fold of the photos."""

import keras
import numpy as np

from benchmarks.common.heads import frozen_trunk
from benchmarks.common.heads import linear_head
from benchmarks.common.labelled import SIZE
from benchmarks.common.layer_names import FEATURES
from benchmarks.common.layer_names import coarsest
from benchmarks.common.overlaps import average_precision

FOLDS = 2
BATCH = 16
SIDE = SIZE // 2  # of masks, and of the photos that a CRF looks at
FEATURE_SIDE = 28  # of what segmentation networks and walks see
COMPONENTS = 32  # that are kept of each layer's channels


class Setting:
    """What all methods work with.

    Attributes:
        labelled: `common.labelled.Labelled`.
        images: What the network takes, float32.
        photos: `(n, SIDE, SIDE, 3)`, uint8.
        trunk: The network up to its last map of features.
        features: What it says of the images.
        classifier: Its features, their mean over positions, and a layer.
        fold: Which fold each photo is in.
        precision: Mean average precision of the photos of each fold.
    """

    def __init__(self, folder, labelled, network, epochs):
        self.labelled = labelled
        self.images = folder.prepared(network, labelled.images)
        photos = reduced(labelled.images.astype("float32"), SIDE, (1, 2))
        self.photos = photos.round().astype("uint8")
        self._pixels = labelled.pixels[:, 1::2, 1::2]
        self._known = labelled.known[:, 1::2, 1::2]
        self.trunk = frozen_trunk(folder, network)
        self.features = self.trunk.predict(self.images, BATCH, verbose=0)
        self.fold = labelled.folds(FOLDS)
        self._epochs, self._network = epochs, network
        x = keras.layers.GlobalAveragePooling2D()(self.trunk.output)
        self._scores = keras.layers.Dense(labelled.labels.shape[1])
        self.classifier = keras.Model(self.trunk.input, self._scores(x))
        self._heads = [self.head(fold, self.features) for fold in range(FOLDS)]
        self.precision = self._precision()
        self._columns = None

    @property
    def num_classes(self):
        return self.labelled.labels.shape[1]

    def train(self, fold):
        """Returns the rows of the photos of the other half."""
        return np.flatnonzero(self.fold != fold)

    def held_out(self, fold):
        return np.flatnonzero(self.fold == fold)

    def head(self, fold, features):
        """Returns the weights of a classifier of features, `(c, k)`, `(k,)`."""
        rows = self.train(fold)
        means = features[rows].mean((1, 2))[None]
        return linear_head(
            means, self.labelled.labels[rows], fold, self._epochs
        )

    def use(self, fold):
        """Gives the classifier the weights that know the other folds."""
        self._scores.set_weights(self._heads[fold])

    def classes(self, row):
        target = self.labelled.target[row]
        return target[target >= 0]

    def truth(self, row):
        """Returns labels of pixels, 255 where nothing is known."""
        return np.where(self._known[row], self._pixels[row], 255)

    def columns(self, fold):
        """Returns features of several layers, each reduced to its components.

        Returns:
            `(n, FEATURE_SIDE, FEATURE_SIDE, channels)`, float32. The
            components are those of the photos of the other half.
        """
        if self._columns is None:
            self._columns = self._of_layers()
        parts = [_components(x, self.train(fold)) for x in self._columns]
        return np.concatenate(parts, axis=-1)

    def _of_layers(self):
        names = [FEATURES[self._network], *coarsest(self._network, 3)[1:]]
        outputs = [self.trunk.get_layer(name).output for name in names]
        model = keras.Model(self.trunk.input, outputs)
        found = model.predict(self.images, BATCH, verbose=0)
        return [
            reduced(x, FEATURE_SIDE, (1, 2)).astype("float16") for x in found
        ]

    def _precision(self):
        labels = self.labelled.labels
        outputs = np.zeros_like(labels)
        for fold, (kernel, bias) in enumerate(self._heads):
            rows = self.held_out(fold)
            outputs[rows] = self.features[rows].mean((1, 2)) @ kernel + bias
        return round(average_precision(outputs, labels), 3)


def reduced(x, side, axes):
    """Returns means over blocks, so that two axes are not above `side`."""
    for axis in axes:
        times = x.shape[axis] // side
        if times > 1:
            shape = *x.shape[:axis], side, times, *x.shape[axis + 1 :]
            x = x.reshape(shape).mean(axis + 1)
    return x


def _components(x, rows):
    """Returns the principal components of features, at `FEATURE_SIDE`."""
    seen = x[rows].reshape(-1, x.shape[-1]).astype("float32")
    mean = seen.mean(0)
    seen -= mean
    values, vectors = np.linalg.eigh(seen.T @ seen / len(seen))
    vectors = vectors[:, -COMPONENTS:]
    scale = np.sqrt(max(values[-COMPONENTS:].mean(), 1e-12))
    found = (x.astype("float32") - mean) @ (vectors / scale)
    resized = keras.ops.image.resize(
        found, (FEATURE_SIDE, FEATURE_SIDE), data_format="channels_last"
    )
    return keras.ops.convert_to_numpy(resized)
