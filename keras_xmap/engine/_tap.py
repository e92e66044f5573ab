"""What each layer of a model put out, recorded while the model is called.

The tap stands on `keras.layers.Layer.__call__` for as long as a recording
lasts, and only the thread that records notices it. So every layer that runs
is seen, wherever the model keeps it (nested, shared, in a list, in a dict),
in the order of the calls, and nothing of the user's model is touched.

It stands on `keras.Operation.__call__`, too: in a functional model, `x + y`
and the functions of `keras.ops` are operations that have names, as layers do.
"""

import contextlib
import functools
import threading

import keras
from keras import ops

_lock = threading.Lock()
_local = threading.local()
_recordings = 0  # recordings in progress, over all threads
_untapped: dict[type, object] = {}  # the methods that a tap stands on
# id(layer) -> threads that run its `call` untraced
_unwrapped: dict[int, int] = {}


class LayerCall:
    """One call of one layer, or of an operation that stands between layers.

    Attributes:
        layer: The `keras.layers.Layer`; the `keras.Operation` of a functional
            model; `None` for an operation that the `call` of a layer writes
            out, such as `x + y`.
        path: Names from the model down to the layer, e.g. `"base/Conv_1"`;
            `""` is the model itself.
        inputs: What the layer was called on: list of tensors.
        outputs: What the call returned: a tensor or a structure of tensors.
        data_format: `"channels_last"` or `"channels_first"`: the layer's
            own, or that of the last layer before it that has one.
        is_leaf: Boolean: whether no other layer was called inside.
        frames: List of the tensors that `outputs` is the stack of, where the
            layer was called once a frame, see `_frames`; else `None`.
        number: Integer: how many calls ended before it; `None` where it is
            several calls, one a frame, or was not recorded as a call.
        is_join: Boolean: whether it is an operation that brings together
            what is computed from the inputs in several ways.
    """

    def __init__(
        self,
        layer,
        path,
        inputs,
        outputs,
        data_format,
        is_leaf,
        frames=None,
        number=None,
        is_join=False,
    ):
        self.layer = layer
        self.path = path
        self.inputs = inputs
        self.outputs = outputs
        self.data_format = data_format
        self.is_leaf = is_leaf
        self.frames = frames
        self.number = number
        self.is_join = is_join

    @property
    def is_layer(self):
        """Whether it is the call of a layer."""
        return isinstance(self.layer, keras.layers.Layer)


class Recording:
    """The layer calls of one thread, oldest first.

    Attributes:
        calls: List of `LayerCall`, in the order in which the calls ended.
        replaced: List of the tensor that took the place of a call's output,
            if one did.
        input_data_format: `data_format` of the first layer called that has
            one, else that of the Keras configuration.
    """

    def __init__(self, uncompiled=lambda function: None, replacement=None):
        self.calls = []
        self.replaced = []
        self._number, self._replace = replacement or (None, None)
        self._uncompiled = uncompiled
        self._stack = []
        self._data_format = None
        self._first_data_format = None

    @property
    def input_data_format(self):
        return self._first_data_format or keras.config.image_data_format()

    def call(self, layer, args, kwargs):
        self._stack.append(layer.name)
        num_calls_before = len(self.calls)
        self._note_data_format(layer)
        try:
            with _python_call(layer, self._uncompiled):
                outputs = _untapped[keras.layers.Layer](layer, *args, **kwargs)
            # Again, because a nested model ends with its own layers' format.
            self._note_data_format(layer)
            path = "/".join(self._stack[1:])
        finally:
            self._stack.pop()
        is_leaf = not any(x.is_layer for x in self.calls[num_calls_before:])
        return self._kept(layer, path, args, kwargs, outputs, is_leaf)

    def call_operation(self, operation, args, kwargs):
        outputs = _untapped[keras.Operation](operation, *args, **kwargs)
        path = "/".join([*self._stack[1:], operation.name])
        return self._kept(operation, path, args, kwargs, outputs, True)

    def _kept(self, layer, path, args, kwargs, outputs, is_leaf):
        if len(self.calls) == self._number:
            outputs = _with_mask_of(outputs, self._replace(outputs))
            self.replaced.append(outputs)
        self.calls.append(
            LayerCall(
                layer,
                path,
                [
                    x
                    for x in keras.tree.flatten((args, kwargs))
                    if ops.is_tensor(x)
                ],
                outputs,
                self._data_format or keras.config.image_data_format(),
                is_leaf=is_leaf,
                number=len(self.calls),
            )
        )
        return outputs

    def _note_data_format(self, layer):
        own = getattr(layer, "data_format", None)
        if own in ("channels_last", "channels_first"):
            self._data_format = own
            self._first_data_format = self._first_data_format or own


@contextlib.contextmanager
def record_calls(uncompiled=lambda function: None, replacement=None):
    """Records every layer call of this thread in a `Recording`.

    Args:
        uncompiled: Takes the `call` of a layer; returns the Python function
            that a compiled one was made of, and `None` for a plain one.
        replacement: Pair of the number of a call and a function of its
            output, which takes its place; or `None`.
    """
    recording = Recording(uncompiled, replacement)
    outer = getattr(_local, "recording", None)
    _install()
    _local.recording = recording
    try:
        yield recording
    finally:
        _local.recording = outer
        _uninstall()


def _with_mask_of(outputs, replaced):
    """Returns `replaced` with the mask that Keras hands on with `outputs`."""
    mask = getattr(outputs, "_keras_mask", None)
    if mask is not None:
        replaced._keras_mask = mask
    return replaced


def _install():
    global _recordings
    with _lock:
        if _recordings == 0:
            # A call of a layer runs through that of an operation.
            _tap(keras.Operation, _is_no_layer, Recording.call_operation)
            _tap(keras.layers.Layer, lambda layer: True, Recording.call)
        _recordings += 1


def _tap(kind, is_meant, record):
    untapped = kind.__call__

    @functools.wraps(untapped)
    def tapped(operation, *args, **kwargs):
        recording = getattr(_local, "recording", None)
        if recording is None or not is_meant(operation):
            return untapped(operation, *args, **kwargs)
        return record(recording, operation, args, kwargs)

    _untapped[kind] = untapped
    kind.__call__ = tapped


def _is_no_layer(operation):
    return not isinstance(operation, keras.layers.Layer)


def _uninstall():
    global _recordings
    with _lock:
        _recordings -= 1
        if _recordings == 0:
            for kind, untapped in _untapped.items():
                kind.__call__ = untapped


@contextlib.contextmanager
def _python_call(layer, uncompiled):
    """Runs a `call` that is a compiled function as the Python it wraps.

    Inside a compiled function of its own, the layer's tensors would be out of
    reach and its ReLUs out of the backward rule's sight.
    """
    with _lock:
        plain = uncompiled(layer.call)
        if plain is not None:
            # Past Layer.__setattr__, which would track the attribute.
            object.__setattr__(layer, "call", plain)
        counted = plain is not None or id(layer) in _unwrapped
        if counted:
            _unwrapped[id(layer)] = _unwrapped.get(id(layer), 0) + 1
    try:
        yield
    finally:
        if counted:
            with _lock:
                _unwrapped[id(layer)] -= 1
                if _unwrapped[id(layer)] == 0:
                    del _unwrapped[id(layer)]
                    object.__delattr__(layer, "call")
