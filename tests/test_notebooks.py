"""Examples as notebooks, and the package in a real Jupyter kernel."""

import base64
import io
import re

import pytest
from test_examples import BY_ITSELF
from test_examples import FLOORS
from test_examples import SWEPT

pytest.importorskip("ipykernel", reason="needs ipykernel")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
nbformat = pytest.importorskip("nbformat", reason="needs nbformat")

from PIL import Image  # noqa: E402

from docs.rendering.example import ROOT  # noqa: E402
from docs.rendering.example import read_example  # noqa: E402
from docs.rendering.notebook import environment  # noqa: E402
from docs.rendering.notebook import notebook_of  # noqa: E402

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

CELLS = [
    """\
import keras
import numpy as np
from PIL import Image

import keras_xmap

keras.utils.set_random_seed(0)
inputs = keras.Input((16, 16, 3))
x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
x = keras.layers.GlobalAveragePooling2D()(x)
# Every filter speaks for both classes, so that no map is empty.
answer = keras.layers.Dense(2, "softmax", kernel_initializer="ones")
model = keras.Model(inputs, answer(x))
images = np.random.default_rng(0).uniform(size=(6, 16, 16, 3))
grad_cam = keras_xmap.explainers.GradCAM(model)
grad_cam""",
    "maps = grad_cam.explain(images, target=1, batch_size=2)\nmaps.shape",
    "Image.fromarray(keras_xmap.visualization.overlay(images[0], maps[0]))",
    "axes = keras_xmap.visualization.show(images[:2], maps[:2])",
    "compared = keras_xmap.compare(\n"
    '    model, images, ["GradCAM"], metrics=["sanity"], verbose=0\n'
    ")\ncompared",
    "grad_cam.explain(images, target=2)",
]


class Kernel:
    """One kernel for all notebooks, emptied between them."""

    def __init__(self, folder):
        self.client = nbclient.NotebookClient(
            nbformat.v4.new_notebook(),
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )

    def run(self, cells, allow_errors=False):
        """Runs cells of code and returns their outputs."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(x) for x in cells]
        )
        self.client.nb, self.client.allow_errors = notebook, allow_errors
        for number, cell in enumerate(notebook.cells):
            self.client.execute_cell(cell, number)
        return [cell.outputs for cell in notebook.cells]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("notebooks"))
    with kernel.client.setup_kernel(env=environment()):
        yield kernel


@pytest.fixture(scope="module")
def outputs(kernel):
    return kernel.run(CELLS, allow_errors=True)


def texts(outputs):
    """Returns what cells print and return."""
    return "".join(
        x.get("text", "") or x.get("data", {}).get("text/plain", "")
        for x in outputs
        if x.get("name") != "stderr"
    )


def complaints(outputs):
    """Returns what stands on stderr, but for the log of TensorFlow's C++."""
    lines = "".join(
        x.text for x in outputs if x.get("name") == "stderr"
    ).splitlines()
    logs = re.compile(r"[IWE]\d{4} |WARNING: All log messages before absl")
    return [line for line in lines if line and not logs.match(line)]


def pictures(outputs):
    data = [x.get("data", {}).get("image/png") for x in outputs]
    return [Image.open(io.BytesIO(base64.b64decode(x))) for x in data if x]


def test_an_explainer_is_shown_as_the_call_that_makes_it(outputs):
    assert texts(outputs[0]).startswith("GradCAM(")


def test_explaining_shows_a_bar_of_progress_and_nothing_else(outputs):
    said = texts(outputs[1])
    assert "3/3" in said
    assert said.endswith("(6, 16, 16)")
    assert complaints(outputs[1]) == []


def test_pictures_are_shown(outputs):
    (overlay,) = pictures(outputs[2])
    assert overlay.size == (16, 16)
    # `show` draws one figure, once, of two images and their maps.
    (figure,) = pictures(outputs[3])
    assert min(figure.size) > 200
    assert len({colour for _, colour in figure.getcolors(10**6)}) > 50


def test_a_comparison_is_shown_as_a_table(outputs):
    (shown,) = [x for x in outputs[4] if x.output_type == "execute_result"]
    assert shown.data["text/markdown"].startswith("| rank | method |")
    assert "<Comparison of" in shown.data["text/plain"]


def test_a_refusal_is_one_error(outputs):
    (error,) = [x for x in outputs[5] if x.output_type == "error"]
    assert error.ename == "ValueError"
    assert "`target` must be a class of the model" in error.evalue


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.sweep] * (name in SWEPT))
        for name in FLOORS
        if name not in BY_ITSELF
    ],
)
def test_an_example_reaches_its_floor_as_a_notebook(kernel, name):
    example = read_example(ROOT / "examples" / name, small=True)
    notebook = notebook_of(example)
    sources = [x.source for x in notebook.cells if x.cell_type == "code"]
    found = kernel.run(["%reset -f", *sources, "keras.utils.clear_session()"])
    (result,) = [x for x in found[-2] if x.output_type == "execute_result"]
    assert float(result.data["text/plain"]) >= FLOORS[name]
    drawn = [picture for left in found for picture in pictures(left)]
    assert bool(drawn) == any("Image.open" in source for source in sources)
