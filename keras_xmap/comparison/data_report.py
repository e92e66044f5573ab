import csv
import io

import numpy as np

from keras_xmap._typing import Path
from keras_xmap.comparison._data_page import data_page
from keras_xmap.comparison._table_files import csv_cell
from keras_xmap.comparison._table_files import written


class DataReport:
    """What `report` has found: where the maps of many images lie.

    Attributes:
        images: Dictionary of arrays with one entry for each image: `"class"`,
            an integer, or -1 where the target is of no class;
            `"strongest_half"`, the share of the map that its strongest half
            of pixels holds; for each of `places` the share of the map in it,
            `"border"`, what a flat map has there, `"border_area"`, and whether
            it dominates the map, `"border_dominates"`; `"empty"` and `"flat"`,
            booleans; `"excess"`, from 0, no more in any place than a flat map
            has, to 1, all of it in one place; and `"finding"`, what of this
            is to be said, a text, `""` where there is nothing.
        places: List of the places: `"border"`, `"corners"`, and where they
            are known `"outside"` (of the object) and `"artifact"`.
        classes: List of dictionaries, one a class: `"class"`, `"name"`,
            `"images"`; for each place the mean share, a pair `"border_95"`,
            the interval that holds the mean of all such images with a
            probability of 95 %, and `"border_area"`; `"empty"`, `"flat"`, and
            `"border_dominated"`: the share of the images whose map is so.
        clusters: List of dictionaries, one a group of images of a class whose
            maps are alike, those that lie in a suspicious place first:
            `"class"`, `"name"`, `"images"`, an array of their numbers, the
            most typical first; `"share"` of the class; `"alikeness"`, from 0
            to 1; `"mean_map"`, on a coarse grid; and `"suspect"`, a list of
            the places that dominate the mean map.
        worst: Array of the numbers of the worst images, the worst first:
            those with empty maps, and then by `"excess"`.
        about: Dictionary of texts: what was explained, and how.
    """

    def __init__(
        self,
        images: dict,
        places: list[str],
        classes: list[dict],
        clusters: list[dict],
        worst: np.ndarray,
        about: dict[str, str],
        pictures: dict[int, tuple[str, str]],
    ):
        self.images, self.places = images, places
        self.classes, self.clusters = classes, clusters
        self.worst, self.about = worst, about
        self._pictures = pictures

    def __repr__(self):
        number = sum(row["images"] for row in self.classes)
        suspects = sum(bool(x["suspect"]) for x in self.clusters)
        return (
            f"<DataReport of {number} images of {len(self.classes)} classes, "
            f"{suspects} suspicious groups>"
        )

    def to_csv(self, path: Path | None = None) -> str:
        """Returns a line for each image as CSV, and writes it to a path.

        Args:
            path: Path of the file. Defaults to `None`: none is written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", *self.images])
        rows = zip(*self.images.values(), strict=True)
        for number, values in enumerate(rows):
            writer.writerow([number, *(csv_cell(value) for value in values)])
        return written(path, text.getvalue())

    def to_html(self, path: Path | None = None) -> str:
        """Returns one page with pictures, and writes it where a path is given.

        The page holds its pictures and its style, and loads nothing.

        Args:
            path: Path of the file. Defaults to `None`: none is written.
        """
        return written(path, data_page(self, self._pictures))
