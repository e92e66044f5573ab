# Every target builds the environment it needs; nothing has to be activated.
# Another interpreter:  make test PYTHON=python3.12
# Words for pytest:     make test ARGS="tests/layers -k pooling"

PYTHON ?= python3
ARGS ?=
# What pip is asked for; with an index that has builds for CPUs, one of those.
TORCH ?= torch==2.13.0
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

# Two workers with neighbouring tests each, so that what a file shares is made
# once, and the one that ends first takes from the other.
SPREAD := -n 2 --dist worksteal

# What stands in which environment: `<folder>.packages`, and what is installed
# after them: `<folder>.last`.
.venv.packages := -e ".[$(EXTRA),plots,segmentation,test]"
.venv-min.packages := $(.venv.packages) "$(TENSORFLOW)==2.18.*" \
	"keras==3.10.*" "numpy==1.26.*" "pillow==10.1.*" "scikit-image==0.22.*" \
	"scipy==1.12.*" "scikit-learn==1.4.*" "matplotlib==3.8.*" \
	"opencv-python-headless==4.11.*" "tf-keras-vis==0.8.7"
# keras-nightly fills the same folder as keras, which our own metadata asks
# for, so that it has to come last.
.venv-next.packages := -e ".[plots,segmentation,test]" \
	"$(TENSORFLOW)>=2.18rc0" "keras-nightly>=3.10.dev0"
.venv-next.last := --force-reinstall --no-deps "keras-nightly>=3.10.dev0"
.venv-jax.packages := -e ".[plots,segmentation]" pytest "pytest-xdist>=3.5" jax
.venv-torch.packages := -e ".[plots,segmentation]" pytest "pytest-xdist>=3.5"
.venv-torch.last := $(TORCH)
.venv-lint.packages := "mypy==2.4.*" "ruff==0.17.*"
.venv-bench.packages := -e ".[$(EXTRA),bench,plots,segmentation]"
.venv-docs.packages := -e ".[docs]"

# What XLA compiles quickest for a CPU; a release that does not know it aborts.
PLAIN_FUSION := --xla_cpu_use_fusion_emitters=false

# The tests of what runs on every Keras backend: on its tensors, and on arrays
# and files, where one backend other than TensorFlow stands for all.
ON_TENSORS := tests/layers tests/losses tests/metrics tests/models tests/ops \
	tests/targets/test_scores_on_arrays.py tests/conformance/test_layers.py \
	tests/conformance/test_models.py tests/engine/test_contract.py \
	tests/test_fillings.py tests/test_import.py \
	tests/test_loading.py
ON_ARRAYS := tests/datasets tests/regions tests/segmentation \
	tests/visualization tests/test_files.py

# What differs by the version of Keras and TensorFlow: how they keep models,
# run steps and write files. Formulas are left out but for vectors from
# elsewhere; of the conformance grid of explainers, two stand for all: one that
# looks at layers and one that looks at the input.
BY_FRAMEWORK := tests/callbacks tests/conformance tests/distribution \
	tests/engine tests/erasing tests/models tests/test_import.py \
	tests/test_loading.py tests/explainers/test_captum_vectors.py \
	tests/explainers/test_tf_keras_vis.py tests/weak_segmentation
# Where a new Keras or TensorFlow breaks first: how a model is called, traced
# and trained, and how files are read.
AHEAD := tests/distribution tests/engine tests/test_import.py \
	tests/test_loading.py
# What differs by the version of other libraries.
BY_LIBRARY := tests/cli tests/datasets tests/regions tests/segmentation \
	tests/test_files.py tests/visualization \
	$(addprefix tests/metrics/,test_localization_metric.py \
		test_map_similarity.py test_max_box_accuracy.py test_model_metrics.py \
		test_parameter_randomization.py)

.PHONY: demo examples test test-slow test-sweep test-jax test-torch test-min test-next \
	lint format bench docs environments clean

demo: .venv/installed
	.venv/bin/keras-xmap demo --directory build/demo --force

test: .venv/installed
	.venv/bin/python -m pytest $(SPREAD) $(ARGS)

# pytest ends with 5 where no test is marked so.
test-slow: export KERAS_XMAP_OPTIMIZED_GRAPHS := 1
test-slow: .venv/installed
	.venv/bin/python -m pytest $(SPREAD) -m "slow and not sweep" $(ARGS) \
		|| test $$? -eq 5

# Every public name on hostile values, every architecture that users bring, the
# longest benchmarks, more kills of workers.
# The classifiers of keras-hub are among them where it is installed.
test-sweep: .venv/installed
	.venv/bin/python -m pytest $(SPREAD) -m sweep $(ARGS)

# No TensorFlow in these environments. What JAX compiles here runs once or
# twice, so that compiling quickly beats running quickly; what one test or
# worker has compiled, the others read.
test-jax: export JAX_DISABLE_MOST_OPTIMIZATIONS := 1
test-jax: export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/.venv-jax/compiled
test-jax: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0
test-jax: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES := -1
test-jax: export XLA_FLAGS = $(shell XLA_FLAGS=$(PLAIN_FUSION) \
	.venv-jax/bin/python -c "import jax; jax.numpy.zeros(1)" 2>/dev/null \
	&& echo $(PLAIN_FUSION))
test-jax: NEUTRAL := $(ON_TENSORS)
test-torch: NEUTRAL := $(ON_TENSORS) $(ON_ARRAYS)
test-jax test-torch: test-%: .venv-%/installed
	KERAS_BACKEND=$* .venv-$*/bin/python -m pytest $(SPREAD) $(NEUTRAL) \
		-m "not slow and not tensorflow" $(ARGS)

# The oldest versions that setup.cfg admits; needs Python 3.10 to 3.12.
test-min: .venv-min/installed
	.venv-min/bin/python -m pytest $(SPREAD) $(BY_FRAMEWORK) $(BY_LIBRARY) \
		-m "not slow or traces and not sweep" \
		-k "not test_explainers or (GradCAM or Saliency) \
			and not (PlusPlus or Guided or Distinct)" $(ARGS)

# The newest pre-releases of TensorFlow and Keras.
test-next: .venv-next/installed
	.venv-next/bin/python -c "import keras, tensorflow; \
		print('TensorFlow', tensorflow.__version__, 'Keras', keras.__version__)"
	.venv-next/bin/python -m pytest $(SPREAD) $(AHEAD) -m "not slow or traces" \
		$(ARGS)

lint: .venv-lint/installed
	.venv-lint/bin/ruff check
	.venv-lint/bin/ruff format --check
	.venv-lint/bin/mypy

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

# What the pages of the examples show: runs those that have changed since, a few
# minutes each. One of them: make examples ARGS=01
examples: .venv/installed
	.venv/bin/python -m docs.rendering $(ARGS)

# All that `test` and the checks beside it need, side by side with `make -j`.
environments: .venv/installed .venv-lint/installed .venv-docs/installed \
	.venv-jax/installed .venv-torch/installed

clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .ruff_cache \
		.mypy_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

%/installed: setup.cfg pyproject.toml Makefile
	$(PYTHON) -m venv --clear $*
	$*/bin/python -m pip install --quiet --upgrade pip
	$*/bin/python -m pip install --quiet $($*.packages)
	$(if $($*.last),$*/bin/python -m pip install --quiet $($*.last))
	touch $@
