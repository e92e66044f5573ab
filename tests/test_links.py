"""README.md is read on PyPI: links have to be whole, and lead somewhere."""

import configparser
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text):
    """Returns the anchors of the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in titles
    }


def test_links_of_the_readme_lead_to_files_of_the_repository():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    address = settings["metadata"]["url"]
    of_files = address.replace("github.com", "raw.githubusercontent.com")
    found = LINK.findall((ROOT / "README.md").read_text("utf-8"))
    assert len(found) > 10
    for link in found:
        path, _, anchor = link.partition("#")
        for start in (f"{address}/blob/main/", f"{address}/tree/main/"):
            path = path.removeprefix(start)
        path = path.removeprefix(f"{of_files}/main/")
        assert "://" not in path and link.startswith("https://"), link
        assert (ROOT / path).exists(), link
        if anchor:
            assert anchor in anchors((ROOT / path).read_text("utf-8")), link


def test_all_that_names_the_repository_names_one():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    address = settings["metadata"]["url"]
    urls = settings["metadata"]["project_urls"].split()[2::3]
    named = [
        *urls,
        *re.findall(r"^repo_url: (.+)$", read("mkdocs.yml"), re.MULTILINE),
        *re.findall(r"^repository-code: (.+)$", read("CITATION.cff"), re.M),
    ]
    assert len(named) == 5
    assert all(url.startswith(address) for url in named), named
    assert f'"{address}/blob/main/"' in read("docs/hooks.py")


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) < 150


def read(name):
    return (ROOT / name).read_text("utf-8")
