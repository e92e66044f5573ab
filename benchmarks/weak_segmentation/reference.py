"""A network of others that masks were given to, as a bound.

DeepLabv3 on MobileNetV2, trained on the masks of PASCAL VOC, whose classes are
those of the photos of COCO here.
"""

import keras
import numpy as np

from benchmarks.common.images import resized
from benchmarks.weak_segmentation.photos import SIDE
from benchmarks.weak_segmentation.photos import reduced

NETWORK = "deeplabv3_mnv2_voc"
DATASET = "coco_seg"
BATCH = 4


def maps_of(folder, labelled):
    """Returns maps of the background and the classes of `labelled`.

    The photos are those of all methods, 224 x 224, brought to the size that
    the network takes. Of its 20 classes it answers for those that are asked
    for.

    Returns:
        Probabilities `(n, SIDE, SIDE, 1 + classes)`.
    """
    network = folder.network(NETWORK)
    size = folder.size(NETWORK)
    channels = [0, *labelled.values]  # VOC's numbers, as in the masks
    found = []
    for start in range(0, len(labelled.images), BATCH):
        photos = labelled.images[start : start + BATCH]
        photos = np.stack([resized(photo, (size, size)) for photo in photos])
        scores = network.predict_on_batch(folder.prepared(NETWORK, photos))
        scores = keras.ops.image.resize(
            scores[..., channels],
            (2 * SIDE, 2 * SIDE),
            data_format="channels_last",
        )
        probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(scores))
        found.append(reduced(probabilities, SIDE, (1, 2)))
    return np.concatenate(found)
