"""`keras-xmap explain`: a saved model and image files in, pictures out."""

import re
import sys
import warnings

from keras_xmap.cli._answer import Answers
from keras_xmap.cli._asked import asked
from keras_xmap.cli._attempts import Attempts
from keras_xmap.cli._explanation import Explanation
from keras_xmap.cli._method import Method
from keras_xmap.cli._method import check_layer
from keras_xmap.cli._method import method_named
from keras_xmap.cli._output import OutputFolder
from keras_xmap.cli._photo_batches import Masks
from keras_xmap.cli._photo_batches import batches
from keras_xmap.cli._photo_files import photo_files
from keras_xmap.cli._results import Progress
from keras_xmap.cli._results import Writer
from keras_xmap_command import as_options


def run(arguments):
    """Explains photos in batches, and writes map and picture of each.

    Returns the number of photos, and the errors, by path, of those that could
    not be.
    """
    kind = method_named(arguments.method)
    check_layer(kind, arguments.target_layer)
    files = photo_files(
        arguments.images, arguments.recursive, arguments.directory
    )
    folder = OutputFolder(arguments.directory, arguments.force)
    writer = Writer(folder, kind.__name__.lower(), arguments.top_k)
    writer.check_free(files)
    masks = Masks(arguments.mask, len(files))
    inputs, explanation = _made(arguments, kind)
    attempts = Attempts(explanation)
    progress = Progress(len(files), arguments.batch_size)
    size = arguments.batch_size
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        for samples in batches(files, masks, inputs, size, attempts.errors):
            for sample, results in attempts.of(samples):
                progress.say(writer.write(sample, results))
            progress.done(writer.num_photos + len(attempts.errors))
    progress.end()
    _tell_notes(notes, writer, explanation.method.explainer)
    if writer.num_photos:
        _print_what_was_explained(explanation, inputs, arguments.mask)
    return len(files), attempts.errors


def _made(arguments, kind):
    """Loads the model; returns `ModelInputs` and the `Explanation`."""
    class_names, target, model, inputs, output = asked(arguments)
    _check_mask_taken(arguments.mask, inputs)
    layers = arguments.target_layer
    if layers is not None and len(layers) == 1:
        (layers,) = layers
    _check_views(arguments.views, inputs)
    return inputs, Explanation(
        Method(kind, model, layers, inputs, arguments.views, arguments.score),
        Answers(model, output),
        output,
        class_names,
        target,
        arguments.top_k,
    )


def _tell_notes(notes, writer, explainer):
    said = dict.fromkeys(str(note.message) for note in notes)
    if writer.num_empty:
        cause = f"{writer.num_empty} of {writer.num_maps} maps are zero "
        said[f"{cause}everywhere: {explainer.why_zero()}."] = None
    for text in said:
        print(f"keras-xmap: {as_options(text, 'explain')}", file=sys.stderr)


def _print_what_was_explained(explanation, inputs, masks):
    explainer, output = explanation.method.explainer, explanation.output
    layers = getattr(explainer, "layers_used", None)
    if layers:
        s = "s" if len(layers) > 1 else ""
        print(f"layer{s} explained: {', '.join(layers)}")
    # Users know their layers, not what the framework calls its operations.
    score = re.sub(" '[^']*'", "", explainer.score_used)
    print(f"score explained: {score}")
    print(f"output explained: {output.described}")
    if inputs.takes_mask and not masks:
        print("mask: the whole image; `--mask FILE` gives a region")


def _check_mask_taken(paths, inputs):
    if paths and not inputs.takes_mask:
        raise ValueError(
            "`--mask` is for models with a mask as second input. Received: "
            f"--mask {paths[0]} for a model with one input."
        )


def _check_views(views, inputs):
    """Raises, before any photo is read, if the model is of one size."""
    scales = {view for view in views or () if isinstance(view, float)}
    scales |= {view[0] for view in views or () if isinstance(view, tuple)}
    scales.discard(1.0)
    if scales and None not in inputs.size:
        height, width = inputs.size
        shown = ", ".join(f"{scale:g}" for scale in sorted(scales))
        raise ValueError(
            "`--views` must leave out scales for a model of one size. "
            f"Received: --views with {shown} for a "
            f"model of images of {height} x {width}. `--views 1,mirror` "
            "averages over two views of that size."
        )
