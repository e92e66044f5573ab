"""A comparison as one page that loads nothing."""

from keras_xmap.comparison._page import figure
from keras_xmap.comparison._page import page
from keras_xmap.comparison._page import text


def comparison_page(comparison, pictures):
    """Returns the text of the page.

    Args:
        comparison: `Comparison`.
        pictures: List of dictionaries, one an image: names and PNG files in
            base64.
    """
    parts = [
        f"<p>{_verdict(comparison)}</p>",
        *_table(comparison),
        *_refused(comparison),
        *_maps(pictures),
    ]
    return page("Which map to believe", parts, comparison.about)


def _verdict(comparison):
    if all(row["rank"] is None for row in comparison.rows):
        return "There is no order: no metric that makes one has a value."
    if comparison.best is None:
        return (
            "No method is to be believed on this model: none of those that it "
            "can have passes the sanity check."
        )
    return f"First in this table: <b>{text(comparison.best)}</b>."


def _table(comparison):
    titles = [text(comparison._title(name)) for name in comparison.columns]
    yield '<div class="box"><table>'
    head = "".join(f"<th>{title}</th>" for title in ("rank", "method", *titles))
    yield f'<thead><tr>{head}<th class="words">remarks</th></tr></thead>'
    yield "<tbody>"
    for row in comparison.rows:
        if row["refusal"] is not None:
            continue
        numbers = [row[name] for name in comparison.columns]
        cells = [
            "" if row["rank"] is None else str(row["rank"]),
            f'<span title="{text(row["call"])}">{text(row["method"])}</span>',
            *("" if x is None else f"{x:.3g}" for x in numbers),
        ]
        kind = "fails" if row["fails_sanity"] else ""
        kind = kind or ("chance" if row["rank"] is None else "")
        words = "<br>".join(text(x) for x in row["remarks"])
        yield (
            f'<tr class="{kind}">'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + f'<td class="words">{words}</td></tr>'
        )
    yield "</tbody></table></div>"


def _refused(comparison):
    refused = [row for row in comparison.rows if row["refusal"] is not None]
    if refused:
        yield "<h2>Methods that this model cannot have</h2>"
        yield "<ul>"
        for row in refused:
            name, why = text(row["method"]), text(row["refusal"])
            yield f"<li><b>{name}</b>: {why}</li>"
        yield "</ul>"


def _maps(pictures):
    if pictures:
        yield "<h2>Maps</h2>"
    for number, of_image in enumerate(pictures, start=1):
        yield f'<h3>Image {number}</h3><div class="maps">'
        yield from (figure(content, name) for name, content in of_image.items())
        yield "</div>"
