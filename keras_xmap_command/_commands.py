"""What the command `keras-xmap` understands."""

import argparse
import importlib.metadata
import math
import os
import re
import sys
from collections.abc import Sequence

from keras_xmap_command._methods import DEFAULT_METHOD
from keras_xmap_command._methods import METHODS
from keras_xmap_command._methods import method_name
from keras_xmap_command._options import as_options
from keras_xmap_command._quiet import imported

_ESCAPES = re.compile("\x1b\\[[0-9;]*m")
# Where TensorFlow begins to tell which of its nodes an error came from.
_NODES = re.compile(
    r"(\[\[\{\{node|Detected at node|Stack trace for op|\[Op:).*",
    re.DOTALL,
)
_INTERRUPTED = 130  # as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `keras-xmap` and returns the exit status.

    0 where all is done, 1 where some images are explained and others could not
    be, 2 where no image is explained or the work could not go on.

    Args:
        arguments: List of strings. Defaults to `None`: those of the process.
    """
    parser = make_parser()
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        parser.print_help()
        return 0
    parsed = parser.parse_args(given)
    # A newcomer's mistake ends in one line, not in a traceback.
    try:
        return parsed.run(parsed) or 0
    except BrokenPipeError:
        # Who reads has seen enough, as `head` has; nothing more is flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("keras-xmap: interrupted.", file=sys.stderr)
        return _INTERRUPTED
    except (ValueError, TypeError, OSError, ImportError) as error:
        _tell(error, parsed.command)
        return 2


def _tell(error, command):
    said = as_options(_in_one_line(error), command)
    print(f"keras-xmap: error: {said}", file=sys.stderr)


def _in_one_line(error):
    """Returns what an error says, without escapes and names of nodes."""
    said = _NODES.sub("", _ESCAPES.sub("", str(error)))
    return " ".join(said.split()) or type(error).__name__


def make_parser():
    parser = argparse.ArgumentParser(
        prog="keras-xmap",
        description="Shows which pixels carried the answer of a Keras model.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {importlib.metadata.version('keras-xmap')}",
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    _add_explain(commands)
    _add_compare(commands)
    _add_report(commands)
    _add_masks(commands)
    methods = commands.add_parser(
        "methods", help="list the methods of explanation"
    )
    methods.set_defaults(run=_methods)
    demo = commands.add_parser(
        "demo", help="train a small model, explain it, measure the maps"
    )
    demo.add_argument("--directory", metavar="DIR", default="keras-xmap-demo")
    demo.add_argument(
        "--scenes", type=int, default=5000, help="scenes to train on"
    )
    demo.add_argument("--epochs", type=int, default=6)
    demo.add_argument(
        "--force", action="store_true", help="overwrite files in DIR"
    )
    demo.set_defaults(run=_demo)
    return parser


def _add_range(command, default=(0.0, 255.0)):
    command.add_argument(
        "--range",
        type=float,
        nargs=2,
        metavar=("BLACK", "WHITE"),
        default=default,
        help="values that the model was trained to see for black and white; "
        "default: 0 255, as Keras loads images",
    )


def _add_pixels(command):
    _add_range(command, default=None)
    command.add_argument(
        "--preprocess",
        metavar="NAME",
        help="in place of --range, what the network of this name in "
        "keras.applications was trained on, such as resnet50 or vgg16",
    )


def _add_unsafe(command):
    command.add_argument(
        "--unsafe",
        action="store_true",
        help="load models that hold Python code (Lambda layers), which can "
        "do anything on this machine; only for files you trust",
    )


def _add_compare(commands):
    compare = commands.add_parser(
        "compare",
        help="measure which method to believe on a saved model",
        description="Explains the images by each method, measures the maps, "
        "and writes a table with a row for each method as DIR/compare.html, "
        "with maps side by side, compare.csv and compare.md. A run that is "
        "killed goes on when it is called again. Images that cannot be read "
        "are named at the end, with exit status 1.",
    )
    _add_model_and_images(compare)
    _add_truth(compare)
    compare.add_argument(
        "--methods",
        metavar="METHOD",
        nargs="+",
        help="some of `keras-xmap methods`; default: all",
    )
    _add_what_is_asked(compare)
    compare.add_argument("--batch-size", type=int, default=16)
    compare.add_argument("--seed", type=int, default=0)
    compare.add_argument(
        "--directory",
        metavar="DIR",
        required=True,
        help="folder of the run, empty or to be gone on with",
    )
    _add_pixels(compare)
    _add_unsafe(compare)
    compare.set_defaults(run=_compare)


def _add_model_and_images(command):
    command.add_argument("model", metavar="MODEL.keras")
    command.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="files, folders of them, or patterns with *",
    )
    command.add_argument(
        "--recursive",
        action="store_true",
        help="take the images in folders of folders as well",
    )


def _add_truth(command):
    truth = command.add_mutually_exclusive_group()
    truth.add_argument(
        "--masks",
        metavar="DIR",
        help="masks of the names of the images, white on the object",
    )
    truth.add_argument(
        "--boxes",
        metavar="FILE.csv",
        help="columns image, x0, y0, x1, y1: edges of objects in pixels of the "
        "image, a line each",
    )


def _add_report(commands):
    report = commands.add_parser(
        "report",
        help="say where the maps of many images lie, and find shortcuts",
        description="Explains the images, measures how much of each map lies "
        "at the border, in the corners, outside of the object and on an "
        "artifact, groups images whose maps are alike, and writes "
        "DIR/report.html, the worst images first, and DIR/report.csv, a line "
        "for each image. Images that cannot be read are named at the end, "
        "with exit status 1.",
    )
    _add_model_and_images(report)
    _add_truth(report)
    report.add_argument(
        "--artifact",
        metavar="FILE",
        help="image that is white where nothing should be looked at, such as "
        "the place of a tag",
    )
    _add_what_is_explained_by(report)
    _add_what_is_asked(report)
    report.add_argument(
        "--worst",
        type=int,
        default=12,
        metavar="N",
        help="show the N worst images; default: 12",
    )
    report.add_argument("--batch-size", type=int, default=16)
    report.add_argument("--seed", type=int, default=0)
    report.add_argument(
        "--directory",
        metavar="DIR",
        required=True,
        help="folder that the report is written to",
    )
    report.add_argument(
        "--force", action="store_true", help="overwrite the report in DIR"
    )
    _add_pixels(report)
    _add_unsafe(report)
    report.set_defaults(run=_report)


def _add_masks(commands):
    masks = commands.add_parser(
        "masks",
        help="make masks of photos of which only the classes are known",
        description="Trains a classifier on the classes, a segmentation "
        "network on what it looks at, and writes DIR/masks, one PNG a photo "
        "in the colours of PASCAL VOC, and DIR/network.keras. A run that is "
        "killed goes on when it is called again. Photos that cannot be read "
        "are named at the end, with exit status 1.",
    )
    masks.add_argument(
        "folder",
        metavar="FOLDER",
        help="laid out as PASCAL VOC's, or with a folder of photos a class, "
        "or of photos whose classes `--labels` tells",
    )
    _add_which_photos(masks)
    _add_backbone(masks)
    _add_how_to_segment(masks)
    masks.set_defaults(run=_masks)


def _add_which_photos(masks):
    masks.add_argument(
        "--labels",
        metavar="FILE.csv",
        help="columns `image` and `labels`, the classes separated by `;`; or "
        "`image` and one column a class of 0 and 1",
    )
    masks.add_argument(
        "--classes",
        metavar="NAME",
        nargs="+",
        help="names of the classes in their order; default: all there are, of "
        "VOC its 20",
    )
    masks.add_argument(
        "--split",
        default="train",
        help="of VOC, the list in ImageSets/Segmentation; default: train",
    )
    masks.add_argument(
        "--labels-of-masks",
        action="store_true",
        help="of VOC, take the classes from SegmentationClass, not from "
        "ImageSets/Main",
    )
    masks.add_argument(
        "--directory",
        metavar="DIR",
        required=True,
        help="folder of the run, empty or to be gone on with",
    )


def _add_backbone(masks):
    masks.add_argument(
        "--backbone",
        metavar="MODEL.keras",
        required=True,
        help="model of photos whose output is a map of features",
    )
    masks.add_argument(
        "--layer",
        metavar="NAME",
        help="layer of the model whose output is that map",
    )
    masks.add_argument(
        "--image-size",
        type=int,
        metavar="N",
        help="side that photos are brought to; default: that of the model",
    )
    _add_range(masks)
    _add_unsafe(masks)


def _add_how_to_segment(masks):
    masks.add_argument(
        "--method",
        default="gradcam",
        help="one of `keras-xmap methods`; default: gradcam, here CAM",
    )
    _add_views(masks)
    masks.add_argument(
        "--rounds",
        type=int,
        default=1,
        help="rounds of adversarial erasing; default: 1, none",
    )
    masks.add_argument("--erasing-threshold", type=float, default=0.2)
    masks.add_argument(
        "--threshold",
        type=float,
        default=0.2,
        help="share of a map's maximum above which it is the class",
    )
    masks.add_argument(
        "--background",
        default="unclaimed",
        help="unclaimed, gradient, or the file of a saved DRFI; default: "
        "unclaimed, all that no class claims",
    )
    masks.add_argument(
        "--loss", choices=("plain", "sec", "psl"), default="plain"
    )
    masks.add_argument("--classifier-epochs", type=int, default=10)
    masks.add_argument("--epochs", type=int, default=10)
    masks.add_argument("--batch-size", type=int, default=16)
    masks.add_argument("--learning-rate", type=float, default=1e-3)
    masks.add_argument(
        "--crf",
        default="paper",
        help="paper, deeplab, sec, irn or none; default: paper",
    )
    masks.add_argument("--seed", type=int, default=0)


def _add_explain(commands):
    explain = commands.add_parser(
        "explain",
        help="explain a saved model on images",
        description="Writes, for each image, the map as NAME.METHOD.npy "
        "(float32, at the size of the model's input) and laid over the image "
        "as NAME.METHOD.png. Images are seen upright, as their EXIF says. An "
        "image that cannot be explained is named at the end, after the others "
        "are done, with exit status 1.",
        epilog="example: keras-xmap explain model.keras photos --preprocess "
        "ResNet50 --labels names.txt --directory maps",
    )
    explain.add_argument("model", metavar="MODEL.keras")
    explain.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="image files, folders of them, and patterns such as '*.jpg'",
    )
    explain.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="look into the folders in folders; results keep their paths",
    )
    _add_what_to_explain(explain)
    _add_how_to_read_and_write(explain)
    explain.set_defaults(run=_explain)


def _add_what_to_explain(explain):
    _add_method(explain)
    explain.add_argument(
        "--top-k",
        type=int,
        metavar="K",
        help="explain the K highest classes of each image, as "
        "NAME.METHOD.top1.png and so on",
    )
    _add_what_is_asked(explain)
    explain.add_argument(
        "--mask",
        metavar="FILE",
        action="append",
        default=[],
        help="image of the region that a model with a mask as second input "
        "is asked about, white inside; once for all images or once for each; "
        "default: the whole image",
    )


def _add_what_is_asked(command):
    command.add_argument(
        "--target",
        type=_number_or_text,
        metavar="CLASS",
        help="class to explain, by number, or by name where `--labels` gives "
        "names; or `raise` or `lower`, what does that to the "
        "number of a model with a single unit; default: the answer, the class "
        "with the highest score of each image",
    )
    command.add_argument(
        "--labels",
        metavar="FILE",
        help="text with the name of a class on each line, that of class 0 "
        "first",
    )
    command.add_argument(
        "--output",
        metavar="NAME",
        help="output to explain, of a model with several",
    )
    command.add_argument(
        "--class-axis",
        type=int,
        metavar="AXIS",
        help="where an output of maps has its classes, the batch being 0: 1 or "
        "-1; default: last, or first where the images have channels first",
    )
    command.add_argument(
        "--score",
        choices=("logits", "output"),
        default="logits",
        help="explain the score before the softmax or sigmoid that ends the "
        "model, or the output as it is; default: logits",
    )


def _add_method(explain):
    _add_what_is_explained_by(explain)
    _add_views(explain)


def _add_what_is_explained_by(command):
    command.add_argument(
        "--method",
        default=DEFAULT_METHOD,
        help="one of `keras-xmap methods`; default: layercam, averaged over "
        "the two coarsest sizes: its brightest pixel lay on the object in .65 "
        "of 215 cases with MobileNetV2, that of gradcam in .42, the centre of "
        "the photo in .36 (docs/localization.md)",
    )
    command.add_argument(
        "--target-layer",
        type=_number_or_text,
        action="append",
        metavar="NAME",
        help="layer that class activation maps look at, by name or path; given "
        "several times, the mean of several; a number N, the last ones of the "
        "N coarsest sizes; `stages`, those of all sizes; default: 2 for "
        "layercam, and for others what they take by themselves",
    )


def _number_or_text(text):
    try:
        return int(text)
    except ValueError:
        return text


def _add_views(command):
    command.add_argument(
        "--views",
        "--scales",
        type=views,
        metavar="VIEWS",
        help="take the mean of the maps of resized and mirrored images, such "
        "as 1,1.5,mirror,1.5:mirror; default: the map of the image as it is",
    )


def views(text):
    """Returns the views that text such as `1,mirror,1.5:mirror` names."""
    return [_view(word.strip(), text) for word in text.split(",")]


def _view(word, text):
    scale, colon, mirror = word.partition(":")
    if word == "mirror":
        return word
    try:
        number = float(scale)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf or (colon and mirror != "mirror"):
        raise argparse.ArgumentTypeError(
            "must be scales > 0, `mirror`, or both as in 1.5:mirror, with "
            f"commas between them and no spaces. Received: {text}"
        )
    return (number, mirror) if colon else number


def _add_how_to_read_and_write(explain):
    explain.add_argument(
        "--directory",
        metavar="DIR",
        required=True,
        help="folder that the results are written to",
    )
    _add_pixels(explain)
    explain.add_argument(
        "--batch-size",
        type=int,
        default=8,
        metavar="N",
        help="images of one size that are explained at a time; default: 8",
    )
    explain.add_argument(
        "--force", action="store_true", help="overwrite files in DIR"
    )
    _add_unsafe(explain)


def _explain(arguments):
    arguments.method = method_name(arguments.method)
    _check_explain(arguments)
    number, errors = imported("_explain").run(arguments)
    if not errors:
        return 0
    # What all of them have in common is told once.
    paths_of = {}
    for path, error in errors.items():
        paths_of.setdefault(str(error), []).append(path)
    for error, paths in paths_of.items():
        shown = ", ".join(paths[:5]) + (" and more" if len(paths) > 5 else "")
        _tell(f"{shown}: {error}", "explain")
    if number == 1:
        return 2
    print(
        f"keras-xmap: {number - len(errors)} of {number} images are explained.",
        file=sys.stderr,
    )
    return 2 if len(errors) == number else 1


def _check_explain(arguments):
    """Raises for what no model could make right."""
    target, top_k = arguments.target, arguments.top_k
    if target is not None and top_k is not None:
        raise ValueError(
            "`--target` and `--top-k` must not both say which classes are "
            f"explained. Received: --target {target} --top-k {top_k}."
        )
    if isinstance(target, int) and target < 0:
        raise ValueError(
            "`--target` must be a class, from 0 on. Received: --target "
            f"{target}."
        )
    for name in ("top_k", "batch_size"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(
                f"`--{name.replace('_', '-')}` must be at least 1. Received: "
                f"{value}."
            )


def _compare(arguments):
    found = imported("_compare").run(arguments)
    return _tell_of_photos("compare", "compared", *found)


def _report(arguments):
    arguments.method = method_name(arguments.method)
    found = imported("_report").run(arguments)
    return _tell_of_photos("report", "reported on", *found)


def _tell_of_photos(command, done, number, problems):
    """Tells of photos that could not be read; returns the exit status."""
    for file, error in problems.items():
        _tell(f"{file}: {error}", command)
    if problems:
        print(
            f"keras-xmap: {number} images {done}, {len(problems)} left out.",
            file=sys.stderr,
        )
    return 1 if problems else 0


def _masks(arguments):
    arguments.method = method_name(arguments.method)
    number, problems = imported("_masks").run(arguments)
    for file, error in problems.items():
        _tell(f"{file}: {error}", "masks")
    if problems:
        print(
            f"keras-xmap: {number} masks, {len(problems)} files left out.",
            file=sys.stderr,
        )
    return 1 if problems else 0


def _methods(arguments):
    width = max(map(len, METHODS))
    for name, said in METHODS.items():
        print(f"{name:<{width}}  {said}")


def _demo(arguments):
    imported("_demo").main(
        arguments.directory,
        num_scenes=arguments.scenes,
        epochs=arguments.epochs,
        force=arguments.force,
    )
