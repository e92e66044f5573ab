from keras_xmap import explainers
from keras_xmap._checks import check_instance
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._installation import require_scikit_learn
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Structure
from keras_xmap.comparison import _places_of_maps as places
from keras_xmap.comparison._data_page import NUM_EXAMPLES
from keras_xmap.comparison._data_rows import Names
from keras_xmap.comparison._data_rows import check_class_names
from keras_xmap.comparison._data_rows import class_row
from keras_xmap.comparison._data_rows import cluster_rows
from keras_xmap.comparison._data_rows import worst_of
from keras_xmap.comparison._images import Images
from keras_xmap.comparison._map_clusters import FEWEST
from keras_xmap.comparison._measures import Truth
from keras_xmap.comparison._reading import Reading
from keras_xmap.comparison.data_report import DataReport


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
    without looking, as where a unit is saturated. Means and groups leave empty
    maps out.

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
    check_instance(
        "explainer",
        explainer,
        explainers.Explainer,
        "one of `keras_xmap.explainers`, such as GradCAM(model)",
    )
    for name, value in (("num_worst", num_worst), ("batch_size", batch_size)):
        check_positive_integer(name, value)
    check_seed("seed", seed)
    check_one_of("verbose", verbose, ("auto", 0, 1, 2, False, True))
    check_class_names(class_names)
    require_scikit_learn("Maps are grouped")
    truth = Truth(masks, boxes)
    images = Images(explainer.model, data, target, batch_size, explainer.score)
    truth.check(images.number)
    reading = Reading(explainer, images, truth, artifact, input_name)
    found, grids = reading.all_images(verbose)
    names = Names(class_names, found["class"], images.target)
    clusters = cluster_rows(found, grids, reading.places, names, seed)
    worst = worst_of(found, num_worst)
    shown = set(worst.tolist())
    for cluster in clusters:
        shown.update(cluster["images"][:NUM_EXAMPLES].tolist())
    return DataReport(
        found,
        reading.places,
        [class_row(k, found, reading.places, names) for k in names.present],
        clusters,
        worst,
        _about(explainer, images),
        reading.pictures(shown),
    )


def _about(explainer, images):
    return {
        "Images": f"{images.number}, each explained for one class",
        "Explainer": repr(explainer),
        "Energy": "the positive part of a map, divided by its sum",
        "Places": (
            f"border: less than {places.BORDER:.0%} of the width or height "
            f"from an edge; corners: less than {places.CORNER:.0%} from two "
            "edges"
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
