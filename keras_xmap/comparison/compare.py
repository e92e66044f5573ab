import json

import keras

from keras_xmap import _files
from keras_xmap import engine
from keras_xmap._checks import check_layer
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._description import describe
from keras_xmap._description import describe_model
from keras_xmap._description import layer_names
from keras_xmap._run_folder import RunFolder
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Path
from keras_xmap._typing import Structure
from keras_xmap.comparison import _measures
from keras_xmap.comparison import _rows
from keras_xmap.comparison._images import Images
from keras_xmap.comparison._methods import CentreMaps
from keras_xmap.comparison._methods import RandomMaps
from keras_xmap.comparison._methods import methods_of
from keras_xmap.comparison._ranking import ranked
from keras_xmap.comparison._ranking import ranking_of
from keras_xmap.comparison.comparison import Comparison

_BYTES_OF_A_RUN = 16 * 2**20


def compare(
    model: keras.layers.Layer,
    data: Structure,
    methods: object = "all",
    target: object = None,
    metrics: object = "all",
    masks: ArrayLike = None,
    boxes: ArrayLike = None,
    directory: Path | None = None,
    input_name: str | int | None = None,
    batch_size: int = 16,
    seed: int = 0,
    verbose: str | int = "auto",
    score: str = "logits",
) -> Comparison:
    """Measures which map may be believed on a model: a row for each method.

    Each method explains the same images, for the same classes, and its maps
    are asked four things:

    - *Are they true of the model?* `metrics.Insertion`, `Deletion`,
      `AverageDrop` and `IncreaseInConfidence` hide what a map marks, or show
      nothing else, and see what the model says then.
    - *Do they depend on the model?* `metrics.parameter_randomization` makes
      the upper half of the layers, and then all, forget what they have
      learned. A map whose pixels keep their order then, with a rank
      correlation of .75 or more, in the median of three draws, **fails**, and
      is said to.
    - *Are they on the object?* Where `masks` or `boxes` tell: the metrics of
      localization. A model may look elsewhere, and a true map shows it.
    - *What do they cost?* Seconds for an image, and how many forward passes
      of the model take as long.

    Rows are ordered by the mean of their ranks in `insertion`, `deletion` and
    `road` (or the other metrics asked for, where none of these is), those that
    fail the sanity check behind the others. Random maps and the centre of the
    image stand among them without a rank, as what chance reaches; the
    differences of a few images are chance as well. What a model cannot have,
    such as `CAM` without a linear head, is listed with the reason.

    Of the data one batch is in memory at a time, and 16 images, evenly chosen,
    for the sanity check and the pictures. With a `directory` the run leaves
    each row there when it is found; when it is killed, the same call goes on
    with the first method that is not done.

    Args:
        model: `keras.Model`, or any Keras layer, see `explainers.GradCAM`. Its
            weights are drawn anew for a while and put back bit by bit, see
            `metrics.parameter_randomization`; nothing else should use it
            meanwhile.
        data: Array `(n, ...)` or the structure of them that the model takes;
            or a `tf.data.Dataset` or `keras.utils.PyDataset` of batches, the
            same in the same order each time.
        methods: `"all"`, or a list of classes of `keras_xmap.explainers`,
            their names, or explainers of `model`; or a dictionary of them by
            the names they get. Of classes, `RISE`, `ScoreCAM`, `SmoothGrad`
            and `DistinctClassSaliency` make fewer passes than by default; the
            row tells how many. Defaults to `"all"`.
        target: What is explained, one class for each image, see
            `keras_xmap.targets`. Defaults to `None`: what the model answers.
        metrics: `"all"`, or a list of `"insertion"`, `"deletion"`, `"road"`,
            `"average_drop"`, `"increase_in_confidence"`, `"sparseness"`,
            `"sanity"`, `"pointing_game"`, `"energy_in_mask"`,
            `"pixel_average_precision"`, `"mean_iou"`, `"max_box_accuracy"`,
            and metrics of your own making, such as
            `metrics.Deletion(model, baseline="blur")`. Defaults to `"all"`
            that truth is given for, but `"road"`, which takes longest; the
            curves in 16 steps.
        masks: Array `(n, height, width)` of the size of the maps, 1 on the
            object, or what is cut like one. Defaults to `None`: not known.
        boxes: Array `(n, 4)` or `(n, objects, 4)` of pixel edges `(x0, y0,
            x1, y1)`, rows of -1 for none; they also stand for masks where
            there are none. Defaults to `None`: not known.
        directory: Path of the folder of the run, empty or to be gone on with.
            Defaults to `None`: nothing is written.
        input_name: Name or number of the input that is explained, of a model
            of several. Defaults to `None`: the only one.
        batch_size: Integer >= 1: images in a batch of arrays. Defaults to
            `16`.
        seed: Integer: the random maps, and the weights drawn anew. Defaults
            to `0`.
        verbose: `"auto"`, 0 or 1: whether to show a progress bar over the
            batches of all methods. Defaults to `"auto"`, which shows it.
        score: `"logits"` or `"output"`, see `explainers.GradCAM`: what classes
            and names in `methods` explain. Explainers that are made already,
            and metrics, have a `score` of their own; the metrics named here
            ask for the output. Defaults to `"logits"`.

    Returns:
        A `Comparison`: `rows`, and `to_csv`, `to_markdown` and `to_html`.

    Raises:
        ValueError: If an argument is out of its range, images, target, masks
            or boxes do not fit each other, or `directory` is of another run.
        TypeError: If `model` is no Keras layer.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(3, activation="softmax")])
    >>> images = np.random.default_rng(0).uniform(size=(4, 8, 8, 1))
    >>> found = keras_xmap.compare(model, images, ["GradCAM", "GuidedBackprop"],
    ...     metrics=["deletion", "sanity"], verbose=0)
    >>> sorted(row["method"] for row in found.rows if row["rank"])
    ['GradCAM', 'GuidedBackprop']
    >>> found.columns[:2]
    ['deletion', 'half_forgotten']
    >>> page = found.to_html("compare.html")
    """
    check_layer("model", model)
    check_positive_integer("batch_size", batch_size)
    check_seed("seed", seed)
    check_one_of("verbose", verbose, ("auto", 0, 1, 2, False, True))
    check_one_of("score", score, ("logits", "output"))
    truth = _measures.Truth(masks, boxes)
    measures = _measures.measures_of(
        metrics, model, truth, input_name, batch_size
    )
    is_sane_asked = metrics == "all" or _measures.SANITY in _names(metrics)
    methods = methods_of(methods, model, input_name, score)
    folder = None
    if directory is not None:
        folder = RunFolder(directory)
        folder.check_usable(_BYTES_OF_A_RUN)
    images = Images(model, data, target, batch_size, score)
    truth.check(images.number)
    measuring = _rows.Measuring(
        images, measures, is_sane_asked, input_name, batch_size, seed
    )
    if folder is not None:
        run = _description(
            model, images, methods, measures, is_sane_asked, truth, seed
        )
        folder.open(run)
    rows, chance, forward = _measured(
        methods, measuring, images, folder, seed, verbose
    )
    for row in rows if chance else ():
        _rows.beaten_by_chance(row, chance[0], measures)
    return _result(
        rows, chance, measures, measuring, images, is_sane_asked, forward
    )


def _measured(methods, measuring, images, folder, seed, verbose):
    """Returns the rows of methods, those of chance, and a pass's seconds."""
    forward = _forward_seconds(images, folder)
    rows = _all_rows(methods, measuring, images, folder, verbose)
    for row in rows:
        if row.refusal is None:
            passes = row.values["seconds"] / forward
            row.values["forward_passes"] = passes
    return rows, _chance_rows(rows, measuring, images, seed), forward


def _names(metrics):
    is_list = isinstance(metrics, (list, tuple))
    return [x for x in metrics if isinstance(x, str)] if is_list else []


def _forward_seconds(images, folder):
    """Returns the seconds of a forward pass, of a run always the same."""
    if folder is not None and folder.is_done("forward"):
        return folder.logs()["forward"]["seconds"]
    seconds = images.forward_seconds()
    if folder is not None:
        folder.finish("forward", [], {"seconds": seconds})
    return seconds


def _all_rows(methods, measuring, images, folder, verbose):
    """Returns the rows of all methods, those that are done from the folder."""
    bar = engine.progress_bar(len(methods) * images.num_batches, verbose)
    rows = []
    for number, method in enumerate(methods):
        done = number * images.num_batches

        def step(done=done):
            step.count += 1
            if bar:
                bar.update(done + step.count)

        step.count = 0
        name = f"{number:02d}.json"
        if folder is not None and folder.is_done(name):
            kept = _files.read_file(folder.path(name))
            row = _rows.Row.from_json(json.loads(kept))
        else:
            row = measuring.row(method, step)
            if folder is not None:
                content = json.dumps(row.as_json()).encode()
                _files.write_atomically(folder.path(name), content)
                folder.finish(name, [name], {})
        rows.append(row)
        if bar:
            bar.update(done + images.num_batches)
    return rows


def _chance_rows(rows, measuring, images, seed):
    """Returns the rows of maps that know no model, where there are maps."""
    if all(row.refusal is not None for row in rows):
        return []
    if images.sizes(images.kept[0][1], measuring.input_name) is None:
        return []
    return [measuring.baseline(x) for x in (RandomMaps(seed), CentreMaps())]


def _description(model, images, methods, measures, sanity, truth, seed):
    """Returns a dictionary of what decides the table."""
    names = layer_names(model)
    weights = [describe(w) for w in model.get_weights()]
    return {
        "model": {**describe_model(model), "weights": weights},
        "data": {"number": images.number, "batches": images.checksums},
        "target": describe(images.target.parts) or describe(images.target),
        "methods": {m.name: m.described(names) for m in methods},
        "metrics": {
            **{m.name: m.described(names) for m in measures},
            "sanity": sanity,
        },
        "truth": truth.described(images.number),
        "seed": seed,
    }


def _result(rows, chance, measures, measuring, images, sanity, forward):
    order = ranked(rows, measures)
    columns = [m.name for m in measures]
    directions = {m.name: m.higher_is_better for m in measures}
    if sanity:
        columns += [_rows.HALF, _rows.FORGOTTEN]
        directions[_rows.HALF] = directions[_rows.FORGOTTEN] = False
    columns += ["forward_passes", "seconds"]
    directions["forward_passes"] = directions["seconds"] = False
    refused = [row for row in order if row.refusal is not None]
    measured = order[: len(order) - len(refused)]
    originals = measuring.originals()
    pictures = [
        {
            "image": original,
            **{r.method: r.pictures[i] for r in measured if r.pictures},
        }
        for i, original in enumerate(originals)
    ]
    return Comparison(
        [
            {
                "method": row.method,
                "rank": row.rank,
                **{name: row.values.get(name) for name in columns},
                "call": row.call,
                "fails_sanity": row.fails,
                "refusal": row.refusal,
                "remarks": list(row.remarks),
            }
            for row in [*measured, *chance, *refused]
        ],
        columns,
        directions,
        _about(images, measures, measured, sanity, forward),
        pictures,
    )


def _about(images, measures, measured, sanity, forward):
    ranking = ranking_of(measures, measured)
    by = " and ".join(m.name for m in ranking)
    about = {
        "Images": f"{images.number}, each explained for one class",
        "Order": (f"by the mean of the ranks in {by}" if by else "none")
        + ("; methods that fail the sanity check come last" if sanity else ""),
        "Metrics": ", ".join(repr(m.metric) for m in measures) or "none",
    }
    if sanity:
        about["Sanity check"] = (
            "half_forgotten and all_forgotten are rank correlations of the "
            "absolute maps before and after the upper half of the layers, and "
            f"all of them, start anew; {len(images.kept)} images, evenly "
            f"chosen; {_rows.STAYS} or more of either fails, if it is so for "
            "the median of three draws"
        )
    about["Cost"] = (
        "seconds an image, without the first batch, and how many forward "
        f"passes of the model, of {forward:.2g} s, take as long"
    )
    return about
