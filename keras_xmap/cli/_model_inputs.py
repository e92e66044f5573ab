"""What a model takes, made of image files."""

import keras
import numpy as np


class ModelInputs:
    """The inputs of a model of images: the image, and what goes with it.

    The image is the only input of 4 axes, or the one named `image` or
    `images`. Beside it a model may take a mask of the region to answer about,
    `(batch, height, width)`, and labels `(batch, classes)` of the name
    `label`, which are zeros: none.

    Args:
        model: A Keras model.
        pixels: `Pixels`: what the model was trained to see.
    """

    def __init__(self, model, pixels):
        self._structure = tensors_of(model, "input")
        tensors = keras.tree.flatten(self._structure)
        self._pixels = pixels
        if isinstance(self._structure, dict):
            names = list(self._structure)
            tensors = [self._structure[name] for name in names]
        else:
            names = [tensor.name for tensor in tensors]
        self._shapes = {
            name: tuple(tensor.shape)
            for name, tensor in zip(names, tensors, strict=True)
        }
        self._image = self._find_image()
        self._mask = self._find_mask()
        self._channels_first, self._channels, self._size = self._layout()

    @property
    def takes_mask(self):
        return self._mask is not None

    @property
    def channels_first(self):
        return self._channels_first

    @property
    def size(self):
        """Rows and columns that the model takes; `None` for any number."""
        return self._size

    @property
    def image_name(self):
        """Name or number of the image; None where the input is no structure.

        Models that Keras 3.10 loads take a list also of a single input.
        """
        if not isinstance(self._structure, (dict, list, tuple)):
            return None
        is_dict = isinstance(self._structure, dict)
        return self._image if is_dict else list(self._shapes).index(self._image)

    def make(self, picture, mask=None):
        """Returns the inputs of one image, as the model takes them.

        Args:
            picture: RGB uint8 array `(height, width, 3)`.
            mask: Boolean array, or `None` for the whole image.
        """
        image = self._prepared(picture)
        size = image.shape[2:] if self._channels_first else image.shape[1:3]
        made = {}
        for name, shape in self._shapes.items():
            if name == self._image:
                made[name] = image
            elif name == self._mask:
                made[name] = _fitted_mask(mask, shape, size)
            else:
                made[name] = np.zeros((1, *shape[1:]), "float32")
        if isinstance(self._structure, dict):
            return made
        if isinstance(self._structure, (list, tuple)):
            return list(made.values())
        return image

    def _find_image(self):
        found = [
            name for name, shape in self._shapes.items() if len(shape) == 4
        ]
        for name in ("image", "images"):
            if len(found) > 1 and name in found:
                found = [name]
        if len(found) != 1:
            raise ValueError(
                "The command explains models with one image as input, of "
                "shape (height, width, channels). Received: a model with the "
                f"inputs {self._described()}. Use `keras_xmap.explainers` in "
                "Python for others."
            )
        return found[0]

    def _find_mask(self):
        others = {n: s for n, s in self._shapes.items() if n != self._image}
        masks = [n for n, s in others.items() if _is_mask(s)]
        rest = [
            n
            for n, s in others.items()
            if n not in masks and not (n == "label" and len(s) == 2)
        ]
        if len(masks) > 1 or rest:
            raise ValueError(
                "Beside an image the command knows one mask, of shape "
                "(height, width), and labels of the name `label`. Received: a "
                f"model with the inputs {self._described()}. Use "
                "`keras_xmap.explainers` in Python for others."
            )
        return masks[0] if masks else None

    def _layout(self):
        """Returns whether channels are first, their number, and the size."""
        shape = self._shapes[self._image]
        first = shape[1] in (1, 3) and shape[3] not in (1, 3)
        channels = shape[1] if first else shape[3]
        if channels not in (1, 3, None):
            raise ValueError(
                "The model must take images of 1 or 3 channels. Received: "
                f"input_shape={shape}."
            )
        return first, channels, shape[2:] if first else shape[1:3]

    def _prepared(self, picture):
        from skimage.color import rgb2gray
        from skimage.transform import resize

        image = picture / 255.0
        if self._channels == 1:
            image = rgb2gray(image)[..., None]
        size = tuple(
            known or own
            for known, own in zip(self._size, image.shape[:2], strict=True)
        )
        if size != image.shape[:2]:
            image = resize(image, size, anti_aliasing=True)
        image = self._pixels.of(image)
        return (np.moveaxis(image, -1, 0) if self._channels_first else image)[
            None
        ]

    def _described(self):
        return ", ".join(f"{n} {s}" for n, s in self._shapes.items()) or "none"


def tensors_of(model, end):
    """Returns the `"input"` or `"output"` of a model in its structure."""
    try:
        structure = getattr(model, end)
    except AttributeError:  # a Sequential model, which has only the list
        structure = getattr(model, f"{end}s", None) or []
        structure = structure[0] if len(structure) == 1 else structure
    if not keras.tree.flatten(structure):
        raise ValueError(
            "The model must have known inputs and outputs. Received: a "
            f"{type(model).__name__} without. Explain a subclassed model in "
            "Python, by `keras_xmap.explainers`."
        )
    return structure


def _is_mask(shape):
    return len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)


def _fitted_mask(mask, shape, size):
    """Returns a mask of the model's size, or of the image's if it has none."""
    from skimage.transform import resize

    size = tuple(
        known or own for known, own in zip(shape[1:3], size, strict=True)
    )
    if mask is None:
        mask = np.ones(size, bool)
    mask = resize(mask, size, order=0, anti_aliasing=False)
    return mask.astype("float32").reshape((1, *size, *shape[3:]))
