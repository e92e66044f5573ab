"""What examples/04_adversarial_erasing.py prints, kept."""

import importlib.util

from benchmarks.common.results import ROOT

FILE = ROOT / "examples" / "04_adversarial_erasing.py"


def example(folder, arguments, save):
    spec = importlib.util.spec_from_file_location("example_04", FILE)
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    count, epochs = arguments.example_scenes, arguments.scene_epochs
    printed = page.show

    def note(name, found):
        figures = {key: round(float(x), 3) for key, x in found.items()}
        save("scenes", {name: {**figures, "n": count}})
        printed(name, found)

    page.show = note
    page.main(["--scenes", str(count), "--epochs", str(epochs)])
