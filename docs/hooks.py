"""How mkdocs takes in what stands outside docs/."""

import ast
import pathlib
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
TAKEN_IN = (
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
)


def on_files(files, config):
    """Adds the pages of the root, and the examples they link to."""
    paths = [ROOT / name for name in TAKEN_IN]
    for path in [*paths, *sorted((ROOT / "examples").glob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))


def on_page_markdown(markdown, **_):
    """Turns `::: keras_xmap.<part>` into an entry for each public name."""
    return re.sub(r"^::: keras_xmap\.(\w+)$", entries, markdown, flags=re.M)


def entries(match):
    # A name is documented where it is defined: `ops.resize` the function
    # hides behind `ops/resize.py` the module for a reader of the source.
    part = match[1]
    path = ROOT / "keras_xmap" / part / "__init__.py"
    path = path if path.exists() else path.parent.with_suffix(".py")
    tree = ast.parse(path.read_text("utf-8"))
    homes, names = {}, []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            homes.update({alias.name: node.module for alias in node.names})
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            names = ast.literal_eval(node.value)
    entry = [f"::: {homes.get(n, f'keras_xmap.{part}')}.{n}" for n in names]
    return "\n\n".join([ast.get_docstring(tree) or "", *entry])
