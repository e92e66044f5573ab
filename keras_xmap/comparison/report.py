import numpy as np

from keras_xmap import engine
from keras_xmap import explainers
from keras_xmap._checks import check_names
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._installation import require_scikit_learn
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Structure
from keras_xmap.comparison import _places_of_maps as places
from keras_xmap.comparison._images import Images
from keras_xmap.comparison._map_clusters import FEWEST
from keras_xmap.comparison._map_clusters import clusters_of
from keras_xmap.comparison._measures import Truth
from keras_xmap.comparison._pictures import Pictures
from keras_xmap.comparison.data_report import DataReport

_BORDER, _CORNER = 0.1, 0.2
_NUM_EXAMPLES = 6  # pictures of a group
_OF_NO_CLASS = -1  # what a target of one's own asks for
_OF_95 = 1.959964  # standard errors


def report(
    explainer: explainers.Explainer,
    data: Structure,
    target: object = None,
    masks: ArrayLike = None,
    boxes: ArrayLike = None,
    artifact: ArrayLike = None,
    class_names: list[str] | None = None,
    num_worst: int = 12,
    input_name: str | int | None = None,
    batch_size: int = 16,
    seed: int = 0,
    verbose: str | int = "auto",
) -> DataReport:
    """Explains many images, and says where their maps lie.

    A network that reads a tag in the corner of an X-ray answers as well as
    one that reads the lung, and five maps looked at by eye do not show it.
    Here each map is asked how much of its positive part lies

    - at the *border*, less than a tenth of the width or the height from an
      edge, .36 of the pixels of an image;
    - in the *corners*, less than a fifth from two edges, .16;
    - *outside* of the object, where `masks` or `boxes` tell;
    - on an *artifact*, where a mask tells.

    A place **dominates** a map that lies in it by more than half of the way
    from a flat map's share to all of it: .68 for the border, .58 for the
    corners. A map is called **flat** if its strongest half of pixels holds
    less than 60 % of it, and **empty** if nothing in it is positive: then the
    image shows nothing that speaks for the class, and the network answers
    without looking, as where a unit is saturated. Both count as found, and
    not as maps.

    Images of a class whose maps are alike are grouped (spectral relevance
    analysis, with k-means): a group whose mean map a place dominates may be a
    **shortcut**. Whether it is one, only people can tell who know the images;
    objects may stand at the border. Explain by a method that passes the
    sanity check of `compare`.

    The data are gone through three times, a batch in memory at a time, on all
    replicas of the model's strategy: for the answers, for the maps, and for
    the pictures. Of each map 144 numbers are kept.

    Args:
        explainer: One of `keras_xmap.explainers`.
        data: Array `(n, ...)` or the structure of them that the model takes;
            or a `tf.data.Dataset` or `keras.utils.PyDataset` of batches, the
            same in the same order each time.
        target: What is explained, one class for each image, see
            `keras_xmap.targets`. Defaults to `None`: what the model answers.
        masks: Array `(n, height, width)` of the size of the maps, 1 on the
            object, or what is cut like one. Defaults to `None`: not known.
        boxes: Array `(n, 4)` or `(n, objects, 4)` of pixel edges `(x0, y0,
            x1, y1)`, rows of -1 for none, in place of masks. Defaults to
            `None`: not known.
        artifact: Array `(height, width)` of the size of the maps, or one of
            each image, 1 where nothing should be looked at, such as the place
            of a tag. Defaults to `None`: not known.
        class_names: List of strings, a name for each class. Defaults to
            `None`: their numbers.
        num_worst: Integer >= 1: how many of the worst images are named and
            shown. Defaults to `12`.
        input_name: Name or number of the input that is explained, of a model
            of several. Defaults to `None`: the only one.
        batch_size: Integer >= 1: images in a batch of arrays. Defaults to
            `16`.
        seed: Integer: the starts of k-means. Defaults to `0`.
        verbose: `"auto"`, 0 or 1: whether to show a progress bar. Defaults to
            `"auto"`, which shows it.

    Returns:
        A `DataReport`: `classes`, `clusters`, `images`, `worst`, `to_csv` and
        `to_html`.

    Raises:
        ValueError: If an argument is out of its range, or images, target,
            masks, boxes or artifact do not fit each other.
        TypeError: If `explainer` is none.
        ImportError: If scikit-learn, of `keras-xmap[segmentation]`, is not
            installed.

    References:
        - [Lapuschkin et al., 2019](https://doi.org/10.1038/s41467-019-08987-4)

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(3, activation="softmax")])
    >>> images = np.random.default_rng(0).uniform(size=(20, 8, 8, 1))
    >>> found = keras_xmap.report(
    ...     keras_xmap.explainers.GradientInput(model), images, target=1,
    ...     verbose=0)
    >>> found.places
    ['border', 'corners']
    >>> page = found.to_html("report.html")
    """
    return reported(
        explainer,
        data,
        target,
        masks,
        boxes,
        artifact,
        class_names,
        num_worst,
        input_name,
        batch_size,
        seed,
        verbose,
    )


def reported(
    explainer,
    data,
    target,
    masks,
    boxes,
    artifact,
    class_names,
    num_worst,
    input_name,
    batch_size,
    seed,
    verbose,
    photo_of=None,
):
    """Does what `report` says; `photo_of` is as of `Pictures`."""
    if not isinstance(explainer, explainers.Explainer):
        raise TypeError(
            "`explainer` must be one of `keras_xmap.explainers`, such as "
            f"GradCAM(model). Received: explainer={explainer!r}."
        )
    for name, value in (("num_worst", num_worst), ("batch_size", batch_size)):
        check_positive_integer(name, value)
    check_seed("seed", seed)
    check_one_of("verbose", verbose, ("auto", 0, 1, 2, False, True))
    if class_names is not None:
        class_names = check_names("class_names", class_names)
    require_scikit_learn("Maps are grouped")
    truth = Truth(masks, boxes)
    images = Images(explainer.model, data, target, batch_size)
    truth.check(images.number)
    reading = _Reading(explainer, images, truth, artifact, input_name)
    found, grids = reading.all_images(verbose)
    names = _Names(class_names, found["class"], images.target)
    is_empty = [said.startswith("empty") for said in found["finding"]]
    worst = np.lexsort((-found["excess"], np.logical_not(is_empty)))[:num_worst]
    clusters = _clusters(found, grids, reading, names, seed)
    made = DataReport(
        found,
        reading.places,
        [_of_class(k, found, reading, names) for k in names.present],
        clusters,
        worst,
        _about(explainer, images),
    )
    shown = set(worst.tolist())
    for cluster in clusters:
        shown.update(cluster["images"][:_NUM_EXAMPLES].tolist())
    made._pictures = reading.pictures(sorted(shown), photo_of)
    return made


class _Reading:
    """Goes through the images and measures their maps."""

    def __init__(self, explainer, images, truth, artifact, input_name):
        self._explainer, self._images = explainer, images
        self._truth, self._input_name = truth, input_name
        self._has_truth = not truth.masks is truth.boxes is None
        self._artifact = artifact
        if artifact is not None:
            self._artifact = as_array("artifact", artifact)
        self.places = ["border", "corners"]
        self.places += ["outside"] * self._has_truth
        self.places += ["artifact"] * (artifact is not None)
        self._pictures = Pictures(images, input_name)

    def all_images(self, verbose):
        """Returns the arrays of `DataReport.images`, and maps on a grid."""
        bar = engine.progress_bar(self._images.num_batches, verbose)
        columns, grids = [], []
        for number, (rows, inputs, target) in enumerate(
            self._images.batches(), start=1
        ):
            maps = places.energy(self._maps(inputs, target, len(rows)))
            columns.append(self._measured(maps, rows, target))
            grids.append(places.on_grid(maps).astype("float32"))
            if bar:
                bar.update(number)
        found = {
            name: np.concatenate([x[name] for x in columns])
            for name in columns[0]
        }
        return found, np.concatenate(grids)

    def pictures(self, numbers, photo_of):
        """Returns a dictionary from numbers of images to their pictures."""
        return self._pictures.of(numbers, self._maps, photo_of)

    def where(self, sizes, rows=None, maps=None):
        """Yields the places that are known, and where they are."""
        yield "border", places.border(sizes, _BORDER)
        yield "corners", places.corners(sizes, _CORNER)
        if rows is None:
            return
        if self._has_truth:
            masks = self._truth.masks_of(maps, rows)
            self._check_size("masks", masks, maps)
            yield "outside", masks == 0
        if self._artifact is not None:
            mask = self._artifact
            self._check_size("artifact", mask, maps)
            if mask.ndim == maps.ndim:
                mask = mask[rows]
            yield "artifact", mask != 0

    def _measured(self, maps, rows, target):
        index = target.parts.get("index", getattr(target, "index", None))
        index = np.reshape(_OF_NO_CLASS if index is None else index, -1)
        found = {
            "class": np.broadcast_to(index, len(rows)).astype("int64"),
            "strongest_half": places.strongest_half(maps),
        }
        is_empty = ~maps.any(axis=tuple(range(1, maps.ndim)))
        excess, dominated = np.where(is_empty, 1.0, 0.0), {}
        for name, where in self.where(maps.shape[1:], rows, maps):
            share, area = places.share_in(maps, where)
            found[name], found[f"{name}_area"] = share, area
            dominated[name] = places.is_dominated(share, area)
            excess = np.maximum(excess, places.excess(share, area))
        found["excess"] = excess
        found["finding"] = np.array(
            [
                _finding(is_empty[i], i, found, dominated)
                for i in range(len(rows))
            ],
            "object",
        )
        return found

    def _maps(self, inputs, target, size):
        (maps,) = self._explainer.explain_batches(
            inputs, target, batch_size=size
        )
        if isinstance(maps, (dict, list, tuple)):
            if self._input_name is None:
                raise ValueError(
                    "`input_name` must name the input whose maps are measured. "
                    f"Received: input_name=None and maps of {len(maps)} inputs."
                )
            maps = maps[self._input_name]
        if maps.ndim < 2 or not np.isfinite(maps).all():
            raise ValueError(
                "An explainer must give finite maps of positions. Received: "
                f"maps of shape {maps.shape}, all finite: "
                f"{bool(np.isfinite(maps).all())}."
            )
        return maps

    def _check_size(self, name, mask, maps):
        number = {"masks": len(maps), "artifact": self._images.number}[name]
        if mask.shape not in (maps.shape[1:], (number, *maps.shape[1:])):
            raise ValueError(
                f"`{name}` must have the size of the maps, one for all images "
                f"or one for each. Received: {name} of shape {mask.shape} for "
                f"{number} maps of size {maps.shape[1:]}. Resize them, or the "
                "images, first."
            )


class _Names:
    """Classes that are there, and what they are called."""

    def __init__(self, class_names, classes, target):
        self._names, self._target = class_names, target
        self.present = np.unique(classes).tolist()
        if class_names is not None and self.present[-1] >= len(class_names):
            raise ValueError(
                "`class_names` must have a name for each class. Received: "
                f"{len(class_names)} names and class {self.present[-1]}."
            )

    def of(self, k):
        if k == _OF_NO_CLASS:
            return repr(self._target)
        return str(k) if self._names is None else str(self._names[k])


def _finding(is_empty, i, found, dominated):
    """Returns what is found of one map, as a text."""
    if is_empty:
        return "empty: nothing in the image speaks for the class"
    said = []
    half = found["strongest_half"][i]
    if half < places.FLAT:
        said.append(
            f"flat: its strongest half of pixels holds {half:.0%} of it"
        )
    for name in dominated:
        if dominated[name][i]:
            share, area = found[name][i], found[f"{name}_area"][i]
            said.append(f"{name}: {share:.0%} of it in {area:.0%} of the image")
    return "; ".join(said)


def _of_class(k, found, reading, names):
    """Returns the row of one class."""
    of_class = found["class"] == k
    findings = found["finding"][of_class]
    row = {"class": k, "name": names.of(k), "images": int(of_class.sum())}
    has_map = np.array([not x.startswith("empty") for x in findings])
    for name in reading.places:
        shares = found[name][of_class][has_map]
        areas = found[f"{name}_area"][of_class]
        row[name], row[f"{name}_95"] = _mean_and_interval(shares)
        row[f"{name}_area"] = float(areas.mean())
        row[f"{name}_dominated"] = _share_that_says(f"{name}: ", findings)
    row["empty"] = float(1 - has_map.mean())
    row["flat"] = _share_that_says("flat: ", findings)
    return row


def _share_that_says(word, findings):
    said = [any(x.startswith(word) for x in f.split("; ")) for f in findings]
    return float(np.mean(said))


def _mean_and_interval(shares):
    if not len(shares):
        return None, None
    mean = float(shares.mean())
    if len(shares) == 1:
        return mean, None
    error = _OF_95 * float(shares.std(ddof=1)) / np.sqrt(len(shares))
    return mean, (max(0.0, mean - error), min(1.0, mean + error))


def _clusters(found, grids, reading, names, seed):
    """Returns the groups of all classes, suspicious ones first."""
    rows = []
    has_map = grids.reshape(len(grids), -1).any(axis=1)
    for k in names.present:
        images = np.flatnonzero((found["class"] == k) & has_map)
        if len(images) < FEWEST:
            continue
        for cluster in clusters_of(k, images, grids[images], seed):
            rows.append(
                {
                    "class": k,
                    "name": names.of(k),
                    "images": cluster.images,
                    "share": len(cluster.images) / len(images),
                    "alikeness": cluster.alikeness,
                    "mean_map": cluster.mean_map,
                    "suspect": _suspect(cluster.images, found, reading.places),
                }
            )
    return sorted(rows, key=lambda x: (not x["suspect"], -len(x["images"])))


def _suspect(images, found, names):
    """Returns the places that dominate the maps of a group on the whole."""
    return [
        name
        for name in names
        if places.is_dominated(
            found[name][images].mean(), found[f"{name}_area"][images].mean()
        )
    ]


def _about(explainer, images):
    return {
        "Images": f"{images.number}, each explained for one class",
        "Explainer": repr(explainer),
        "Energy": "the positive part of a map, divided by its sum",
        "Places": (
            f"border: less than {_BORDER:.0%} of the width or height from an "
            f"edge; corners: less than {_CORNER:.0%} from two edges"
        ),
        "Dominated": (
            "by more than half of the way from the share of a flat map to all "
            "of the map"
        ),
        "Flat": (
            "the strongest half of the pixels holds less than "
            f"{places.FLAT:.0%} of the map"
        ),
        "Groups": (
            "k-means of square roots of maps on a grid of "
            f"{places.GRID} cells an axis, by the best silhouette; of classes "
            f"with {FEWEST} images or more"
        ),
        "Intervals": "1.96 standard errors of the mean over images",
    }
