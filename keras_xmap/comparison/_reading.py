"""Goes through the images of a report, and measures where their maps lie."""

import numpy as np

from keras_xmap import engine
from keras_xmap._numeric import as_array
from keras_xmap.comparison import _places_of_maps as places
from keras_xmap.comparison._images import maps_of
from keras_xmap.comparison._pictures import Pictures

OF_NO_CLASS = -1  # what a target of one's own asks for


class Reading:
    """Goes through the images and measures their maps.

    Args:
        explainer: The explainer.
        images: `Images`.
        truth: `Truth`.
        artifact: See `report`.
        input_name: See `report`.

    Attributes:
        places: See `DataReport`.
    """

    def __init__(self, explainer, images, truth, artifact, input_name):
        self._explainer, self._images = explainer, images
        self._truth, self._input_name = truth, input_name
        has_truth = truth.masks is not None or truth.boxes is not None
        self._artifact = artifact
        if artifact is not None:
            self._artifact = as_array("artifact", artifact)
        self.places = ["border", "corners"]
        self.places += ["outside"] * has_truth
        self.places += ["artifact"] * (artifact is not None)

    def all_images(self, verbose):
        """Returns the arrays of `DataReport.images`, and maps on a grid."""
        bar = engine.progress_bar(self._images.num_batches, verbose)
        columns, grids = [], []
        for number, (rows, inputs, target) in enumerate(
            self._images.batches(), start=1
        ):
            maps = places.energy(self._maps(inputs, target, len(rows)))
            columns.append(self._measured(maps, rows, target))
            grids.append(places.on_grid(maps).astype("float32"))
            if bar:
                bar.update(number)
        found = {
            name: np.concatenate([x[name] for x in columns])
            for name in columns[0]
        }
        return found, np.concatenate(grids)

    def pictures(self, numbers):
        """Returns a dictionary from numbers of images to their pictures."""
        pictures = Pictures(self._images, self._input_name)
        return pictures.of(numbers, self._maps)

    def _measured(self, maps, rows, target):
        index = target.parts.get("index", getattr(target, "index", None))
        index = np.reshape(OF_NO_CLASS if index is None else index, -1)
        half = places.strongest_half(maps)
        is_empty = ~maps.any(axis=tuple(range(1, maps.ndim)))
        found = {
            "class": np.broadcast_to(index, len(rows)).astype("int64"),
            "strongest_half": half,
        }
        excess = np.where(is_empty, 1.0, 0.0)
        for name in self.places:
            where = self._where(name, maps, rows)
            share, area = places.share_in(maps, where)
            found[name], found[f"{name}_area"] = share, area
            found[f"{name}_dominates"] = places.is_dominated(share, area)
            excess = np.maximum(excess, places.excess(share, area))
        found["empty"] = is_empty
        found["flat"] = ~is_empty & (half < places.FLAT)
        found["excess"] = excess
        said = [self._finding(i, found) for i in range(len(rows))]
        found["finding"] = np.array(said, "object")
        return found

    def _finding(self, i, found):
        """Returns what is found of one map, as a text."""
        if found["empty"][i]:
            return "empty: nothing in the image speaks for the class"
        said = []
        if found["flat"][i]:
            half = found["strongest_half"][i]
            said.append(
                f"flat: its strongest half of pixels holds {half:.0%} of it"
            )
        for name in self.places:
            if found[f"{name}_dominates"][i]:
                share, area = found[name][i], found[f"{name}_area"][i]
                said.append(
                    f"{name}: {share:.0%} of it in {area:.0%} of the image"
                )
        return "; ".join(said)

    def _where(self, name, maps, rows):
        """Returns an array that is true in a place of the images."""
        sizes = maps.shape[1:]
        if name == "border":
            return places.border(sizes, places.BORDER)
        if name == "corners":
            return places.corners(sizes, places.CORNER)
        if name == "outside":
            masks = self._truth.masks_of(maps, rows)
            self._check_size("masks", masks, len(rows), sizes)
            return masks == 0
        mask = self._artifact
        self._check_size("artifact", mask, self._images.number, sizes)
        return (mask[rows] if mask.ndim == maps.ndim else mask) != 0

    def _maps(self, inputs, target, size):
        return maps_of(self._explainer, inputs, target, size, self._input_name)

    def _check_size(self, name, mask, number, sizes):
        if mask.shape not in (sizes, (number, *sizes)):
            raise ValueError(
                f"`{name}` must have the size of the maps, one for all images "
                f"or one for each. Received: {name} of shape {mask.shape} for "
                f"{number} maps of size {sizes}. Resize them, or the images, "
                "first."
            )
