"""Every public name, called with what belongs elsewhere.

Each argument of a good call, and each entry of one that is a list or a
dictionary, is replaced by each of the hostile values. A call must end in a
result, in an error that says what was received, or in one of Keras' own.
"""

import functools

import keras
import pytest
from fuzz.good_calls import CALLS
from fuzz.good_calls import LEFT_OUT
from fuzz.hostile_values import NO_NUMBERS
from fuzz.hostile_values import VALUES
from fuzz.outcomes import outcome
from public_interface import PARTS
from public_interface import signatures

import keras_xmap

pytestmark = pytest.mark.tensorflow

AT_MOST = 0.01

# What is asked for takes as long, or as much memory, as it says.
COUNTS = {
    "batch_size",
    "cell_size",
    "depth",
    "epochs",
    "epochs_per_round",
    "filters",
    "gap",
    "grid_size",
    "image_size",
    "input_shape",
    "jitter",
    "kernel_size",
    "max_rounds",
    "num_classes",
    "num_images",
    "num_iterations",
    "num_masks",
    "num_samples",
    "num_scenes",
    "num_steps",
    "num_thresholds",
    "shape",
    "shuffle_buffer",
    "size",
}

_OF_KERAS = "handed on to Keras as it is, which says the same of its own"
_OF_THE_USER = "a function of the user, whose own error it is"
EXCEPTIONS = {
    **{
        f"losses.{name}": {
            "dtype": _OF_KERAS,
            "name": _OF_KERAS,
            "reduction": _OF_KERAS,
        }
        for name in (
            "AreaRatio",
            "ConstrainToBoundaryLoss",
            "ExpansionLoss",
            "ProhibitiveSegmentationLoss",
            "SeedingLoss",
        )
    },
    "layers.HideAndSeek.call": {"training": _OF_KERAS},
    "layers.MaskNoise.call": {"training": _OF_KERAS},
    **{
        f"metrics.{name}": {"dtype": _OF_KERAS, "name": _OF_KERAS}
        for name in (
            "AverageDrop",
            "Deletion",
            "EnergyInMask",
            "IncreaseInConfidence",
            "Infidelity",
            "Insertion",
            "MaxSensitivity",
            "ROAD",
            "MaxBoxAccuracy",
            "MeanIoU",
            "PixelAveragePrecision",
            "PointingGame",
            "Sparseness",
        )
    },
    "targets.Difference": {"a": _OF_THE_USER, "b": _OF_THE_USER},
    "targets.get": {"target": _OF_THE_USER},
    **{
        f"visualization.{name}": {"colormap": _OF_THE_USER}
        for name in ("overlay", "show", "slice_panel", "trace")
    },
}

# Numbers for which something else than a number may stand.
NOT_ONLY_NUMBERS = {
    "explainers.DistinctClassSaliency": {"candidates"},
    "explainers.Explainer.convert_target": {"target"},
    "explainers.Occlusion": {"baseline"},
    "explainers.QuadtreeOcclusion": {"baseline", "patch_size"},
    # NaN is what a diverged model makes, and goes on as such.
    "distribution.Workers.sum": {"values"},
    "distribution.global_mean": {"per_sample"},
    "layers.EraseRegions": {"mean", "stddev"},
    "layers.HideAndSeek": {"fill"},
    "regions.RegionStore.mask": {"image_ids"},
    "regions.RegionStore.save_coco": {"rounds"},
    "regions.RegionStore.save_png": {"rounds"},
}

# What a base checks for all its leaves is tried at one of them.
_LEAVES = {
    "explainers.GradCAM": ("CAM", "EigenCAM", "GradCAMPlusPlus", "HiResCAM")
    + ("LayerCAM", "ScoreCAM"),
    "explainers.Saliency": ("DeconvNet", "GradientInput", "GuidedBackprop")
    + ("GuidedGradCAM", "IntegratedGradients", "SmoothGrad"),
    "explainers.Occlusion": ("RISE",),
}
TRIED_ELSEWHERE = {
    f"explainers.{leaf}": set(CALLS[first].arguments())
    for first, leaves in _LEAVES.items()
    for leaf in leaves
}


def test_every_public_name_has_a_call_with_every_argument():
    known = {
        name.removeprefix("keras_xmap."): s for name, s in signatures().items()
    }
    wanted = {
        name: {
            argument.name
            for argument in signature.parameters.values()
            if argument.kind
            not in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL)
        }
        for name, signature in known.items()
    }
    assert LEFT_OUT.keys() <= wanted.keys()
    called = {name: set(call.arguments()) for name, call in CALLS.items()}
    without = {
        name: arguments
        for name, arguments in wanted.items()
        if arguments and name not in LEFT_OUT and called.get(name) != arguments
    }
    assert not without


def call(name, arguments):
    found = CALLS[name]
    arguments = dict(arguments)
    if found.owner is None:
        function = functools.reduce(getattr, name.split("."), keras_xmap)
    elif name.startswith("layers.") and name.endswith(".call"):
        return found.owner()(arguments.pop("inputs"), **arguments)
    else:
        function = getattr(found.owner(), name.rpartition(".")[2])
    result = function(**arguments)
    # What an explainer that is made is called on costs a trace each.
    made_alone = name.startswith("explainers.") and found.owner is None
    return result if made_alone or not found.then else found.then(result)


def places(arguments):
    """Yields the arguments, and the entries of lists and dictionaries."""
    for name, value in arguments.items():
        yield name, None
        if isinstance(value, dict):
            yield from ((name, key) for key in value)
        elif isinstance(value, (list, tuple)):
            yield from ((name, index) for index in range(len(value)))


def put(arguments, place, value):
    name, key = place
    if key is not None:
        whole = arguments[name]
        whole = dict(whole) if isinstance(whole, dict) else list(whole)
        whole[key] = value
        value = whole
    return {**arguments, name: value}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def tried(name):
    """Yields the places of a call that are replaced, and what stands there."""
    arguments = CALLS[name].arguments()
    for place in places(arguments):
        known, key = place
        if known not in TRIED_ELSEWHERE.get(name, ()):
            value = arguments[known]
            yield place, value if key is None else value[key]


def attempts(name):
    """Yields what was tried, how it ended, and what came of it."""
    for place, value in tried(name):
        free = place[0] in NOT_ONLY_NUMBERS.get(name, ())
        for kind, make in VALUES.items():
            if kind == "2**63" and place[0] in COUNTS:
                continue
            arguments = put(CALLS[name].arguments(), place, make())
            how, what = outcome(functools.partial(call, name, arguments))
            if how == "obscure" and place[0] in EXCEPTIONS.get(name, ()):
                how = "excepted"
            if how == "result" and kind in NO_NUMBERS and is_number(value):
                how = how if free else "taken"
            yield f"{name}, {place} is {kind}", how, what


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """Files of a call go nowhere else, and no frame of Keras is hidden."""
    monkeypatch.chdir(tmp_path)
    hidden = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    yield
    if hidden:
        keras.config.enable_traceback_filtering()


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("part", PARTS)
def test_hostile_values_end_in_an_error_that_says_so(part, record_property):
    names = [name for name in CALLS if name.startswith(f"{part}.")]
    number, obscure, taken = 0, [], []
    for name in names:
        good = functools.partial(call, name, CALLS[name].arguments())
        how, what = outcome(good)
        assert how == "result", f"{name}: {what!r}"
        for tried, how, what in attempts(name):
            number += 1
            if how == "obscure":
                obscure.append(f"{tried}: {type(what).__name__}: {what}")
            elif how == "taken":
                taken.append(tried)
    told = "\n".join(line[:200] for line in obscure)
    record_property(f"obscure errors of {part}", f"{len(obscure)} of {number}")
    assert not taken, "taken for numbers:\n" + "\n".join(taken)
    assert len(obscure) <= AT_MOST * number, f"of {number}:\n{told}"


def test_every_exception_is_of_an_argument_that_there_is():
    for table in (EXCEPTIONS, NOT_ONLY_NUMBERS):
        for name, arguments in table.items():
            assert set(arguments) <= set(CALLS[name].arguments()), name
