# Every target builds the environment it needs; nothing has to be activated.
# Another interpreter:  make test PYTHON=python3.12
# Words for pytest:     make test ARGS="tests/layers -k pooling"

PYTHON ?= python3
ARGS ?=
export KERAS_BACKEND := tensorflow
export TF_CPP_MIN_LOG_LEVEL ?= 2

# TensorFlow for a CPU has its own package, of which macOS has no wheels.
ifeq ($(shell uname -s),Darwin)
TENSORFLOW := tensorflow
EXTRA := tensorflow
else
TENSORFLOW := tensorflow-cpu
EXTRA := cpu
endif

# What stands in which environment: `<folder>.packages`.
.venv.packages := -e ".[$(EXTRA),plots,segmentation,test]"
.venv-min.packages := $(.venv.packages) "$(TENSORFLOW)==2.18.*" \
	"keras==3.10.*" "numpy==1.26.*" "pillow==10.1.*" "scikit-image==0.22.*" \
	"scipy==1.12.*" \
	"scikit-learn==1.4.*" "matplotlib==3.8.*" \
	"opencv-python-headless==4.11.*" "tf-keras-vis==0.8.7"
.venv-jax.packages := -e . jax pytest
.venv-lint.packages := "ruff==0.17.*"
.venv-bench.packages := -e ".[$(EXTRA),bench,plots,segmentation]"
.venv-docs.packages := -e ".[docs]"

# What runs on every Keras backend, and its tests.
NEUTRAL := tests/ops tests/layers tests/losses tests/models \
	tests/test_import.py tests/conformance/test_layers.py

.PHONY: demo test test-slow test-jax test-min lint format bench docs clean

demo: .venv/installed
	.venv/bin/keras-xmap demo --output build/demo

test: .venv/installed
	.venv/bin/python -m pytest -n 2 $(ARGS)

# pytest ends with 5 where no test is marked slow.
test-slow: .venv/installed
	.venv/bin/python -m pytest -m slow $(ARGS) || test $$? -eq 5

# No TensorFlow in this environment.
test-jax: .venv-jax/installed
	KERAS_BACKEND=jax .venv-jax/bin/python -m pytest $(NEUTRAL) \
		-m "not slow and not tensorflow" $(ARGS)

# The oldest versions that setup.cfg admits; needs Python 3.10 to 3.12.
test-min: .venv-min/installed
	.venv-min/bin/python -m pytest -n 2 $(ARGS)

lint: .venv-lint/installed
	.venv-lint/bin/ruff check
	.venv-lint/bin/ruff format --check

format: .venv-lint/installed
	.venv-lint/bin/ruff check --fix
	.venv-lint/bin/ruff format

# All of them: hours. Those on photos, which are no part of the project, run
# where KERAS_XMAP_BENCHMARK_DATA names a folder of them; the others say which
# were left out. In seconds: make bench ARGS=--smoke
bench: .venv-bench/installed
	.venv-bench/bin/python -m benchmarks $(ARGS)

docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .ruff_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

%/installed: setup.cfg pyproject.toml Makefile
	$(PYTHON) -m venv --clear $*
	$*/bin/python -m pip install --quiet --upgrade pip
	$*/bin/python -m pip install --quiet $($*.packages)
	touch $@
