"""What the parts that work on arrays load, beyond what Keras itself does.

Keras imports matplotlib, SciPy, scikit-learn and OpenCV where it finds them;
scikit-image alone takes longer than all of these folders.
"""

import subprocess
import sys

CODE = """
import importlib, sys
import keras
expensive = {"PIL", "cv2", "matplotlib", "scipy", "skimage", "sklearn"}
frameworks = {"tensorflow", "jax", "torch"}
for folder in sys.argv[1:]:
    before = set(sys.modules)
    importlib.import_module(f"keras_xmap.{folder}")
    added = {name.partition(".")[0] for name in set(sys.modules) - before}
    print(folder, *sorted(added & (expensive | frameworks)))
"""
FOLDERS = ["ops", "segmentation", "visualization", "datasets", "metrics", "cli"]


def test_importing_a_folder_loads_nothing_expensive():
    result = subprocess.run(
        [sys.executable, "-c", CODE, *FOLDERS],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split("\n")[:-1] == FOLDERS
