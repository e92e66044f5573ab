"""What the library says of its arguments, in the words of a command."""

import ast
import re
import shlex


def _same(*names):
    return {name: name.replace("_", "-") for name in names}


_OF_EACH = _same("batch_size", "score", "target")
_OF_PHOTOS = _same("boxes", "masks", "seed")
# The arguments of Python that the options of a command give.
OPTIONS = {
    "explain": {**_OF_EACH, **_same("target_layer", "views")},
    "compare": {**_OF_EACH, **_OF_PHOTOS, **_same("directory", "methods")},
    "report": {
        **_OF_EACH,
        **_OF_PHOTOS,
        **_same("artifact", "target_layer"),
        "class_names": "labels",
        "num_worst": "worst",
    },
    "masks": {
        **_same(
            "backbone",
            "background",
            "batch_size",
            "classifier_epochs",
            "crf",
            "directory",
            "epochs",
            "erasing_threshold",
            "image_size",
            "labels",
            "loss",
            "seed",
            "split",
            "threshold",
            "views",
        ),
        "class_names": "classes",
        "explainer": "method",
        "max_rounds": "rounds",
        "parameters": "crf",
        "value_range": "range",
    },
}
# A call is to be made in Python, with the arguments that stand in it.
_CALL = r"[\w.]+\((?:[^()]|\([^()]*\))*\)"
_VALUE = (
    r"'[^']*'|\"[^\"]*\"|\[[^\[\]]*\]|\([^()]*\)"
    r"|-?\d+(?:\.\d+)?(?:e-?\d+)?|None|\.\.\."
)


def as_options(text, command):
    """Returns a message of the library with the options of a command.

    `score="output"` becomes `--score output`, where the command has such an
    option; `views=None` becomes `no --views`, and the name of an argument
    between backticks that of the option.
    """
    options = OPTIONS.get(command)
    if not options:
        return text
    names = "|".join(options)
    pattern = (
        rf"{_CALL}|(?P<tick>`?)(?<![\w.])(?P<name>{names})=(?P<value>{_VALUE})"
        rf"(?P=tick)|`(?P<alone>{names})`"
    )

    def replaced(found):
        if found["alone"]:
            return f"`--{options[found['alone']]}`"
        if not found["name"]:
            return found[0]
        try:
            value = ast.literal_eval(found["value"])
        except (SyntaxError, ValueError):
            return found[0]
        tick, option = found["tick"], options[found["name"]]
        no = "no " if value is None else ""
        return f"{no}{tick}{_typed(option, value)}{tick}"

    return re.sub(pattern, replaced, text)


def _typed(option, value):
    """Returns an option with its value, as they are typed."""
    if value is None:
        return f"--{option}"
    if (option, value) == ("labels", "masks"):
        return "--labels-of-masks"
    if value is ...:
        return f"--{option} ..."
    values = value if isinstance(value, (list, tuple)) else [value]
    if option == "views":
        return f"--{option} {','.join(map(_view, values))}"
    words = [shlex.quote(str(one)) for one in values]
    if option == "target-layer":
        return " ".join(f"--{option} {word}" for word in words)
    return " ".join([f"--{option}", *words])


def _view(view):
    return ":".join(map(str, view)) if isinstance(view, tuple) else str(view)
