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
    "--virtual-time-budget=30000",
)
# Pages in frames as wide as a screen, and what is measured of each.
FRAMES = """<!doctype html>
{frames}
<pre id="found"></pre>
<script>
const frames = [...document.querySelectorAll("iframe")];
const measured = frame => {{
  const page = frame.contentDocument;
  const scrolls = box => box && (
    ["auto", "scroll"].includes(getComputedStyle(box).overflowX)
    || scrolls(box.parentElement));
  const cut = [...page.querySelectorAll("table")].filter(table =>
    table.scrollWidth > table.parentElement.clientWidth
    && !scrolls(table.parentElement));
  return {{
    width: frame.contentWindow.innerWidth,
    content: page.documentElement.scrollWidth,
    cut: cut.length,
    tables: page.querySelectorAll("table").length,
    images: page.images.length,
    broken: [...page.images].filter(x => !x.naturalWidth).length,
    code: page.querySelectorAll("pre").length,
  }};
}};
const loaded = frames.map(frame => new Promise(done => frame.onload = done));
Promise.all(loaded).then(() => {{
  document.getElementById("found").textContent = JSON.stringify(
    frames.map(measured));
}});
</script>
"""
FRAME = '<iframe width="{width}" height="800" src="{page}"></iframe>'
SITE = pathlib.Path(__file__).parents[2] / "build" / "site"

# The home page, guides, results, recipes, examples and the reference.
OF_EACH_KIND = (
    "",
    "explainers/",
    "localization/",
    "results/",
    "recipes/",
    "examples/",
    "examples/01_explain_a_classifier/",
    "examples/07_photos/",
    "reference/explainers/",
    "reference/ops/",
)

every_width = pytest.mark.parametrize("width", [1280, 390])
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium")


def looked_at(folder, pages, width):
    """Returns what a browser finds of pages of a folder, as dictionaries."""
    frames = [FRAME.format(width=width, page=page) for page in pages]
    text = FRAMES.format(frames="\n".join(frames))
    (folder / "frames.html").write_text(text)
    # On a busy machine its time may be up before all pages have come.
    for _ in range(3):
        said = _told(folder)
        if said:
            return json.loads(said)
    raise AssertionError("the browser has not looked at all pages")


def _told(folder):
    """Returns what the page of all frames says in the end, maybe nothing."""
    handler = functools.partial(_Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [
                BROWSER,
                *OPTIONS,
                f"--user-data-dir={folder / 'profile'}",
                "--dump-dom",
                f"http://127.0.0.1:{server.server_port}/frames.html",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        server.shutdown()
    assert "Uncaught" not in done.stderr, done.stderr
    (said,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    return html.unescape(said)


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
    (found,) = looked_at(tmp_path, [f"{name}.html"], width)
    assert found["width"] == width
    assert found["content"] <= width
    assert found["tables"] == 1
    assert found["images"] > 0
    assert found["cut"] == found["broken"] == 0


@in_a_browser
@every_width
@pytest.mark.skipif(not SITE.is_dir(), reason="`make docs` has not run")
def test_the_documentation_is_whole(width, tmp_path):
    shutil.copytree(SITE, tmp_path / "site")
    pages = [f"site/{page}" for page in OF_EACH_KIND]
    found = dict(zip(pages, looked_at(tmp_path, pages, width), strict=True))
    for page, of_page in found.items():
        assert of_page["content"] <= width, page
        assert of_page["cut"] == of_page["broken"] == 0, page
    of_the_guide = found["site/explainers/"]
    assert of_the_guide["images"] >= 20  # one a method
    assert found["site/results/"]["tables"] > 20
    assert found["site/examples/01_explain_a_classifier/"]["code"] > 10
