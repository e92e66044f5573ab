"""How the metrics print."""

import keras

from keras_xmap._repr import as_call


def metric_repr(metric):
    """Returns the call that makes a metric, the arguments of its own first."""
    config = metric.get_config()
    name, _ = config.pop("name"), config.pop("dtype")
    arguments = {**config, "name": name}
    if metric.dtype != keras.config.floatx():
        arguments["dtype"] = metric.dtype
    return as_call(metric, **arguments)
