"""What the documentation says in figures, measured: one folder a question.

    python -m benchmarks.localization --smoke

`common/` holds what several of them use, `results.json` in a folder what was
found, and `tables.py` there how the tables of the documentation are made of
it. `--smoke` takes seconds and keeps nothing.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
