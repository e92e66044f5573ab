"""Pages that load nothing: their style and what they are made from."""

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
img.cells { image-rendering: pixelated; }
figcaption { font-size: .85rem; }
"""


def page(title, parts, about):
    """Returns the text of a page.

    Args:
        title: String.
        parts: Iterable of strings of HTML.
        about: Dictionary of texts: how it was measured.
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" '
            'content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{text(title)}</h1>",
            *parts,
            "<h2>How it was measured</h2>",
            "<dl>",
            *(
                f"<dt><b>{text(name)}</b></dt><dd>{text(said)}</dd>"
                for name, said in about.items()
            ),
            "</dl>",
            "</body>",
            "</html>\n",
        ]
    )


def figure(content, words, kind=""):
    """Returns a picture, a PNG file in base64, with words under it."""
    words = text(words)
    kind = f' class="{kind}"' if kind else ""
    return (
        f'<figure><img{kind} src="data:image/png;base64,{content}" '
        f'alt="{words}"><figcaption>{words}</figcaption></figure>'
    )


def text(value):
    return html.escape(str(value))
