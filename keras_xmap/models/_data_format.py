"""The one rule of which axis of an image, or of a map, holds its channels."""

import keras

from keras_xmap.models._surgery import tensors_in

_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_OTHER = {
    "channels_last": "channels_first",
    "channels_first": "channels_last",
}


class DataFormats:
    """The data format of every image and every map of a model.

    A model has none of its own: its layers have. An image is in the format of
    the first layer behind it that has one, inner models opened up, in the
    order in which the model calls them; a map in that of the last one before
    it. What lies between keeps the format, but for a transposition that moves
    the channels from one end to the other, as `Permute((2, 3, 1))` and
    `Permute((3, 1, 2))` do, which changes it: so the branches of a model may
    be in different formats, and an image need not be in that of its first
    convolution. Where nothing tells, it is that of the Keras configuration.

    Args:
        recording: `Recording` of the model.
    """

    def __init__(self, recording):
        self._recording = recording
        # For each tensor a format, or the input it is in the format of and
        # whether its channels have been moved since.
        self._known = {}
        self._of_input = {}
        for x in keras.tree.flatten(recording.inputs):
            self._known[id(x)] = (id(x), False)
        for call in recording.calls:
            self._follow(call)

    def of(self, tensor):
        """Returns the format of a tensor of the recording."""
        known = self._known.get(id(self._recording.source(tensor)))
        known = self._resolved(known)
        return known or keras.config.image_data_format()

    def _follow(self, call):
        images = [x for x in call.inputs if len(x.shape) == 4]
        known = [self._known.get(id(self._recording.source(x))) for x in images]
        own = getattr(call.operation, "data_format", None)
        if own in _OTHER and images:
            for entry in known:
                self._learn(entry, own)
            result = own
        else:
            result = next((entry for entry in known if entry), None)
            if images and _moves_channels(call.operation):
                result = _changed(result)
        for x in tensors_in(call.outputs):
            self._known[id(x)] = result

    def _learn(self, entry, own):
        """Takes `own` for the format of the input that an entry goes back to,
        unless a layer before has told it."""
        if isinstance(entry, tuple):
            source, moved = entry
            self._of_input.setdefault(source, _OTHER[own] if moved else own)

    def _resolved(self, entry):
        if not isinstance(entry, tuple):
            return entry
        source, moved = entry
        found = self._of_input.get(source)
        # Of two unknown formats one is as good as the other.
        found = found or keras.config.image_data_format()
        return _OTHER[found] if moved else found


def _changed(entry):
    if isinstance(entry, tuple):
        return entry[0], not entry[1]
    return _OTHER.get(entry)


def _moves_channels(operation):
    if isinstance(operation, keras.layers.Permute):
        order = (0, *operation.dims)
    else:
        order = getattr(operation, "axes", None) or ()
        if type(operation).__name__ != "Transpose":
            return False
    return tuple(order) in (_TO_LAST, _TO_FIRST)
