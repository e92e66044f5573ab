"""What every test starts from: a backend, two CPU devices, a fixed seed."""

import gc
import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
ON_TENSORFLOW = BACKEND == "tensorflow"
ON_JAX = BACKEND == "jax"


def pytest_configure(config):
    """Sets TensorFlow up where tests run, not where they are only dealt out."""
    deals_out = getattr(config.option, "numprocesses", None)
    if ON_TENSORFLOW and (hasattr(config, "workerinput") or not deals_out):
        _set_tensorflow_up()


def _set_tensorflow_up():
    import tensorflow as tf

    # Before anything touches a device; collectives block one thread each.
    tf.config.threading.set_inter_op_parallelism_threads(4)
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    # What is traced here runs once or twice, so that making it quickly beats
    # running it quickly; `make test-slow` runs graphs as users do.
    if not os.environ.get("KERAS_XMAP_OPTIMIZED_GRAPHS"):
        tf.config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": True}
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if "strategy" in getattr(item, "fixturenames", ()):
            item.add_marker("tensorflow")
        if ON_JAX and item.get_closest_marker("sizes"):
            item.add_marker("slow")
        if ON_TENSORFLOW and item.get_closest_marker("traces"):
            item.add_marker("slow")
    if ON_TENSORFLOW:
        return
    kept, left_out = [], []
    for item in items:
        needs_it = item.get_closest_marker("tensorflow")
        (left_out if needs_it else kept).append(item)
    # Counted in the summary line, unlike a skip that nobody reads.
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def pytest_collection_finish():
    """Spares all collections of garbage what the imports have made."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_keras():
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(scope="session")
def strategy():
    """The one strategy of the session: two replicas on one CPU."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.HierarchicalCopyAllReduce(),
    )


def pytest_terminal_summary(terminalreporter):
    """Prints the figures that tests measure and hold to no limit."""
    figures = [
        f"{name}: {value}"
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
    ]
    if figures:
        terminalreporter.section("measured")
        for figure in figures:
            terminalreporter.write_line(figure)
