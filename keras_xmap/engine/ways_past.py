"""What a score sees of an image past the layers that are looked at."""

from keras_xmap.engine._attention import is_attended
from keras_xmap.engine._inputs import input_names
from keras_xmap.engine._inputs import made_from
from keras_xmap.engine._layer_by_name import name_of
from keras_xmap.engine._nearest_maps import images_of
from keras_xmap.engine._nearest_maps import maps_before
from keras_xmap.engine._nearest_maps import nearest_maps


class WaysPast:
    """The ways from an image to a score that lead past some layers.

    Attributes:
        layers: List of strings: the nearest layers to the score on them.
        inputs: Names of the inputs from which a way leads past all layers,
            a string; `None` if there are no such ways.
    """

    def __init__(self, layers, inputs):
        self.layers = layers
        self.inputs = inputs

    def __bool__(self):
        return bool(self.layers or self.inputs)

    def __str__(self):
        names = " and ".join(map(repr, self.layers))
        if not self.inputs:
            return names
        way = f"a way from {self.inputs} without any layer"
        return f"{names} and {way}" if names else way


def ways_past(evaluation, calls, score, inputs=None):
    """Returns the `WaysPast` of `calls`.

    Args:
        evaluation: `Evaluation`.
        calls: List of `LayerCall`.
        score: Tensor.
        inputs: List of the inputs that may be shown. Defaults to `None`: all.
    """
    inputs = evaluation.given_inputs if inputs is None else inputs
    shown = _shown_inputs(evaluation, calls, inputs)
    chosen = [call.outputs for call in calls]
    above = evaluation.ancestors(score)
    if not shown or not all(x in above for x in chosen):
        return WaysPast([], None)
    stops = list(chosen)
    attended = [
        call for call in calls if is_attended(evaluation, call, score, shown[0])
    ]
    for call in attended:
        # The stream of tokens beside the attention is no way of its own.
        stops += evaluation.stream(call.outputs)
    others = _others(evaluation, calls, score, evaluation.map_rank(shown[0]))
    passed, reached = nearest_maps(
        evaluation, score, shown, others, stops, refuses=False
    )
    passed = [
        name_of(evaluation.calls, call)
        for call in passed
        if not any(
            evaluation.is_made_from(x.outputs, call.outputs) for x in attended
        )
    ]
    return WaysPast(
        passed, input_names(evaluation, reached) if reached else None
    )


def _shown_inputs(evaluation, calls, inputs):
    """Returns the images whose positions the calls show: a list."""
    found = [x for call in calls for x in made_from(evaluation, call.outputs)]
    found = [x for x in inputs if any(x is y for y in found)]
    return images_of(evaluation, found) if found else []


def _others(evaluation, calls, score, rank):
    """Returns the calls that may be maps and are not made from `calls`."""
    behind = evaluation.offspring([call.outputs for call in calls], score)
    return [
        call
        for call in maps_before(evaluation, score, rank)
        if call.outputs not in behind
    ]
