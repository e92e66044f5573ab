"""Links of README.md lead somewhere, here and on PyPI."""

import configparser
import importlib.util
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text):
    """Returns the anchors of the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in titles
    }


def test_links_of_the_readme_lead_to_files_of_the_repository():
    found = LINK.findall(read("README.md"))
    assert len(found) > 10
    for link in found:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        if anchor:
            assert anchor in anchors(read(path)), link


def test_on_pypi_they_are_whole():
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    whole = LINK.findall(setup.description())
    pictures = PICTURE.findall(read("README.md"))
    for link, path in zip(whole, LINK.findall(read("README.md")), strict=True):
        kind = "raw" if path in pictures else "blob"
        assert link == f"{address()}/{kind}/main/{path}"


def test_all_that_names_the_repository_names_one():
    urls = metadata()["project_urls"].split()[2::3]
    named = [
        *urls,
        *re.findall(r"^repo_url: (.+)$", read("mkdocs.yml"), re.MULTILINE),
        *re.findall(r"^repository-code: (.+)$", read("CITATION.cff"), re.M),
    ]
    assert len(named) == 5
    assert all(url.startswith(address()) for url in named), named


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) < 150


def address():
    return metadata()["url"]


def metadata():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings["metadata"]


def read(name):
    return (ROOT / name).read_text("utf-8")
