"""How mkdocs takes in what stands outside docs/."""

import pathlib
import re
import sys

import nbformat
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.rendering.example import paths  # noqa: E402
from docs.rendering.example import read_example  # noqa: E402
from docs.rendering.notebook import notebook_of  # noqa: E402
from docs.rendering.page import index_of  # noqa: E402
from docs.rendering.page import label_of  # noqa: E402
from docs.rendering.page import page_of  # noqa: E402
from docs.rendering.public_names import about  # noqa: E402
from docs.rendering.public_names import linked  # noqa: E402
from docs.rendering.public_names import names_of  # noqa: E402
from docs.rendering.record import read_record  # noqa: E402
from docs.rendering.results import with_results  # noqa: E402

TAKEN_IN = (
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
)
ENTRIES = re.compile(
    r"^::: keras_xmap\.(\w+)(?:: (.*(?:\n    .*)*))?$", re.MULTILINE
)


def on_config(config):
    """Lists the examples in the navigation."""
    pages = [{label_of(x.stem): f"examples/{x.stem}.md"} for x in paths()]
    for entry in config.nav:
        if "Examples" in entry:
            entry["Examples"] = ["examples/index.md", *pages]


def on_files(files, config):
    """Adds the pages of the root, and those of the examples."""
    for name in TAKEN_IN:
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
        text = text.replace("](examples)", "](examples/index.md)")
        files.append(File.generated(config, name, content=text))
    for name, text in examples():
        files.append(File.generated(config, f"examples/{name}", content=text))


def examples():
    """Yields the files of the examples: pages, scripts and notebooks."""
    shown = []
    for path in paths():
        example, record = read_example(path), read_record(path.stem)
        shown.append((example, record))
        yield path.name, path.read_text("utf-8")
        notebook = nbformat.writes(notebook_of(example, record))
        yield f"{path.stem}.ipynb", notebook
        yield f"{path.stem}.md", page_of(example, record, path.name)
    yield "index.md", index_of(shown)


def on_page_markdown(markdown, page, **_):
    """Makes entries of the reference, tables of results, and links."""
    markdown = with_results(markdown)
    if page.file.src_uri != "CHANGELOG.md":
        markdown = linked(markdown)
        markdown = linked_scripts(markdown, page.file.src_uri)
    return with_entries(markdown)


def linked_scripts(markdown, page):
    """Links `examples/<name>.py` in code to the page of the example."""
    up = "../" * page.count("/")

    def link(match):
        return f"[{match[0]}]({up}examples/{match[1]}.md)"

    return re.sub(
        r"(?<![\[`])`(?:python )?examples/(\d\w+)\.py(?: [^`]*)?`(?!\])",
        link,
        markdown,
    )


def with_entries(markdown):
    """Turns `::: keras_xmap.<part>` into an entry for each public name.

    `::: keras_xmap.<part>: A B` are those two; what a page of such names
    leaves out follows at its end.
    """
    shown = {}

    def entries(match):
        part, given = match[1], (match[2] or "").split()
        shown.setdefault(part, []).extend(given or names_of(part))
        if given:
            return listed(names_of(part)[name] for name in given)
        return f"{about(part)}\n\n{listed(names_of(part).values())}"

    grouped = re.search(r"^::: keras_xmap\.(\w+):", markdown, re.M)
    if grouped:
        title, _, rest = markdown.partition("\n")
        markdown = f"{title}\n\n{linked(about(grouped[1]))}\n{rest}"
    markdown = ENTRIES.sub(entries, markdown)
    for part, names in shown.items():
        rest = [x for n, x in names_of(part).items() if n not in names]
        if rest:
            markdown += f"\n\n## Others\n\n{listed(rest)}"
    return markdown


def listed(publics):
    """Returns a table of names and, below it, what each of them is."""
    publics = list(publics)
    rows = [f"| [`{x.name}`][{x.home}] | {x.summary} |" for x in publics]
    table = (
        ["| name | what it is |", "| --- | --- |", *rows]
        if len(rows) > 1
        else []
    )
    blocks = [
        f"::: {x.home}\n    options:\n      heading_level: 3" for x in publics
    ]
    return "\n\n".join(["\n".join(table), *blocks])
