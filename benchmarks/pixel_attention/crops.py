"""Parts of photos with one object, and where the object is in them."""

import typing

import keras
import numpy as np
from PIL import Image

SIZE = 128
OUTPUTS = ("prediction", "noisy_prediction")


class Crops(typing.NamedTuple):
    """Parts of photos, the box in each, and the answers."""

    images: np.ndarray
    masks: np.ndarray
    answers: np.ndarray


class Batches(keras.utils.PyDataset):
    """Shuffled batches of crops, prepared for the network as they are read."""

    def __init__(self, crops, prepare, seed):
        super().__init__()
        self.crops, self.prepare = crops, prepare
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return max(1, len(self.order) // 32)

    def __getitem__(self, index):
        rows = self.order[32 * index : 32 * index + 32]
        answers = self.crops.answers[rows]
        return self.prepare(self.crops.images[rows]), {
            output: answers for output in OUTPUTS
        }

    def on_epoch_end(self):
        self.order = self.rng.permutation(len(self.crops.images))


def cut(photos, boxes, times, rng):
    """Cuts squares of 36 to 64 pixels out of every photo, `times` over.

    Those count that hold half of the box or more, and of which it takes half
    or less: two of three photos give none. The answer is the centre and the
    size of the box, clipped to the crop, where -1 and 1 are its borders and 1
    its side.
    """
    images, masks, answers = [], [], []
    for photo, box in list(zip(photos, boxes, strict=True)) * times:
        place = _drawn_place(len(photo), box, rng)
        if place is None:
            continue
        corner, extent, low, high = place
        (left, top), (right, bottom) = corner, corner + extent
        crop = Image.fromarray(photo[top:bottom, left:right])
        image = np.asarray(crop.resize((SIZE, SIZE), Image.BICUBIC))
        low, high = low / extent, high / extent
        mask = np.zeros((SIZE, SIZE), bool)
        (left, top), (right, bottom) = (
            np.round(SIZE * corner).astype(int) for corner in (low, high)
        )
        mask[top:bottom, left:right] = True
        if rng.integers(2):
            image, mask = image[:, ::-1], mask[:, ::-1]
            low[0], high[0] = 1 - high[0], 1 - low[0]
        images.append(image)
        masks.append(mask)
        answers.append([*(low + high - 1), *(high - low)])
    return Crops(
        np.stack(images), np.stack(masks), np.array(answers, "float32")
    )


def _drawn_place(side, box, rng):
    """Returns corner and extent of a crop, and the box in it, or `None`."""
    for _ in range(20):
        extent = rng.integers(36, side, endpoint=True)
        corner = rng.integers(side - extent, size=2, endpoint=True)
        low = (box[:2] - corner).clip(0, extent)
        high = (box[2:] - corner).clip(0, extent)
        shown = np.prod(high - low)
        whole = np.prod(box[2:] - box[:2])
        if shown >= whole / 2 and 0 < shown <= 0.5 * extent**2:
            return corner, extent, low, high
    return None
