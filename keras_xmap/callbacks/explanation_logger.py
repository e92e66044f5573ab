import io
import os
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_xmap import _files
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_instance
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._image_files import as_png
from keras_xmap._repr import call_repr
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Path
from keras_xmap._typing import Structure
from keras_xmap.callbacks._functions import check_explainer
from keras_xmap.callbacks._functions import check_function
from keras_xmap.callbacks._tensorboard import TensorBoardFolder
from keras_xmap.distribution import Workers
from keras_xmap.explainers import Explainer
from keras_xmap.visualization import overlay
from keras_xmap.visualization import panel
from keras_xmap.visualization import to_uint8

_NAME = re.compile(r"(?:image-\d+|maps)\.epoch-(\d{5,})\.(?:png|npy)")


class ExplanationLogger(keras.callbacks.Callback):
    """Shows during training what the network looks at, epoch by epoch.

    At the end of an epoch the same few images are explained, and one picture
    of each is drawn: the image, its map in colours, and the map laid over the
    image; below each other if several classes are explained. Pictures go to
    PNG files, to TensorBoard and to a function of yours, whichever are given;
    the maps themselves are kept beside the PNG files, as numbers.

    The network is explained as it predicts, with inference statistics and
    without dropout. It is traced once in a training; epochs that are not
    logged cost nothing. With several workers the chief logs.

    A training that was killed and goes on, by `initial_epoch` or by a
    callback such as `keras.callbacks.BackupAndRestore`, goes on with the
    pictures of its folder; those of later epochs are of another training,
    which is refused.

    Args:
        explainer: Explainer of the model that is trained, or a function that
            takes the model and returns one, such as `explainers.GradCAM`.
        images: What the model takes, `(n, height, width, channels)` or the
            structure of such arrays; a few, since all are kept in memory.
        target: What is explained, see `keras_xmap.targets`. Name a class: the
            answer, which `None` explains, changes from epoch to epoch.
            Defaults to `None`.
        every: Integer >= 1: explain every so many epochs. Defaults to `1`.
        directory: Folder for `image-0.epoch-00001.png` (as in the names of
            `keras.callbacks.ModelCheckpoint`, epochs count from 1) and
            `maps.epoch-00001.npy`, or `None`. Defaults to `None`.
        tensorboard: Folder of logs, the `log_dir` of
            `keras.callbacks.TensorBoard`, or `None`. Pictures stand there
            beside the curves, at the same steps. Defaults to `None`.
        write: Function of `(name, picture, epoch)` that is called with text
            such as `"image-0"`, a uint8 array `(height, width, 3)` and the
            number of the epoch, counted from 0 as in callbacks and in
            TensorBoard. Defaults to `None`.
        pictures: List of `n` images of any kind that `visualization.to_uint8`
            takes, to draw on. Defaults to `None`: `images`, where they are
            such.
        signed: Boolean. Whether the sign of maps has a meaning: colours are
            then those of `visualization.overlay(signed=True)`. Defaults to
            `False`.
        batch_size: Integer >= 1, images in one forward pass. Defaults to `32`.

    Raises:
        ValueError: If an argument is out of range or nothing says where
            pictures go; as training begins, if the explainer is of another
            model, if there is nothing to draw, or if `directory` holds
            pictures of later epochs.
        TypeError: If an argument is of another type.
        ImportError: If `tensorboard` is given and TensorBoard is not
            installed.

    Example:

    >>> model = keras.Sequential([keras.Input((16, 16, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(2, activation="softmax")])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> images = np.random.uniform(size=(8, 16, 16, 3)).astype("float32")
    >>> logger = keras_xmap.callbacks.ExplanationLogger(
    ...     keras_xmap.explainers.GradCAM(model), images[:2], target=[0, 1],
    ...     directory="looks")
    >>> history = model.fit(images, np.arange(8) % 2, epochs=2, verbose=0,
    ...     callbacks=[logger])
    >>> import os
    >>> sorted(os.listdir("looks"))[:2]
    ['image-0.epoch-00001.png', 'image-0.epoch-00002.png']
    """

    def __init__(
        self,
        explainer: Explainer | Callable[[keras.Model], Explainer],
        images: Structure,
        target: object = None,
        every: int = 1,
        directory: Path | None = None,
        tensorboard: Path | None = None,
        write: Callable[[str, np.ndarray, int], Any] | None = None,
        pictures: list[ArrayLike] | ArrayLike | None = None,
        signed: bool = False,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        if not isinstance(explainer, Explainer):
            check_explainer("explainer", explainer)
        self.explainer = explainer
        self.images, self.target = images, target
        self.every = check_positive_integer("every", every)
        self.directory = check_optional(
            _files.check_path, "directory", directory
        )
        self.tensorboard = check_optional(
            _files.check_path, "tensorboard", tensorboard
        )
        self.write = check_optional(check_function, "write", write, 3)
        if (directory, tensorboard, write) == (None, None, None):
            raise ValueError(
                "One of `directory`, `tensorboard` and `write` must say where "
                "pictures go. Received: none of them."
            )
        self.signed = check_boolean("signed", signed)
        self.batch_size = check_positive_integer("batch_size", batch_size)
        self.pictures = pictures
        self._drawn_on = _pictures(images if pictures is None else pictures)
        self._board = None
        if tensorboard is not None:
            self._board = TensorBoardFolder(self.tensorboard)
        self._made_for = None, None

    def __repr__(self) -> str:
        return call_repr(self, ("explainer",))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._is_chief = Workers(self.model.distribute_strategy).is_chief
        self._has_begun = False

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        # Only now is it known which epoch training goes on with.
        if self._is_chief and not self._has_begun:
            self._has_begun = True
            if self.directory is not None:
                self._prepare_directory(epoch)
            # What cannot be explained or drawn is said before the training.
            self._draw(self._explain())

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if not self._is_chief or (epoch + 1) % self.every:
            return
        maps = self._explain()
        pictures = self._draw(maps)
        if self.directory is not None:
            self._write_files(maps, pictures, epoch + 1)
        if self._board is not None:
            self._board.add(pictures, epoch)
        if self.write is not None:
            for name, picture in pictures.items():
                self.write(name, picture, epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._board is not None:
            self._board.close()

    def _prepare_directory(self, epoch):
        _files.make_directory(self.directory)
        later = [
            name
            for name in _files.list_files(self.directory)
            if (known := _NAME.fullmatch(name)) and int(known[1]) > epoch + 1
        ]
        if later:
            raise ValueError(
                "`directory` must not hold pictures of later epochs: they are "
                f"of another training. Received: {later[-1]!r} in "
                f"{self.directory!r} as epoch {epoch + 1} begins. Name another "
                "folder, or delete them."
            )
        # A folder that cannot be written to is told now as well.
        trial = os.path.join(self.directory, ".trial")
        _files.write_atomically(trial, b"")
        _files.delete_file(trial)

    def _explain(self):
        """Returns maps `(n, classes, height, width)`, one class as well."""
        explainer = self._explainer()
        maps = explainer.explain(
            self.images, self.target, self.batch_size, verbose=0
        )
        found = [x for x in keras.tree.flatten(maps) if x is not None]
        target = explainer.convert_target(self.target)
        single = target.is_single(target.parts)
        shapes = [x.shape for x in found]
        if len(found) != 1 or found[0].ndim != (3 if single else 4):
            raise ValueError(
                "Explanations must be one map (height, width) of each image "
                f"to be drawn. Received: maps of shapes {shapes} from "
                f"{explainer!r}. Of several inputs pick one by `input_name`."
            )
        if len(found[0]) != len(self._drawn_on):
            raise ValueError(
                "`pictures` must be one for each of `images`. Received: "
                f"{len(self._drawn_on)} pictures for {len(found[0])} images."
            )
        return found[0][:, None] if single else found[0]

    def _explainer(self):
        if isinstance(self.explainer, Explainer):
            explainer = self.explainer
        else:
            made_for, explainer = self._made_for
            if made_for is not self.model:
                explainer = check_instance(
                    "explainer",
                    self.explainer(self.model),
                    Explainer,
                    "an explainer, or a function that returns an explainer",
                )
                self._made_for = self.model, explainer
        trained = {id(variable) for variable in self.model.variables}
        if not any(id(x) in trained for x in explainer.model.variables):
            raise ValueError(
                "`explainer` must be of the model that is trained, else its "
                f"maps never change. Received: {explainer!r}, in the training "
                f"of {self.model.name!r}."
            )
        return explainer

    def _draw(self, maps):
        """Returns the picture of each image by its name."""
        pictures = {}
        for number, picture in enumerate(self._drawn_on):
            rows = []
            for heatmap in maps[number]:
                alone, laid_over = (
                    overlay(picture, heatmap, alpha, signed=self.signed)
                    for alpha in (1, None)
                )
                rows.append([picture, alone, laid_over])
            pictures[f"image-{number}"] = panel(rows)
        return pictures

    def _write_files(self, maps, pictures, number):
        content = io.BytesIO()
        np.save(content, maps)
        files = {f"maps.epoch-{number:05d}.npy": content.getvalue()}
        for name, picture in pictures.items():
            files[f"{name}.epoch-{number:05d}.png"] = as_png(picture)
        for name, content in files.items():
            _files.write_atomically(os.path.join(self.directory, name), content)


def _pictures(images):
    """Returns a list of uint8 images to draw on."""
    leaves = keras.tree.flatten(images)
    if not isinstance(images, (list, tuple)) and len(leaves) == 1:
        images = leaves[0]
    try:
        return [to_uint8(image) for image in images]
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`pictures` must be given where `images` are nothing to draw on. "
            f"Received: images of which one cannot be drawn: {error}"
        ) from error
