"""`keras-xmap report`: a saved model and many photos in, a page out."""

import sys
import warnings

from keras_xmap import comparison
from keras_xmap.cli._asked import asked
from keras_xmap.cli._method import Method
from keras_xmap.cli._method import check_layer
from keras_xmap.cli._method import method_named
from keras_xmap.cli._output import OutputFolder
from keras_xmap.cli._photo_batches import check_image_file
from keras_xmap.cli._photo_batches import read_mask
from keras_xmap.cli._photo_data import boxes_of
from keras_xmap.cli._photo_data import masks_of
from keras_xmap.cli._photo_data import readable_photos
from keras_xmap.cli._photo_files import photo_files
from keras_xmap_command import as_options

_WRITTEN = ("report.html", "report.csv")


def run(arguments):
    """Explains the photos, writes the report, and prints what is suspicious.

    Returns the number of photos, and the errors, by path, of those that
    cannot be read.
    """
    kind = method_named(arguments.method)
    check_layer(kind, arguments.target_layer)
    files = photo_files(
        arguments.images, arguments.recursive, arguments.directory
    )
    folder = OutputFolder(arguments.directory, arguments.force)
    folder.check_free(_WRITTEN)
    if arguments.artifact is not None:
        check_image_file("--artifact", arguments.artifact)
    class_names, index, model, inputs, output = asked(arguments)
    output.check_one_class(index)
    photos, errors = readable_photos(files, inputs, arguments.batch_size)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = comparison.report(
            _explainer(arguments, kind, model, inputs, photos, output, index),
            photos,
            output.target(index),
            masks_of(arguments.masks, photos),
            boxes_of(arguments.boxes, photos),
            _artifact(arguments.artifact, photos),
            class_names.names,
            arguments.worst,
            inputs.image_name,
            arguments.batch_size,
            arguments.seed,
        )
    # Empty maps are counted in the report, and told of once.
    for said in dict.fromkeys(str(note.message) for note in notes):
        if "are zero everywhere" not in said:
            print(f"keras-xmap: {as_options(said, 'report')}", file=sys.stderr)
    texts = found.to_html(), found.to_csv()
    paths = [
        folder.write_text(name, text)
        for name, text in zip(_WRITTEN, texts, strict=True)
    ]
    _print(found, photos, paths)
    return len(photos.files), errors


def _explainer(arguments, kind, model, inputs, photos, output, index):
    layers = arguments.target_layer
    if layers is not None and len(layers) == 1:
        (layers,) = layers
    method = Method(kind, model, layers, inputs, None, arguments.score)
    # Of the default layers only those are known that the model has.
    method.explain(photos[0], output.target(index))
    return method.explainer


def _artifact(path, photos):
    """Returns the mask of the artifact at the size of the maps, or `None`."""
    if path is None:
        return None
    from skimage.transform import resize

    sizes = {photos.map_size(row) for row in range(len(photos.files))}
    if len(sizes) > 1:
        raise ValueError(
            "`--artifact` is one mask for maps of one size. Received: a model "
            f"whose maps have {len(sizes)} sizes, those of the photos. Resize "
            "the photos to one size first."
        )
    mask = read_mask(path)
    return resize(mask, sizes.pop(), order=0, anti_aliasing=False) > 0


def _print(found, photos, paths):
    for row in found.classes:
        shares = [f"{row[name]:.2f} {name}" for name in _known(row, found)]
        said = ", ".join([f"{row['empty']:.0%} empty", *shares])
        print(f"{row['name']}: {row['images']} images, {said}")
    for group in found.clusters:
        if group["suspect"]:
            example = photos.files[group["images"][0]].path
            print(
                f"suspicious: {len(group['images'])} images of "
                f"{group['name']} by {' and '.join(group['suspect'])}, such as "
                f"{example}"
            )
    print(f"written: {', '.join(paths)}")


def _known(row, found):
    return [name for name in found.places if row[name] is not None]
