"""Views of images, resized or mirrored, whose maps are brought back.

A view is a number, the scale; `"mirror"`; or a pair of both.
"""

import math
import typing

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._axes import spatial_axes
from keras_xmap._checks import is_number
from keras_xmap.ops import resize


class View(typing.NamedTuple):
    """How an image is looked at."""

    scale: float = 1.0
    is_mirrored: bool = False

    def __str__(self):
        if not self.is_mirrored:
            return f"{self.scale:g}"
        return f"({self.scale:g}, 'mirror')"


AS_IT_IS = View()
_LONGEST = 2**31 - 1  # pixels along an axis


def as_views(views):
    """Returns `views` as a tuple of `View`s; `None` for the image as it is."""
    if views is None:
        return None
    if not isinstance(views, (list, tuple)) or not views:
        raise _no_views(views)
    found = tuple(_as_view(entry, views) for entry in views)
    return None if found == (AS_IT_IS,) else found


def _as_view(entry, views):
    if isinstance(entry, str) and entry == "mirror":
        return View(1.0, True)
    if is_number(entry) and 0 < entry < math.inf:
        return View(float(entry))
    if isinstance(entry, (list, tuple)) and len(entry) == 2:
        scale, word = entry
        if word == "mirror" and is_number(scale) and 0 < scale < math.inf:
            return View(float(scale), True)
    raise _no_views(views)


def _no_views(views):
    return ValueError(
        "`views` must be a list of views: a scale > 0, 'mirror', or a pair of "
        f"both. Received: views={views!r}. Such as [1, 1.5, 'mirror', (1.5, "
        "'mirror')]; the image alone is None."
    )


def check_baseline(baseline):
    """Raises if a baseline has positions, which a view has elsewhere."""
    for part in keras.tree.flatten(baseline):
        if getattr(part, "ndim", 0) > 1:
            raise ValueError(
                "A view has the places of an image elsewhere, so that the "
                "baseline must be the same in all of them. Received: views "
                f"with a baseline of shape {tuple(part.shape)}. Give a name "
                "such as 'mean', or an array (channels,)."
            )


def mean_over_views(explainer, inputs, target, parts, views):
    """Explains each view, and averages their maps on the pixels of the inputs.

    Args:
        explainer: `Explainer`.
        inputs: Structure of tensors, as the model takes it.
        target: The `Target`.
        parts: Its tensors.
        views: Tuple of `View`s.

    Returns:
        What `Explainer.compute` returns.
    """
    own = explainer.evaluate(inputs)
    _check_target(target, own, views)
    # All views are explained for what the model answers to the image itself.
    parts = explainer.resolved_parts(own, target, parts)
    name = getattr(explainer, "input_name", None)
    chosen = engine.chosen_inputs(explainer.model, own.inputs, name)
    images = Images(own, chosen)
    first = 1 if target.is_single(parts) else 2
    total = notes = None
    for view in views:
        shown = images.shown(view)
        if total is not None:
            # One view is in memory at a time.
            shown = engine.after(engine.given(total), shown)
        maps, of_view = _explained(explainer, shown, target, parts, view)
        maps = images.brought_back(maps, shown, view, first)
        notes = notes or of_view
        _check_same_layers(notes, of_view, view)
        total = maps if total is None else _added(total, maps)
    return engine.map_given(lambda x: x / len(views), total), notes


def _explained(explainer, inputs, target, parts, view):
    try:
        return explainer.compute(inputs, target, parts)
    except Exception as error:
        if view.scale != 1:
            _check_is_taken(explainer, inputs, view, error)
        raise


def _check_is_taken(explainer, inputs, view, cause):
    """Raises if the model itself does not take images of this size."""
    try:
        explainer.evaluate(inputs)
    except Exception as error:
        raise ValueError(
            f"The model {explainer.model.name!r} does not take images of "
            f"other sizes than its own. Received: the view {view}. Leave the "
            "scales out, as in views=[1, 'mirror'], or build the model for "
            "any size, with keras.Input((None, None, 3)) and a head that "
            f"pools. {error}"
        ) from cause


def _check_target(target, evaluation, views):
    if target.is_of_places(evaluation.outputs):
        raise ValueError(
            "A view has the places of an image elsewhere, so that the target "
            "must not be of certain places of an output. Received: views="
            f"[{', '.join(map(str, views))}] with target={target!r}. Pass "
            "`MaskedMean(index)` without a mask, or a class; or explain each "
            "view by itself, with the target moved along, and bring the maps "
            "back: `explain(images[:, :, ::-1], moved)[:, :, ::-1]`."
        )


def _check_same_layers(notes, of_view, view):
    expected, found = notes.get("layers_used"), of_view.get("layers_used")
    if found != expected:
        raise ValueError(
            "All views must be explained at the same layers. Received: layers "
            f"{found} in the view {view}, and {expected} in the first: at "
            "other sizes other layers still have positions. Name one that has "
            "them in all views as `target_layer`, or leave out this view."
        )


def _added(total, maps):
    return keras.tree.map_structure(
        lambda x, y: None if x is None else x + y, total, maps
    )


class Images:
    """The inputs of an evaluation, and which of their axes are positions.

    Inputs with most positions are images; vectors and sequences beside them
    are the same in every view.

    Args:
        evaluation: `engine.Evaluation` of the inputs as they are.
        chosen: List of the inputs that a single map may be of.
    """

    def __init__(self, evaluation, chosen):
        self._structure = evaluation.inputs
        self._flat = keras.tree.flatten(evaluation.inputs)
        axes = [_positions(evaluation, x) for x in self._flat]
        most = max(map(len, axes), default=0)
        if not most:
            shapes = [tuple(x.shape) for x in evaluation.given_inputs]
            raise ValueError(
                "Views are of images: inputs (batch, height, width, channels), "
                "or with another number of positions. Received: inputs of "
                f"shapes {shapes}. Pass `views=None`."
            )
        self._axes = [x if len(x) == most else () for x in axes]
        self._may_be_mapped = [
            any(x is one for one in chosen) for x in self._flat
        ]

    def shown(self, view):
        """Returns the inputs as a view shows them."""
        if view == AS_IT_IS:
            return self._structure
        flat = [
            _shown(x, axes, view) if axes else x
            for x, axes in zip(self._flat, self._axes, strict=True)
        ]
        return keras.tree.pack_sequence_as(self._structure, flat)

    def brought_back(self, maps, shown, view, first):
        """Returns maps of a view as maps of the inputs as they are.

        Args:
            maps: Structure of maps, as `Explainer.compute` returns it.
            shown: The inputs of which they are.
            view: The `View`.
            first: Integer: how many axes stand before those of an input.
        """
        flat, shown = keras.tree.flatten(maps), keras.tree.flatten(shown)
        if len(flat) == len(shown):
            numbers = range(len(flat))
        elif len(flat) == 1:
            numbers = [self._number(flat[0], shown, first)]
        else:
            raise _not_on_the_input(flat[0])
        flat = [
            None if x is None else self._back(x, number, shown, view, first)
            for x, number in zip(flat, numbers, strict=True)
        ]
        return keras.tree.pack_sequence_as(maps, flat)

    def _number(self, heatmap, shown, first):
        """Returns the number of the input that a single map lies on."""
        found = [
            number
            for number, axes in enumerate(self._axes)
            if axes
            and self._may_be_mapped[number]
            and _lies_on(heatmap, shown[number], axes, first)
        ]
        sizes = {str(self._size(number)) for number in found}
        if not found:
            raise _not_on_the_input(heatmap)
        if len(sizes) > 1:
            raise ValueError(
                "It is not clear which input a map lies on. Received: inputs "
                f"{found} of sizes {sorted(sizes)}. Name one by `input_name`."
            )
        return found[0]

    def _size(self, number):
        shape = ops.shape(self._flat[number])
        return tuple(shape[axis] for axis in self._axes[number])

    def _back(self, heatmap, number, shown, view, first):
        axes = self._axes[number]
        if not axes:
            return heatmap
        if not _lies_on(heatmap, shown[number], axes, first):
            raise _not_on_the_input(heatmap)
        if view == AS_IT_IS:
            return heatmap
        own = _own_axes(heatmap, shown[number], axes, first)
        if view.is_mirrored:
            heatmap = ops.flip(heatmap, axis=own[-1])
        if view.scale != 1:
            heatmap = _resized(heatmap, own, self._size(number))
        return heatmap


def _positions(evaluation, x):
    """Returns the axes of an input that are positions: a tuple."""
    if x is None:
        return ()
    rank = len(x.shape)
    if keras.backend.is_float_dtype(x.dtype):
        if rank < 3:
            return ()
        channels = evaluation.channel_axis(x)
        return tuple(axis for axis in range(1, rank) if axis != channels)
    dtype = keras.backend.standardize_dtype(x.dtype)
    if rank == 3 and dtype != "string":
        raise ValueError(
            "It is not known whether an input of integers shows the image, "
            f"and has to be moved with it. Received: views of an input of "
            f"shape {tuple(x.shape)} and dtype {dtype}. Explain each view by "
            "itself, and average the maps."
        )
    return spatial_axes(rank, evaluation.input_data_format) if rank > 3 else ()


def _shown(x, axes, view):
    if view.scale != 1:
        size = [_times(ops.shape(x)[axis], view.scale) for axis in axes]
        is_float = keras.backend.is_float_dtype(x.dtype)
        full = x if is_float else ops.cast(x, "float32")
        resized = _resized(full, axes, tuple(size))
        x = resized if is_float else ops.cast(ops.round(resized), x.dtype)
    return ops.flip(x, axis=axes[-1]) if view.is_mirrored else x


def _times(length, scale):
    if isinstance(length, int):
        if length * scale > _LONGEST:
            raise ValueError(
                "`views` must be of sizes that images can have. Received: the "
                f"scale {scale:g} of {length} pixels."
            )
        return max(1, round(length * scale))
    scaled = ops.round(ops.cast(length, "float32") * scale)
    return ops.maximum(ops.cast(scaled, "int32"), 1)


def _own_axes(heatmap, shown, axes, first):
    """Returns the axes of a map that run over those of an input."""
    has_channels = len(heatmap.shape) - first == len(shown.shape) - 1
    if has_channels:
        return tuple(axis - 1 + first for axis in axes)
    return tuple(range(first, first + len(axes)))


def _lies_on(heatmap, shown, axes, first):
    """Whether the sizes of a map are, as far as known, those of an input."""
    rank = len(heatmap.shape) - first
    if rank not in (len(axes), len(shown.shape) - 1):
        return False
    own = _own_axes(heatmap, shown, axes, first)
    return all(
        None in (heatmap.shape[a], shown.shape[b])
        or heatmap.shape[a] == shown.shape[b]
        for a, b in zip(own, axes, strict=True)
    )


def _not_on_the_input(heatmap):
    return ValueError(
        "Maps of views are averaged on the pixels of the input. Received: a "
        f"map of shape {tuple(heatmap.shape)}, which are not those of the "
        "input. Explain without `views`."
    )


def _resized(x, axes, size):
    """Resizes a tensor along `axes`, as `ops.resize` does."""
    others = [axis for axis in range(1, len(x.shape)) if axis not in axes]
    order = (0, *axes, *others)
    x = ops.transpose(x, order)
    shape = ops.shape(x)
    rest = shape[1 + len(axes) :]
    x = ops.reshape(x, (*shape[: 1 + len(axes)], math.prod(rest)))
    x = ops.reshape(resize(x, size), (shape[0], *size, *rest))
    return ops.transpose(x, [order.index(axis) for axis in range(len(order))])
