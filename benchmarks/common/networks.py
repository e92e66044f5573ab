"""Networks to time, and the bare passes through them."""

import keras
import tensorflow as tf
from keras import layers

SIZE, CLASSES = 96, 10


def mobilenet(size):
    return keras.applications.MobileNetV2(
        (size, size, 3), weights=None, classes=CLASSES
    )


def vgg_like(size):
    inputs = x = keras.Input((size, size, 3))
    for filters in (32, 64, 128):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(CLASSES, activation="softmax")(x)
    return keras.Model(inputs, outputs)


BUILDERS = {"MobileNetV2": mobilenet, "VGG-like": vgg_like}


def floors(model):
    """Returns compiled forward, and forward with backward for each class.

    The first takes images, the second also classes `(batch,)` or
    `(batch, classes)`: one forward pass, and one backward pass a column.
    """

    @tf.function(autograph=False)
    def forward(images):
        return model(images, training=False)

    @tf.function(autograph=False)
    def forward_backward(images, classes):
        outputs = model(images, training=False)
        columns = (
            [classes]
            if len(classes.shape) == 1
            else tf.unstack(classes, axis=1)
        )
        gradients = [
            tf.gradients(
                tf.gather(outputs, column, axis=1, batch_dims=1), images
            )[0]
            for column in columns
        ]
        return tf.stack(gradients)

    return forward, forward_backward
