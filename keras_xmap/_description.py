"""What decides the regions of a run, in words and numbers that a file keeps.

Two processes describe alike what would train and mine alike: names that
Keras counts up are left out, functions are told by their code and by what they
refer to, arrays by a checksum.
"""

import functools
import json
import math
import os
import sys
import types
import warnings

import keras
import numpy as np

from keras_xmap._files import checksum

_LIBRARIES = {"keras", "keras_xmap", "tensorflow", "numpy", "builtins"}
_PARTS_OF_CLASSES = (types.FunctionType, int, float, str, bytes, tuple)
_DEPTH = 40
# Where the config of a model holds names of its layers.
_NAMED = ("name", "keras_history", "input_layers", "output_layers")
# Of callbacks, those that only write down what happens.
_WRITERS = (
    "CSVLogger",
    "History",
    "ModelCheckpoint",
    "ProgbarLogger",
    "RemoteMonitor",
    "TensorBoard",
)


def describe(value, names=None):
    """Returns what decides `value`, of parts that JSON has.

    Args:
        value: Anything that an argument may be.
        names: Dictionary of the names of layers, and what to call them.
            Defaults to `None`: as they are.
    """
    return _Describer(names or {}).describe(value)


def describe_callbacks(callbacks):
    """Returns the descriptions of callbacks that may change a training."""
    return [
        describe(callback)
        for callback in callbacks
        if type(callback).__name__ not in _WRITERS
    ]


def describe_model(model):
    """Returns a dictionary: what the layers of a model are, and their graph.

    Weights have no part in it.
    """
    names = layer_names(model)
    found = {"class": describe(type(model))}
    for layer in layers_of(model)[1:]:
        parts = [describe(type(layer)), _config(layer, names)]
        # A config names functions; here their code counts as well.
        parts += [
            describe(part)
            for name, part in sorted(vars(layer).items())
            # Keras keeps wrappers of methods there as well.
            if isinstance(part, types.FunctionType)
            and not hasattr(type(layer), name)
        ]
        found[f"{names[layer.name]}, {type(layer).__name__}"] = _short(parts)
    return {**found, "graph": _short(_config(model, names))}


def describe_training(model):
    """Returns a dictionary: the optimizer and the losses of a model."""
    optimizer = dict(model.optimizer.get_config())
    optimizer.pop("name", None)
    compiled = getattr(getattr(model, "_compile_config", None), "config", {})
    return {
        "optimizer": {
            "class": type(model.optimizer).__name__,
            **describe(optimizer),
        },
        "loss": describe(compiled.get("loss")),
        "loss_weights": describe(compiled.get("loss_weights")),
        "metrics": describe(compiled.get("metrics")),
    }


def layer_names(model):
    """Returns a dictionary, the name of each layer and its place."""
    names = {}
    for layer in layers_of(model):
        names.setdefault(layer.name, f"layer {len(names)}")
    return names


def differences(kept, received, path=""):
    """Returns texts that tell two descriptions apart, one a field."""
    if isinstance(kept, dict) and isinstance(received, dict):
        found = []
        for name in [*kept, *(name for name in received if name not in kept)]:
            inner = f"{path}.{name}" if path else name
            found += differences(kept.get(name), received.get(name), inner)
        return found
    if _are_lists_of_one_length(kept, received):
        pairs = enumerate(zip(kept, received, strict=True))
        return [
            text
            for i, pair in pairs
            for text in differences(*pair, f"{path}[{i}]")
        ]
    if kept == received:
        return []
    return [f"{path}={_shown(received)}, where the run has {_shown(kept)}"]


def _are_lists_of_one_length(kept, received):
    return (
        isinstance(kept, list)
        and isinstance(received, list)
        and len(kept) == len(received)
    )


class _Describer:
    def __init__(self, names):
        self._names = names
        self._open = []  # what is being described, in which it may recur
        self._done = {}  # by identity, with the value, that it may not change

    def describe(self, value):
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else repr(value)
        if isinstance(value, str):
            return self._names.get(value, value)
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, bytes):
            return f"{len(value)} bytes {checksum(value):08x}"
        if id(value) in self._done:
            return self._done[id(value)][1]
        if any(value is other for other in self._open):
            return "itself"
        if len(self._open) > _DEPTH:
            return type(value).__name__
        self._open.append(value)
        try:
            found = self._inner(value)
        finally:
            self._open.pop()
        self._done[id(value)] = value, found
        return found

    def _inner(self, value):
        if isinstance(value, dict):
            return {str(k): self.describe(v) for k, v in value.items()}
        if isinstance(value, (set, frozenset)):
            return sorted((self.describe(v) for v in value), key=_to_json)
        if isinstance(value, (list, tuple)):
            return [self.describe(entry) for entry in value]
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, functools.partial):
            parts = value.args, value.keywords
            return {
                "partial": self.describe(value.func),
                "of": self.describe(parts),
            }
        if isinstance(value, types.MethodType):
            of = self.describe(value.__self__)
            return {"method": self.describe(value.__func__), "of": of}
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, keras.Layer) and value.name in self._names:
            return self._names[value.name]
        if isinstance(value, keras.Model):
            return f"{type(value).__name__} {_short(describe_model(value))}"
        if isinstance(value, np.generic):
            return self.describe(value.item())
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return _array(value)
        return self._instance(value)

    def _class(self, kind):
        if not _is_users(kind):
            return kind.__qualname__
        code = [
            [name, self.describe(_plain(member))]
            for base in kind.__mro__
            if _is_users(base)
            for name, member in sorted(vars(base).items())
            if isinstance(_plain(member), _PARTS_OF_CLASSES)
            and (callable(_plain(member)) or not name.startswith("__"))
        ]
        return f"{kind.__qualname__} {_short(code)}"

    def _function(self, function):
        if not _is_users(function):
            return function.__qualname__
        cells = [_content(cell) for cell in function.__closure__ or ()]
        found = [
            self._code(function.__code__),
            self.describe(function.__defaults__),
            self.describe(function.__kwdefaults__),
            self.describe(cells),
            *(
                self.describe(function.__globals__[name])
                for name in _all_names(function.__code__)
                if name in function.__globals__
            ),
        ]
        return f"{function.__name__} {_short(found)}"

    def _code(self, code):
        return [
            checksum(code.co_code),
            list(code.co_names),
            [self.describe(constant) for constant in code.co_consts],
        ]

    def _instance(self, value):
        kind = type(value)
        plain = getattr(value, "python_function", None)  # of a tf.function
        if isinstance(plain, types.FunctionType):
            return self.describe(plain)
        config = _config_of(value)
        if config is not None:
            config = {k: v for k, v in config.items() if k != "name"}
            return {"class": self._class(kind), **self.describe(config)}
        if isinstance(value, (types.ModuleType, types.BuiltinFunctionType)):
            return value.__name__
        if _root(kind) in _LIBRARIES - {"keras_xmap", "keras"}:
            return kind.__qualname__
        found = {"class": self._class(kind)}
        # Of what it was made; the rest is what it has become.
        for name in _arguments(kind):
            if name != "model" and hasattr(value, name):
                found[name] = self.describe(getattr(value, name))
        return found


def _array(value):
    try:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(value))
    except Exception:  # a symbol, which has no values
        return f"{type(value).__name__} {value.dtype} {tuple(value.shape)}"
    if array.size <= 8 and array.dtype.kind in "iufb":
        return array.tolist()
    content = checksum(array.tobytes())
    return f"array {array.dtype} {array.shape} {content:08x}"


def layers_of(model):
    """Returns a model and all layers in it, however deep, as a list."""
    return list(model._flatten_layers(include_self=True, recursive=True))


def _config(layer, names):
    return _canonical(_config_of(layer), names)


def _config_of(value):
    """Returns what `get_config` does, or `None` where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = value.get_config()
    except (NotImplementedError, TypeError, ValueError, AttributeError):
        return None
    return config if isinstance(config, dict) else None


def _canonical(value, names, is_name=False):
    if isinstance(value, dict):
        if value.get("class_name") == "__lambda__":
            # It holds the lines of a file, which may have moved.
            return "a function"
        return {
            str(k): _canonical(v, names, is_name or k in _NAMED)
            for k, v in value.items()
            if k != "build_config"
        }
    if isinstance(value, (list, tuple)):
        return [_canonical(entry, names, is_name) for entry in value]
    if isinstance(value, str):
        return names.get(value, value) if is_name else value
    return describe(value)


def _root(thing):
    return (getattr(thing, "__module__", None) or "builtins").split(".")[0]


def _is_users(thing):
    """Whether something was written for this run, not installed for it."""
    root = _root(thing)
    if root == "__main__":
        return True
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    file = getattr(module, "__file__", None) or ""
    installed = "site-packages" in file or "dist-packages" in file
    known = _LIBRARIES | sys.stdlib_module_names
    return not installed and root not in known


def _plain(member):
    return getattr(member, "__func__", getattr(member, "fget", None) or member)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _all_names(code):
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _all_names(constant)
    return sorted(set(names))


def _arguments(kind):
    names = set()
    for base in kind.__mro__:
        code = getattr(vars(base).get("__init__"), "__code__", None)
        if code is not None:
            count = code.co_argcount + code.co_kwonlyargcount
            names.update(code.co_varnames[1:count])
    return sorted(names)


def _short(description):
    return f"{checksum(_to_json(description).encode()):08x}"


def _shown(value, most=60):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _to_json(value):
    return json.dumps(value, sort_keys=True)
