import reprlib
from typing import Any
from typing import Literal

from keras_xmap._checks import check_finite
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_real
from keras_xmap._checks import check_share
from keras_xmap._checks import check_string
from keras_xmap._repr import call_repr
from keras_xmap._warnings import warn_user

_LESS_IS_BETTER = ("loss", "error", "entropy", "divergence")


class StopRule:
    """When adversarial erasing has nothing more to find.

    A round has failed if the network could not learn from what was left of
    the images: its regions would be guesses, so it mines none. What the first
    round learned, on whole images, is the measure, from a network that only
    guesses on; a share of it may be lost:

    `loss > first + tolerance * (guess - first)`, or
    `metric < first - tolerance * (first - guess)`

    A loss of 0.02 after one of 0.01 is no failure where guessing has 0.69,
    and an accuracy of 0.5 is one where guessing has 0.4.

    A metric on held-out images is the one to trust, and on whole ones. A
    network that is large enough learns the training images of every round by
    heart, or learns labels from the shapes of what was erased: its training
    loss never says stop, but it does not know a whole image.

    A round that learned, but found less than `min_new_share` of all pixels,
    keeps its regions and is the last.

    Args:
        monitor: Name of a metric in the logs of an epoch, such as
            `"val_accuracy"`; that of the last epoch of a round counts.
            Defaults to `None`: `"val_loss"` if `fit` validates, else
            `"loss"`.
        tolerance: Float >= 0, the share that may be lost. Defaults to
            `0.5`: on objects with two cues, digits and two sets of photos,
            rounds that found more of the objects had lost 0 to 0.38 of what
            the first knew of whole held-out images, and those that found
            less, or ground alone, 0.53 to 1.
        min_new_share: Float from 0 to 1, share of the pixels of all images.
            Defaults to `0.01`.
        mode: `"min"` or `"max"`, which values of the metric are good; or
            `"auto"`: the least if its name ends in loss, error, entropy or
            divergence. Defaults to `"auto"`.
        guess: Float, the value of the metric for a network that guesses how
            frequent each class is, such as 0.5 for an AUC. Defaults to
            `None`: what the run knows of losses that are one cross-entropy,
            and of `"accuracy"`; else 0, or twice the first value of a loss.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> stop = keras_xmap.callbacks.StopRule("val_accuracy", tolerance=0.3)
    >>> stop([{"logs": {"val_accuracy": 0.9}, "new_share": 0.10},
    ...       {"logs": {"val_accuracy": 0.6}}])
    'val_accuracy 0.6 is worse than 0.63'
    >>> stop = keras_xmap.callbacks.StopRule("val_auc", guess=0.5)
    >>> stop([{"logs": {"val_auc": 0.9}, "new_share": 0.10},
    ...       {"logs": {"val_auc": 0.6}}])
    'val_auc 0.6 is worse than 0.7'
    """

    def __init__(
        self,
        monitor: str | None = None,
        tolerance: float = 0.5,
        min_new_share: float = 0.01,
        mode: Literal["auto", "min", "max"] = "auto",
        guess: float | None = None,
    ) -> None:
        self.monitor = check_optional(check_string, "monitor", monitor)
        self.tolerance = check_non_negative("tolerance", tolerance)
        self.min_new_share = check_share("min_new_share", min_new_share)
        self.mode = check_one_of("mode", mode, ("auto", "min", "max"))
        self.guess = check_optional(check_finite, "guess", guess)

    def __repr__(self) -> str:
        return call_repr(self)

    def __call__(self, records: list[dict[str, Any]]) -> str | None:
        """Judges the last round: once trained, and once mined.

        Args:
            records: List of dictionaries, one a round: `"logs"` of its last
                epoch and, once it has mined, `"new_share"`; in the first one
                also `"guess"`, the value of metrics for guessing.

        Returns:
            Text that says why to stop, or `None`.

        Raises:
            TypeError: If `records` is no list of such dictionaries.
            ValueError: If a value is no number.
        """
        _check_records(records)
        last = records[-1]
        if "new_share" in last:
            share = check_share("new_share", last["new_share"])
            if share < self.min_new_share:
                return (
                    f"new regions cover {share:.2g} of the images, "
                    f"less than {self.min_new_share:.2g}"
                )
            return None
        return self._judge(records[0], last["logs"])

    def _judge(self, record, last):
        first, monitor = record["logs"], self.monitor
        if monitor is None:
            monitor = "val_loss" if "val_loss" in first else "loss"
        if monitor not in first or monitor not in last:
            warn_user(
                f"`monitor` must be a metric of `fit`. Received: monitor="
                f"{monitor!r}; there are {', '.join(sorted(last))}. No round "
                "is held to have failed."
            )
            return None
        best, value = (
            check_real(f"logs[{monitor!r}]", logs[monitor])
            for logs in (first, last)
        )
        sign = -1 if self._less_is_better(monitor) else 1
        guess = self._guess(record, monitor, best, sign)
        # What is no better than a guess has nothing to lose.
        learned = max(sign * (best - guess), 0)
        bound = best - sign * self.tolerance * learned
        if not sign * (value - bound) >= 0:  # also if it is not a number
            return f"{monitor} {value:.4g} is worse than {bound:.4g}"
        return None

    def _guess(self, record, monitor, best, sign):
        """Returns the value of the metric for a network that only guesses."""
        if self.guess is not None:
            return self.guess
        known = record.get("guess", {}).get(monitor.removeprefix("val_"))
        if known is not None:
            return check_real("guess", known)
        return best - sign * abs(best)

    def _less_is_better(self, monitor):
        if self.mode == "auto":
            return monitor.endswith(_LESS_IS_BETTER)
        return self.mode == "min"


def _check_records(records):
    """Raises unless the rounds that are looked at, first and last, are some."""
    known = isinstance(records, (list, tuple)) and len(records) > 0
    known = known and all(
        isinstance(record, dict)
        and isinstance(record.get("logs"), dict)
        and isinstance(record.get("guess", {}), dict)
        for record in (records[0], records[-1])
    )
    if not known:
        raise TypeError(
            "`records` must be a list of dictionaries, one a round, each with "
            "the `logs` of its last epoch, a dictionary, and `guess`, if it "
            "is there, another. Received: "
            f"records={reprlib.repr(records)}."
        )
