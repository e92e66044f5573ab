"""Builds the package; what it is stands in setup.cfg.

PyPI shows the README apart from the files that it links to.
"""

import configparser
import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def description():
    """Returns the README with links that lead to the repository."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    address = settings["metadata"]["url"]

    def whole(match):
        is_picture, words, path = match.groups()
        if "://" in path:
            return match[0]
        kind = "raw" if is_picture else "blob"
        return f"{is_picture}[{words}]({address}/{kind}/main/{path})"

    return _LINK.sub(whole, (ROOT / "README.md").read_text("utf-8"))


if __name__ == "__main__":
    setuptools.setup(
        long_description=description(),
        long_description_content_type="text/markdown",
    )
