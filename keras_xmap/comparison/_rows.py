"""One row of the table: what is found of one method."""

import contextlib
import time
import warnings

import numpy as np

from keras_xmap import metrics
from keras_xmap._checks import MISTAKES
from keras_xmap.comparison._images import maps_of
from keras_xmap.comparison._measures import ORDERS
from keras_xmap.comparison._pictures import Pictures
from keras_xmap.comparison._pictures import encoded
from keras_xmap.comparison._pictures import laid_over

# A rank correlation from which on a map is said to stay as it was.
STAYS = 0.75
# What a row holds of the sanity check.
FORGOTTEN, HALF = "all_forgotten", "half_forgotten"
NUM_SHOWN = 4


class Row:
    """What is found of one method.

    Attributes:
        method: String.
        call: String, the call that makes the explainer; `""` of none.
        values: Dictionary of floats, or `None`, by column.
        remarks: List of strings.
        refusal: String, why the model can have no such maps, or `None`.
        fails: Boolean: whether the maps stay when the model forgets.
        pictures: List of PNG files in base64, one an image that is shown.
        rank: Integer from 1, or `None`.
    """

    def __init__(self, method, call=""):
        self.method, self.call = method, call
        self.values, self.remarks, self.pictures = {}, [], []
        self.refusal, self.fails, self.rank = None, False, None

    def as_json(self):
        return {k: v for k, v in vars(self).items() if k != "rank"}

    @classmethod
    def from_json(cls, kept):
        row = cls(kept["method"])
        vars(row).update(kept)
        return row


class Measuring:
    """Fills rows, one method after the other.

    Args:
        images: `Images`.
        measures: List of `Measure`s.
        sanity: Boolean: whether weights are drawn anew.
        input_name: See `compare`.
        batch_size: Integer.
        seed: Integer.
    """

    def __init__(self, images, measures, sanity, input_name, batch_size, seed):
        self._images, self._measures = images, measures
        self._sanity, self.input_name = sanity, input_name
        self._batch_size, self._seed = batch_size, seed
        self._photos = Pictures(images, input_name)
        places = np.linspace(0, len(images.kept) - 1, NUM_SHOWN)
        self.shown = [
            images.kept[i] for i in np.unique(places.round().astype(int))
        ]

    def row(self, method, bar):
        """Returns the `Row` of a method; `bar` is called once a batch."""
        row = Row(method.name)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with _refusal_in(row):
                explainer = method.make()
                row.call = repr(explainer)
            if row.refusal is None:
                self._measure(row, explainer, bar)
            if row.refusal is None:
                with _refusal_in(row):
                    self._ask_further(row, explainer)
        if row.refusal is not None:
            row.values, row.pictures, row.remarks = {}, [], []
        said = [
            " ".join(str(x.message).split())
            for x in caught
            if issubclass(x.category, UserWarning)
        ]
        row.remarks += dict.fromkeys(said)
        return row

    def baseline(self, drawn):
        """Returns the `Row` of maps that know no model."""
        row = Row(drawn.name)
        self._reset()
        for rows, inputs, target in self._images.batches():
            sizes = self._images.sizes(inputs, self.input_name)
            self._update(inputs, drawn.maps(rows, sizes), target, rows)
        self._close(row)
        row.remarks = []  # the methods say the same
        return row

    def originals(self):
        """Returns the images that are shown, as pictures like `Row`'s."""
        found = [self._photos.photo(*shown) for shown in self.shown]
        return [] if any(x is None for x in found) else [*map(encoded, found)]

    def _measure(self, row, explainer, bar):
        seconds = []
        self._reset()
        # What is wrong with images or masks is no refusal of a method.
        for rows, inputs, target in self._images.batches():
            with _refusal_in(row):
                maps, taken = self._timed(explainer, inputs, target, len(rows))
                seconds.append(taken)
            if row.refusal is not None:
                return
            self._update(inputs, maps, target, rows)
            bar()
        if len(seconds) == 1:  # in which the step was compiled
            _, taken = self._timed(explainer, inputs, target, len(rows))
            seconds.append(taken)
        row.values["seconds"] = float(np.median(seconds[1:]))
        self._close(row)

    def _ask_further(self, row, explainer):
        if self._sanity:
            self._check(row, explainer)
        row.pictures = self._pictures(explainer)

    def _timed(self, explainer, inputs, target, size):
        start = time.perf_counter()
        maps = self._maps(explainer, inputs, target, size)
        return maps, (time.perf_counter() - start) / size

    def _maps(self, explainer, inputs, target, size):
        return maps_of(explainer, inputs, target, size, self.input_name)

    def _reset(self):
        for measure in self._measures:
            measure.reset()

    def _update(self, inputs, maps, target, rows):
        for measure in self._measures:
            measure.update(inputs, maps, target, rows)

    def _close(self, row):
        for measure in self._measures:
            row.values[measure.name] = measure.result()
            if measure.refusal is not None:
                row.remarks.append(f"{measure.name}: {measure.refusal}")

    def _check(self, row, explainer):
        """Draws the weights anew, and notes in a row what stays of its maps.

        Small models may give like maps of new weights by chance: one that
        seems to fail is asked twice more, and the median of the draws counts.
        """
        try:
            found = [self._forgotten(explainer, self._seed)]
            if found[0] is not None and max(found[0]) >= STAYS:
                found += [
                    self._forgotten(explainer, (self._seed + i) % 2**31)
                    for i in (1, 2)
                ]
        except MISTAKES as error:
            said = " ".join(str(error).split())
            row.remarks.append(f"no sanity check: {said}")
            return
        if None in found:
            row.fails = True
            row.remarks.append(
                "fails the sanity check: each map has one value everywhere, "
                "and none of them tells pixels apart"
            )
            return
        half, whole = (float(x) for x in np.median(found, axis=0))
        row.values[HALF], row.values[FORGOTTEN] = half, whole
        row.fails = max(half, whole) >= STAYS
        if row.fails:
            what = "what the upper half of its layers has learned"
            if whole >= STAYS:
                what = "all it has learned"
            row.remarks.append(
                "fails the sanity check: its pixels keep their order (rank "
                f"correlation {whole if whole >= STAYS else half:.2f}) when "
                f"the model forgets {what}"
            )

    def _forgotten(self, explainer, seed):
        """Returns what stays when half, and all, is forgotten; or `None`."""
        data, target = self._images.for_sanity()
        found = metrics.parameter_randomization(
            explainer,
            data,
            target,
            steps=2,
            batch_size=self._batch_size,
            seed=seed,
            verbose=0,
        )
        steps = [x.absolute_spearman for x in found.values()]
        return None if np.isnan(steps).any() else (steps[0], steps[-1])

    def _pictures(self, explainer):
        found = []
        for row, inputs in self.shown:
            photo = self._photos.photo(row, inputs)
            if photo is None:
                return []
            target = self._images.target_of([row])
            found.append(
                laid_over(photo, self._maps(explainer, inputs, target, 1))
            )
        return [] if None in found else found


@contextlib.contextmanager
def _refusal_in(row):
    """Keeps in a row why the model can have no such maps."""
    try:
        yield
    except Exception as error:
        row.refusal = " ".join(str(error).split()) or repr(error)


def beaten_by_chance(row, chance, measures):
    """Adds to a row, where it is so, that random maps do no worse."""
    orders = [m for m in measures if m.name in ORDERS]
    pairs = [
        (m, row.values.get(m.name), chance.values.get(m.name)) for m in orders
    ]
    if not pairs or any(None in pair for pair in pairs):
        return
    if all(
        own <= random if m.higher_is_better else own >= random
        for m, own, random in pairs
    ):
        row.remarks.append(
            "no better than random maps by "
            + " and ".join(m.name for m in orders)
        )
