"""The pages, as a browser lays them out on a desk and on a telephone."""

import functools
import html
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import threading

import keras
import numpy as np
import pytest

import keras_xmap

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))),
    None,
)
# A page asks nothing of the network, and a browser that tries is slow.
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
)
# The page in a frame as wide as a screen, and what is measured of it.
FRAME = """<!doctype html>
<iframe id="page" width="{width}" height="800" src="{page}"></iframe>
<pre id="found"></pre>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const page = frame.contentDocument;
  const scrolls = box => box && (
    ["auto", "scroll"].includes(getComputedStyle(box).overflowX)
    || scrolls(box.parentElement));
  const cut = [...page.querySelectorAll("table")].filter(table =>
    table.scrollWidth > table.parentElement.clientWidth
    && !scrolls(table.parentElement));
  document.getElementById("found").textContent = JSON.stringify({{
    width: frame.contentWindow.innerWidth,
    content: page.documentElement.scrollWidth,
    cut: cut.length,
    tables: page.querySelectorAll("table").length,
    images: page.images.length,
    broken: [...page.images].filter(x => !x.naturalWidth).length,
  }});
}};
</script>
"""
SITE = pathlib.Path(__file__).parents[2] / "build" / "site"

every_width = pytest.mark.parametrize("width", [1280, 390])
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium")


def looked_at(folder, page, width):
    """Returns what a browser finds of a page of a folder, as a dictionary."""
    text = FRAME.format(width=width, page=page)
    (folder / "frame.html").write_text(text)
    handler = functools.partial(_Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [
                BROWSER,
                *OPTIONS,
                f"--user-data-dir={folder / 'profile'}",
                "--dump-dom",
                f"http://127.0.0.1:{server.server_port}/frame.html",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        server.shutdown()
    assert "Uncaught" not in done.stderr, done.stderr
    (said,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    return json.loads(html.unescape(said))


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def pages():
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    images = np.random.default_rng(0).uniform(size=(10, 16, 16, 3))
    methods = ["GradCAM", "Saliency", "CAM"]
    compared = keras_xmap.compare(model, images, methods, verbose=0)
    report = keras_xmap.report(
        keras_xmap.explainers.GradCAM(model), images, 1, verbose=0
    )
    return {"compare": compared.to_html(), "report": report.to_html()}


@in_a_browser
@every_width
@pytest.mark.parametrize("name", ["compare", "report"])
def test_nothing_is_cut_and_all_pictures_are_there(
    pages, name, width, tmp_path
):
    (tmp_path / f"{name}.html").write_text(pages[name], "utf-8")
    found = looked_at(tmp_path, f"{name}.html", width)
    assert found["width"] == width
    assert found["content"] <= width
    assert found["tables"] == 1
    assert found["images"] > 0
    assert found["cut"] == found["broken"] == 0


@in_a_browser
@every_width
@pytest.mark.skipif(not SITE.is_dir(), reason="`make docs` has not run")
@pytest.mark.parametrize("page", ["", "explainers/", "localization/"])
def test_the_documentation_is_whole(page, width, tmp_path):
    shutil.copytree(SITE, tmp_path / "site")
    found = looked_at(tmp_path, f"site/{page}", width)
    assert found["content"] <= width
    assert found["cut"] == found["broken"] == 0
