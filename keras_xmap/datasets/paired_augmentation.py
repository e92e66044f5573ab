import reprlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_xmap._numeric import as_tensor
from keras_xmap._repr import as_call
from keras_xmap._typing import Tensor
from keras_xmap.datasets._loading import import_tensorflow
from keras_xmap.datasets._loading import where_any


class PairedAugmentation:
    """Augmentation that moves an image and the mask of its region together.

    The layers of Keras that augment images move segmentation masks along
    where a layer moves the image, and leave them where it changes colours.
    This applies them to the batches of `region_batches`:

    `batches.map(keras_xmap.datasets.PairedAugmentation(layers))`

    A region that would leave its image altogether is not augmented, nor its
    image: a label without its region would teach the wrong thing.

    Args:
        layers: Layer, or list of layers, of Keras' image augmentation that
            keep the size of images, such as `keras.layers.RandomFlip`,
            `RandomRotation` or `RandomBrightness`.

    Call arguments:
        inputs: Dictionary with `"image"` `(batch, height, width, channels)`
            and `"mask"` `(batch, height, width)`.
        *rest: What comes with it, such as labels.

    Returns:
        The same, with another `"image"` and `"mask"`.

    Raises:
        ImportError: If TensorFlow is not installed: batches are those of
            `tf.data`, whatever the Keras backend.
        TypeError: If a layer does not know segmentation masks, or if `inputs`
            is no dictionary of two tensors.
        ValueError: If a layer changes the size of images, or if image and
            mask are not of the shapes above.

    Example:

    >>> image = np.array([[[[9.0], [0.0]]]], "float32")
    >>> mask = np.array([[[1.0, 0.0]]], "float32")
    >>> flip = keras.layers.RandomFlip("horizontal", seed=3)
    >>> augmentation = keras_xmap.datasets.PairedAugmentation(flip)
    >>> both = [
    ...     augmentation({"image": image, "mask": mask}) for _ in range(20)
    ... ]
    >>> sorted({tuple(np.ravel(x["image"]).tolist()) for x in both})
    [(0.0, 9.0), (9.0, 0.0)]
    >>> all(np.all(x["image"][..., 0] == 9 * x["mask"]) for x in both)
    True
    """

    def __init__(
        self, layers: keras.layers.Layer | Sequence[keras.layers.Layer]
    ):
        import_tensorflow("PairedAugmentation")
        layers = layers if isinstance(layers, (list, tuple)) else [layers]
        for layer in layers:
            if not hasattr(layer, "transform_segmentation_masks"):
                raise TypeError(
                    "`layers` must be Keras layers that augment images and "
                    "move segmentation masks along. Received: "
                    f"layers with {type(layer).__name__}."
                )
        self.layers = list(layers)

    def __repr__(self):
        return as_call(self, layers=self.layers)

    def __call__(self, inputs: dict[str, Tensor], *rest: Tensor) -> Any:
        image, mask = _image_and_mask(inputs)
        both = {"images": image, "segmentation_masks": mask[..., None]}
        for layer in self.layers:
            both = layer(both, training=True)
        moved = {"image": both["images"], "mask": both["segmentation_masks"]}
        moved["mask"] = moved["mask"][..., 0]
        if moved["mask"].shape[1:] != mask.shape[1:]:
            raise ValueError(
                "`layers` must keep the size of images. Received: masks of "
                f"{tuple(mask.shape[1:])} that became "
                f"{tuple(moved['mask'].shape[1:])}. Crop and resize with "
                "`region_batches`."
            )
        still = {"image": image, "mask": mask}
        moved = where_any(moved["mask"] > 0, moved, still)
        augmented = {**inputs, **moved}
        return (augmented, *rest) if rest else augmented


def _image_and_mask(inputs):
    """Returns both as tensors of TensorFlow, whatever the Keras backend."""
    tf = import_tensorflow("PairedAugmentation")
    if not isinstance(inputs, dict) or not {"image", "mask"} <= inputs.keys():
        received = list(inputs) if isinstance(inputs, dict) else inputs
        raise TypeError(
            '`inputs` must be a dictionary with "image" and "mask", as '
            f"`region_batches` makes it. Received: {reprlib.repr(received)}."
        )
    image, mask = (
        as_tensor(name, inputs[name], tf.convert_to_tensor)
        for name in ("image", "mask")
    )
    # Layers that augment return floats, whatever they are given.
    image, mask = (
        x if x.dtype.is_floating else tf.cast(x, "float32")
        for x in (image, mask)
    )
    alike = image.shape.rank == 4 and mask.shape.rank == 3
    if not alike or not mask.shape.is_compatible_with(image.shape[:3]):
        raise ValueError(
            "`inputs` must hold images (batch, height, width, channels) and "
            "masks (batch, height, width). Received: shapes "
            f"{tuple(image.shape)} and {tuple(mask.shape)}."
        )
    return image, mask
