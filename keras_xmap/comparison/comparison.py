import csv
import io

from keras_xmap._typing import Path
from keras_xmap.comparison._html import comparison_page
from keras_xmap.comparison._table_files import csv_cell
from keras_xmap.comparison._table_files import written

_FIRST, _LAST = ("rank", "method"), ("remarks",)


class Comparison:
    """What `compare` has found: a table of methods, the first one first.

    Attributes:
        rows: List of dictionaries, one a method, in the order of the table:
            `"method"`; `"rank"`, an integer from 1, or `None` for a method
            that the model cannot have and for the maps of chance; one number
            for each of `columns`, or `None` where there is none; `"call"`, the
            explainer; `"fails_sanity"`, a boolean; `"refusal"`, why the model
            cannot have it, or `None`; and `"remarks"`, a list of texts.
        columns: List of the names of what was measured.
        directions: Dictionary from such names to whether higher is better,
            `None` where neither is.
        best: Name of the first method that does not fail the sanity check, or
            `None` where all fail or there is no order.
        about: Dictionary of texts: what was compared, and how.
    """

    def __init__(
        self,
        rows: list[dict],
        columns: list[str],
        directions: dict[str, bool | None],
        about: dict[str, str],
        pictures: list[dict[str, str]],
    ):
        self.rows = rows
        self.columns = columns
        self.directions = directions
        self.about = about
        self._pictures = pictures
        passing = [
            row["method"]
            for row in rows
            if row["rank"] is not None and not row["fails_sanity"]
        ]
        self.best = passing[0] if passing else None

    def __repr__(self):
        number = sum(row["refusal"] is None for row in self.rows)
        return (
            f"<Comparison of {number} methods, {len(self.rows) - number} "
            f"refused, best={self.best!r}>"
        )

    def _repr_markdown_(self):
        # What a notebook shows.
        return self.to_markdown()

    def to_csv(self, path: Path | None = None) -> str:
        """Returns the table as CSV, and writes it where a path is given.

        Numbers are whole, remarks separated by `; `, and what is not known is
        empty.

        Args:
            path: Path of the file. Defaults to `None`: none is written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            [*_FIRST, "call", *self.columns, "fails_sanity"]
            + ["refusal", *_LAST]
        )
        for row in self.rows:
            numbers = [row[name] for name in self.columns]
            cells = [row["rank"], row["method"], row["call"], *numbers]
            cells += [row["fails_sanity"], row["refusal"]]
            cells.append("; ".join(row["remarks"]))
            writer.writerow([csv_cell(cell) for cell in cells])
        return written(path, text.getvalue())

    def to_markdown(self, path: Path | None = None) -> str:
        """Returns the table as Markdown, and writes it where a path is given.

        Args:
            path: Path of the file. Defaults to `None`: none is written.
        """
        shown = [row for row in self.rows if row["refusal"] is None]
        head = [*_FIRST, *map(self._title, self.columns), *_LAST]
        lines = [_line(head), _line(["---"] * len(head))]
        for row in shown:
            numbers = [as_text(row[name]) for name in self.columns]
            remarks = "; ".join(row["remarks"])
            rank = "" if row["rank"] is None else row["rank"]
            lines.append(_line([rank, row["method"], *numbers, remarks]))
        refused = [row for row in self.rows if row["refusal"] is not None]
        if refused:
            lines += ["", "Methods that this model cannot have:", ""]
            lines += [
                f"- {_cell(row['method'])}: {_cell(row['refusal'])}"
                for row in refused
            ]
        lines += ["", *(f"{x}: {y}" for x, y in self.about.items())]
        return written(path, "\n".join(lines) + "\n")

    def to_html(self, path: Path | None = None) -> str:
        """Returns one page with the maps, and writes it where a path is given.

        The page holds its pictures and its style, and loads nothing.

        Args:
            path: Path of the file. Defaults to `None`: none is written.
        """
        return written(path, comparison_page(self, self._pictures))

    def _title(self, column):
        """Returns the title of a column, with where better is."""
        arrows = {True: " ↑", False: " ↓", None: ""}
        words = column.replace("_", " ")
        return words + arrows[self.directions.get(column)]


def as_text(value):
    """Returns a number as people read it, `""` for none."""
    return "" if value is None else f"{value:.3g}"


def _line(cells):
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(value):
    text = " ".join(str(value).split())
    for sign in ("\\", "|", "<", "*", "_", "`"):
        text = text.replace(sign, f"\\{sign}")
    return text
