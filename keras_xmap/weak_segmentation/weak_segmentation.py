import json
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras
import numpy as np

from keras_xmap import _files
from keras_xmap._checks import check_callable
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_instance
from keras_xmap._checks import check_model
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_pair
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._checks import check_threshold
from keras_xmap._checks import is_number
from keras_xmap._repr import call_repr
from keras_xmap._typing import Number
from keras_xmap._typing import Path
from keras_xmap.datasets import LabelledFolder
from keras_xmap.datasets import VOCFolder
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import as_views
from keras_xmap.ops import crf_parameters
from keras_xmap.weak_segmentation import _masks
from keras_xmap.weak_segmentation import _network
from keras_xmap.weak_segmentation import _pseudo_labels
from keras_xmap.weak_segmentation._run import Run
from keras_xmap.weak_segmentation._run import channels_of
from keras_xmap.weak_segmentation._run import check_beforehand
from keras_xmap.weak_segmentation._run import check_directory
from keras_xmap.weak_segmentation.report import Report


class WeakSegmentation:
    """Makes masks of photos of which only the classes in them are known.

    Four stages, each of which leaves its results in the folder of the run:

    1. a classifier is trained on the labels of the photos: the backbone, a
       score of each class at each position, their mean, a sigmoid;
    2. the maps of an explainer for the classes of each photo, and a cue for
       the background, become pseudo labels (`segmentation.pseudo_labels`);
    3. a segmentation network is trained on these: the backbone, as it was,
       and `models.segmentation_network`;
    4. its maps of each photo, without the classes that are not in the photo's
       labels, are drawn to the edges by a dense CRF and become masks.

    Pseudo labels (`pseudo_labels`) and masks (`masks`) are indexed PNGs of the
    photos' own size in the colours of PASCAL VOC, named as the photos are; the
    network is `network.keras`. Photos are read as they are needed.

    **When it is killed**, call the same `fit` again: it goes on with the
    epoch or the photo it was at. With other photos or arguments it is refused,
    and told which. **Under `tf.distribute`**, in the scope of a strategy, it
    trains and explains on all replicas of one process; several workers are
    refused.

    Args:
        backbone: `keras.Model` of one image input, grey or of three colours,
            channels last, whose output is a map of features. It is copied,
            weights included, for each of the two networks. The finer its map,
            the finer the masks: take a layer that reduces photos 8 or 16
            times.
        directory: Path of the folder of the run: empty, or of this run.
        image_size: Integer or pair of integers >= 1, height and width that
            photos are brought to for the networks, without regard to their
            shape.
        explainer: Function that takes the classifier and returns an explainer
            with maps of a class, such as `explainers.LayerCAM`. Defaults to
            `explainers.GradCAM`, which on this classifier is CAM.
        max_rounds: Integer >= 1. From 2 on, maps are those of adversarial
            erasing, of so many rounds at most; see
            `callbacks.AdversarialErasing`. Defaults to `1`, no erasing.
        erasing_threshold: Float between 0 and 1: the share of a map's maximum
            above which it is erased. Defaults to `0.2`.
        threshold: Float from 0 to below 1: the share above which it is the
            class in the pseudo labels. Defaults to `0.2`.
        background: What is background. `"unclaimed"`: all that no class
            claims. `"gradient"`: where the gradient of all classes is lowest,
            see `segmentation.background_cue`; the rest is in doubt. Or a
            function that takes a photo, uint8 `(height, width, 3)`, and
            returns what is salient in it, as `segmentation.DRFI.predict`
            does. Defaults to `"unclaimed"`.
        saliency_threshold: Float from 0 to below 1, of such a function: the
            share of its maximum up to which it is background. Defaults to
            `0.06`.
        loss: What the network is trained with: `"plain"`, cross-entropy on
            the pseudo labels; `"sec"`, the three losses of SEC; `"psl"`,
            prohibitive segmentation learning. Defaults to `"plain"`.
        classifier_epochs: Integer >= 1, of each round. Defaults to `10`.
        epochs: Integer >= 1, of the network. Defaults to `10`.
        batch_size: Integer >= 1, images in a batch, of all replicas together.
            Defaults to `16`.
        optimizer: Function without arguments that returns an optimizer.
            Defaults to `keras.optimizers.Adam`.
        crf: Parameters of the CRF, see `segmentation.refine_with_crf`, or
            `None` for none. Defaults to `"paper"`.
        value_range: Pair of numbers: what the backbone expects for black and
            white. Defaults to `(0, 255)`.
        seed: Integer, for the order of photos and new weights. Defaults to
            `0`.
        views: List of views of the photos whose maps are averaged, such as
            `[1, 1.5, "mirror"]`; see `explain` of the explainer. Scales need
            a backbone that takes photos of any size. Defaults to `None`: the
            photo as it is, as always with several rounds of erasing.

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If `backbone` or a function is none.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> import pathlib
    >>> from PIL import Image
    >>> for name in ("photos/red", "photos/green"):
    ...     pathlib.Path(name).mkdir(parents=True)
    ...     Image.new("RGB", (40, 30), name[7:]).save(f"{name}/a.png")
    ...
    >>> images = keras_xmap.datasets.LabelledFolder("photos")
    >>> backbone = keras.Sequential([keras.Input((None, None, 3)),
    ...     keras.layers.Conv2D(4, 3, strides=4, padding="same")])
    >>> run = keras_xmap.weak_segmentation.WeakSegmentation(
    ...     backbone, "run", 32, classifier_epochs=1, epochs=1)
    >>> report = run.fit(images, verbose=0)
    >>> keras_xmap.datasets.read_label_map("run/masks/red/a.png").shape
    (30, 40)
    """

    def __init__(
        self,
        backbone: keras.Model,
        directory: Path,
        image_size: int | Sequence[int],
        explainer: Callable[[keras.Model], Any] = GradCAM,
        max_rounds: int = 1,
        erasing_threshold: float = 0.2,
        threshold: float = 0.2,
        background: str | Callable[[np.ndarray], Any] = "unclaimed",
        saliency_threshold: float = 0.06,
        loss: Literal["plain", "sec", "psl"] = "plain",
        classifier_epochs: int = 10,
        epochs: int = 10,
        batch_size: int = 16,
        optimizer: Callable[[], Any] = keras.optimizers.Adam,
        crf: str | dict[str, float] | None = "paper",
        value_range: Sequence[Number] = (0, 255),
        seed: int = 0,
        views: Sequence[Any] | None = None,
    ) -> None:
        self.backbone = _check_backbone(backbone)
        self.directory = _files.check_path("directory", directory)
        self.image_size = check_pair(
            "image_size", image_size, check_positive_integer
        )
        _check_size(backbone, self.image_size)
        self.explainer = check_callable("explainer", explainer)
        self.max_rounds = check_positive_integer("max_rounds", max_rounds)
        self.erasing_threshold = check_fraction(
            "erasing_threshold", erasing_threshold
        )
        self.threshold = check_threshold("threshold", threshold)
        self.background = _check_background(background)
        self.saliency_threshold = check_threshold(
            "saliency_threshold", saliency_threshold
        )
        self.loss = check_one_of("loss", loss, _network.LOSSES)
        self.classifier_epochs = check_positive_integer(
            "classifier_epochs", classifier_epochs
        )
        self.epochs = check_positive_integer("epochs", epochs)
        self.batch_size = check_positive_integer("batch_size", batch_size)
        self.optimizer = check_callable("optimizer", optimizer)
        self.crf = crf if crf is None else crf_parameters(crf)
        self.value_range = _check_value_range(value_range)
        self.seed = check_seed("seed", seed)
        self.views = _check_views(views, self.max_rounds)

    def __repr__(self) -> str:
        return call_repr(self)

    def fit(
        self,
        images: VOCFolder | LabelledFolder,
        verbose: str | int = "auto",
    ) -> Report:
        """Trains both networks and writes the masks of the images.

        All files are read once before the work begins: those that cannot be
        read are left out, told in one warning, and by name in `problems.json`
        in the folder. Label maps that the images may have are not read.

        Args:
            images: `datasets.VOCFolder` or `datasets.LabelledFolder`.
            verbose: `"auto"`, 0, 1 or 2, as of `keras.Model.fit`. Defaults to
                `"auto"`.

        Returns:
            `Report`.

        Raises:
            ValueError: If the folder is not empty and not of this run, cannot
                be written to, or is too small.
        """
        level = _check_verbose(verbose)
        check_beforehand(self, _check_images(images))
        good = _readable(images, level)
        run = Run(self, good, level)
        _pseudo_labels.check_views(run)
        run.open()
        _files.write_atomically(
            run.folder.path("problems.json"),
            json.dumps(good.problems, indent=1).encode(),
        )
        _pseudo_labels.write(run)
        if not run.folder.is_done(_masks.STAGE):
            network = _network.trained(run)
            labels = good.labels
            self._write_masks(run, network, run.folder, _masks.STAGE, labels)
        return Report(
            run.folder.path(_masks.STAGE),
            len(good),
            good.problems,
            run.folder.logs(),
        )

    def predict(
        self,
        images: VOCFolder | LabelledFolder,
        directory: Path,
        verbose: str | int = "auto",
    ) -> Report:
        """Writes the masks of other photos, of which nothing is known.

        After `fit`, also in another process. A call that is killed goes on
        where it was; `directory` must be empty, or of the same call.

        Args:
            images: As of `fit`, with the same classes; their labels are not
                read.
            directory: Path of the folder of the masks.
            verbose: As of `fit`. Defaults to `"auto"`.

        Returns:
            `Report`.

        Raises:
            ValueError: If the run has no network yet, or one of other
                arguments or classes; or if `directory` cannot be used.
        """
        level = _check_verbose(verbose)
        path = _files.check_path("directory", directory)
        check_directory(path, _check_images(images))
        good = _readable(images, level)
        run = Run(self, good, level)
        network = _network.trained_before(run)
        folder = run.folder_of_predictions(path)
        self._write_masks(run, network, folder, "", None)
        return Report(path, len(good), good.problems, {})

    def _write_masks(self, run, network, folder, name, labels):
        if folder.is_done(_masks.STAGE):
            return
        _masks.write(
            network,
            run.photos,
            run.missing(folder, name),
            lambda row: run.label_map(folder, name, row),
            labels,
            self.crf,
            run.batch_size,
            run.verbose,
        )
        run.finish_label_maps(folder, name, _masks.STAGE)


def _check_backbone(backbone):
    channels_of(check_model("backbone", backbone))
    shapes = [tuple(x.shape) for x in backbone.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "`backbone` must have one output, a map of features. Received: "
            f"outputs of shapes {shapes}. Take it before its pooling, "
            "`include_top=False`."
        )
    return backbone


def _check_size(backbone, size):
    known = tuple(backbone.inputs[0].shape[1:3])
    if any(k not in (None, s) for k, s in zip(known, size, strict=True)):
        raise ValueError(
            "`image_size` must be that of the backbone's images. Received: "
            f"image_size={size} for images of {known}."
        )


def _check_background(background):
    if callable(background):
        return background
    remedy = "Or a function of a photo that returns what is salient in it."
    options = ("unclaimed", "gradient")
    return check_one_of("background", background, options, remedy)


def _check_value_range(value_range):
    is_pair = isinstance(value_range, (list, tuple)) and len(value_range) == 2
    if (
        not is_pair
        or not all(is_number(x) and np.isfinite(x) for x in value_range)
        or value_range[0] == value_range[1]
    ):
        raise ValueError(
            "`value_range` must be two different numbers, what the backbone "
            f"expects for black and white. Received: value_range="
            f"{value_range!r}."
        )
    return tuple(float(x) for x in value_range)


def _check_views(views, max_rounds):
    as_views(views)  # that there are such
    if views is not None and max_rounds > 1:
        raise ValueError(
            "`views` are of photos of which nothing was erased. Received: "
            f"views={views!r} with max_rounds={max_rounds}. Leave out one of "
            "the two."
        )
    return views


def _check_verbose(verbose):
    verbose = check_one_of("verbose", verbose, ("auto", 0, 1, 2))
    return 1 if verbose == "auto" else verbose


def _readable(images, verbose):
    """Returns the images that can be read, of which there must be one."""
    good = images.without_corrupt(verbose=min(verbose, 1))
    if not len(good):
        raise ValueError(
            "There must be an image that can be read. Received: "
            f"images={images!r}, {len(images)} images of which none can be."
        )
    return good


def _check_images(images):
    expected = "a datasets.VOCFolder or a datasets.LabelledFolder"
    kinds = (VOCFolder, LabelledFolder)
    return check_instance("images", images, kinds, expected)
