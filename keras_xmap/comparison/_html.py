"""A comparison as one page that loads nothing."""

import html

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem;
  max-width: 75rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.box { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid #8886; overflow-wrap: normal; }
th { white-space: nowrap; }
th:nth-child(2), td:nth-child(2), td.words, th.words { text-align: left; }
td.words { min-width: 16rem; }
tr.fails { background: #c002; }
tr.chance { font-style: italic; }
.maps { display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
figure { margin: 0; }
figure img { width: 100%; height: auto; display: block; }
figcaption { font-size: .85rem; }
"""


def page(comparison, pictures):
    """Returns the text of the page.

    Args:
        comparison: `Comparison`.
        pictures: List of dictionaries, one an image: names and PNG files in
            base64.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>Which map to believe</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        "<h1>Which map to believe</h1>",
        f"<p>{_verdict(comparison)}</p>",
        *_table(comparison),
        *_refused(comparison),
        *_maps(pictures),
        "<h2>How it was measured</h2>",
        "<dl>",
        *(
            f"<dt><b>{_text(name)}</b></dt><dd>{_text(said)}</dd>"
            for name, said in comparison.about.items()
        ),
        "</dl>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _verdict(comparison):
    if all(row["rank"] is None for row in comparison.rows):
        return "There is no order: no metric that makes one has a value."
    if comparison.best is None:
        return (
            "No method is to be believed on this model: none of those that it "
            "can have passes the sanity check."
        )
    return f"First in this table: <b>{_text(comparison.best)}</b>."


def _table(comparison):
    titles = [_text(comparison._title(name)) for name in comparison.columns]
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
            f'<span title="{_text(row["call"])}">{_text(row["method"])}</span>',
            *("" if x is None else f"{x:.3g}" for x in numbers),
        ]
        kind = "fails" if row["fails_sanity"] else ""
        kind = kind or ("chance" if row["rank"] is None else "")
        words = "<br>".join(_text(x) for x in row["remarks"])
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
            name, why = _text(row["method"]), _text(row["refusal"])
            yield f"<li><b>{name}</b>: {why}</li>"
        yield "</ul>"


def _maps(pictures):
    if pictures:
        yield "<h2>Maps</h2>"
    for number, of_image in enumerate(pictures, start=1):
        yield f'<h3>Image {number}</h3><div class="maps">'
        for name, content in of_image.items():
            words = _text(name)
            yield (
                f'<figure><img src="data:image/png;base64,{content}" '
                f'alt="{words}"><figcaption>{words}</figcaption></figure>'
            )
        yield "</div>"


def _text(value):
    return html.escape(str(value))
