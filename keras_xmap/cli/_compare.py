"""`keras-xmap compare`: a saved model and photos in, a table of methods out."""

import os

from keras_xmap import comparison
from keras_xmap.cli._asked import asked
from keras_xmap.cli._photo_data import boxes_of
from keras_xmap.cli._photo_data import masks_of
from keras_xmap.cli._photo_data import readable_photos
from keras_xmap.cli._photo_files import photo_files
from keras_xmap_command import METHODS
from keras_xmap_command import as_options
from keras_xmap_command import method_name


def run(arguments):
    """Compares the methods, writes the table, and prints who comes first.

    Returns the number of photos, and the errors, by path, of those that
    cannot be read.
    """
    methods = [method_name(name) for name in arguments.methods or METHODS]
    files = photo_files(
        arguments.images, arguments.recursive, arguments.directory
    )
    _, index, model, inputs, output = asked(arguments)
    output.check_one_class(index)
    photos, errors = readable_photos(files, inputs, arguments.batch_size)
    found = comparison.compare(
        model,
        photos,
        list(dict.fromkeys(methods)),
        output.target(index),
        "all",
        masks_of(arguments.masks, photos),
        boxes_of(arguments.boxes, photos),
        arguments.directory,
        inputs.image_name,
        arguments.batch_size,
        arguments.seed,
        score=arguments.score,
    )
    name_options(found)
    written = []
    for suffix, write in {
        "html": found.to_html,
        "csv": found.to_csv,
        "md": found.to_markdown,
    }.items():
        path = os.path.join(arguments.directory, f"compare.{suffix}")
        write(path)
        written.append(path)
    _print(found, written)
    return len(photos.files), errors


def name_options(found):
    """Changes what the rows say to do in Python to what the command takes."""
    for row in found.rows:
        row["remarks"] = [
            as_options(said, "compare") for said in row["remarks"]
        ]
        if row["refusal"] is not None:
            row["refusal"] = as_options(row["refusal"], "compare")


def _print(found, written):
    for row in found.rows:
        rank = "-" if row["rank"] is None else row["rank"]
        said = row["refusal"] or "; ".join(row["remarks"])
        print(f"{rank:>3} {row['method']:<22} {said}".rstrip())
    best = found.best or "none: no method passes the sanity check"
    print(f"first: {best}")
    print(f"written: {', '.join(written)}")
