"""The parameters of a dense CRF, and the shapes that it runs on."""

from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive

# Weights and standard deviations as published; positions in pixels, colours
# in units of 0 to 255.
_PARAMETERS = {
    "paper": (10.0, 80.0, 13.0, 3.0, 3.0),
    "deeplab": (4.0, 121.0, 5.0, 3.0, 3.0),
    "sec": (10.0, 80.0 / 12, 13.0, 3.0, 3.0 / 12),
    "irn": (10.0, 50.0, 5.0, 3.0, 3.0),
}
_KEYS = (
    "appearance_weight",
    "position_stddev",
    "color_stddev",
    "smoothness_weight",
    "smoothness_stddev",
)


def crf_parameters(parameters: str | dict[str, float]) -> dict[str, float]:
    """Returns the parameters of a dense CRF by name, or a checked dict.

    For parameters of your own that differ in one from published ones.

    Args:
        parameters: See `mean_field`.

    Returns:
        Dict of floats: `appearance_weight`, `position_stddev`,
        `color_stddev`, `smoothness_weight` and `smoothness_stddev`.

    Raises:
        ValueError: If the name is unknown, a key is missing or too many, or
            a value is out of its range.

    Example:

    >>> sharp = {**keras_xmap.ops.crf_parameters("paper"), "color_stddev": 5}
    >>> keras_xmap.ops.crf_parameters(sharp)["color_stddev"]
    5.0
    """
    if not isinstance(parameters, dict):
        check_one_of(
            "parameters",
            parameters,
            tuple(_PARAMETERS),
            f"Or pass a dict with the keys {', '.join(_KEYS)}.",
        )
        return dict(zip(_KEYS, _PARAMETERS[parameters], strict=True))
    if set(parameters) != set(_KEYS):
        raise ValueError(
            f"`parameters` must have the keys {', '.join(_KEYS)}. Received: "
            f"parameters={parameters!r}."
        )
    checked = {}
    for key in _KEYS:
        is_weight = key.endswith("weight")
        check = check_non_negative if is_weight else check_positive
        checked[key] = check(key, parameters[key])
    return checked
