"""An optimizer that starts anew, while its learning rate goes on.

What Adam and its kin keep of past gradients is wrong where the loss becomes
another one: weights that had no gradient yet have nothing kept, and a count of
steps that says otherwise, so that the first steps are several times too long;
those whose gradients had become small take far too long steps as well.
"""

import contextlib

import keras
from keras import ops

from keras_xmap._saving import registered


@registered
class LaterSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of which the first steps are over.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule`.
        start: Integer >= 0, the step of it that is the first one here.
    """

    def __init__(self, schedule, start):
        super().__init__()
        self.schedule, self.start = schedule, start

    def __call__(self, step):
        return self.schedule(step + self.start)

    def get_config(self):
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "start": self.start}

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["start"])


def start_anew(model):
    """Sets all that the optimizer keeps to what it was before any step.

    Its learning rate stays: the number as it is, and of a schedule the step;
    see `go_on_from`. In a model of mixed precision the scale of the loss stays
    as well.

    Returns:
        Integer, the number of steps that were taken.
    """
    optimizer = _inner(model.optimizer)
    if not optimizer.built:
        return 0
    steps = int(ops.convert_to_numpy(optimizer.iterations))
    # What is kept starts at other numbers than 0 in some of them.
    with _scope(model):
        fresh = fresh_copy(optimizer)
        fresh.build(model.trainable_variables)
    pairs = zip(_kept(optimizer), _kept(fresh), strict=True)
    for variable, first in pairs:
        variable.assign(first)
    return steps


def fresh_copy(optimizer):
    """Returns one of the same kind, of another learning rate.

    Raises:
        NotImplementedError: If a part of it has no `get_config`.
    """
    optimizer = _inner(optimizer)
    config = {**optimizer.get_config(), "learning_rate": 1e-3}
    return type(optimizer).from_config(config)


def go_on_from(model, start):
    """Lets a schedule of the learning rate go on, `start` steps ahead."""
    optimizer = _inner(model.optimizer)
    schedule = optimizer._learning_rate
    is_schedule = isinstance(
        schedule, keras.optimizers.schedules.LearningRateSchedule
    )
    if start and is_schedule and type(schedule) is not LaterSchedule:
        optimizer.learning_rate = LaterSchedule(schedule, start)


def has_begun(model):
    """Whether the optimizer has taken a step since it started."""
    return int(ops.convert_to_numpy(_inner(model.optimizer).iterations)) > 0


def _inner(optimizer):
    return getattr(optimizer, "inner_optimizer", optimizer)


def _kept(optimizer):
    return [v for v in optimizer.variables if v.name != "learning_rate"]


def _scope(model):
    """Where variables of TensorFlow are made, for all replicas at once."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy else contextlib.nullcontext()
