"""The variants of `roi_classifier`, and their training."""

import keras
import numpy as np
import tensorflow as tf

import keras_xmap

NETWORK = "squeezenet_v1_1"
SIZE = 96
CROP = (2.0, 4.0)
EPOCHS = 40
BATCH = 16
LEARNING_RATE = 5e-4  # of all weights
FIRST, MIDDLE, HIGH = "conv1", "fire4_concat", "fire9_concat"
FLOOR = "multiply, first layer"
WITHOUT = "no mask"
VARIANTS = {
    FLOOR: {"merge": "multiply", "merge_layer": FIRST},
    "add, first layer": {"merge": "add", "merge_layer": FIRST},
    "multiply, middle layer": {"merge": "multiply", "merge_layer": MIDDLE},
    "multiply, last layer": {"merge": "multiply", "merge_layer": HIGH},
    "multiply, all three": {
        "merge": "multiply",
        "merge_layer": [FIRST, MIDDLE, HIGH],
    },
    "hard, image": {"merge": "hard_image"},
    "hard, middle layer": {"merge": "hard_features", "merge_layer": MIDDLE},
    # Masks that are 1 everywhere: what a crop tells without its region.
    WITHOUT: {"merge": "hard_image"},
}


def arrays(batches):
    """All batches as arrays, for every variant to see the same."""
    inputs, labels = zip(*batches.as_numpy_iterator(), strict=True)
    images = np.concatenate([x["image"] for x in inputs]).astype("uint8")
    masks = np.concatenate([x["mask"] for x in inputs])
    return images, (masks * 255).round().astype("uint8"), np.concatenate(labels)


def as_inputs(folder, images, masks, labels, classes):
    """A dataset of what a model takes, prepared batch by batch."""
    numbers = np.searchsorted(classes, labels).astype("int32")
    mean = folder.archs.CAFFE_MEAN_RGB

    def prepare(image, mask, label):
        mask = tf.cast(mask, "float32") / 255
        return {"image": tf.cast(image, "float32") - mean, "mask": mask}, label

    dataset = tf.data.Dataset.from_tensor_slices((images, masks, numbers))
    return dataset.batch(BATCH).map(prepare).prefetch(2)


def without_masks(dataset):
    """The same images and labels, of which every pixel is asked about."""
    return dataset.map(lambda x, y: ({**x, "mask": tf.ones_like(x["mask"])}, y))


def make_model(folder, variant, num_classes, steps, learning_rate):
    network = folder.network(NETWORK, size=SIZE)
    features = network.get_layer(HIGH).output
    model = keras_xmap.models.roi_classifier(
        keras.Model(network.input, features),
        num_classes,
        activation=None,
        **VARIANTS[variant],
    )
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps - steps // 10,
        warmup_target=learning_rate,
        warmup_steps=steps // 10,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On CPUs compiled convolutions are the slower ones.
    model.compile(keras.optimizers.Adam(schedule), loss, jit_compile=False)
    return model


def trained(folder, variant, data, num_classes, learning_rate):
    """The model of a variant after training."""
    steps = int(data.cardinality())
    model = make_model(folder, variant, num_classes, steps, learning_rate)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    return model
