"""A model as it was before training, for every round of erasing."""

import contextlib
import random

import keras
import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap.erasing._seen_images import checksum_of


class Restart:
    """Brings weights, random states and optimizer of a model to a start.

    Args:
        model: Compiled and built `keras.Model`.
        how: `"new"`, `"start"` or a function, as `check_reset` returns it.
        seed: Integer, of the numbers that `"new"` draws.
    """

    def __init__(self, model, how, seed):
        if not model.built:
            raise ValueError(
                "The model must be built before `fit`, so that its start is "
                f"known. Received: model {model.name!r} without weights. Call "
                "it on a batch first."
            )
        self.model = model
        self.how = how
        self.seed = seed
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
        self._variables = _without(model.variables, model.metrics_variables)
        self._optimizer = list(model.optimizer.variables)
        self._seeds = _without(self._variables, model.weights)
        self._start = None

    def values(self):
        """Returns all values, of the model and then of its optimizer."""
        return [v.numpy() for v in (*self._variables, *self._optimizer)]

    def checksum(self):
        """Returns that of weights and steps, as a backup holds them.

        Other callbacks may change the rest of an optimizer between epochs.
        """
        steps = self.model.optimizer.iterations
        with self.model.distribute_strategy.scope():
            return checksum_of(
                [v.numpy() for v in (*self.model.weights, steps)]
            )

    def has_trained(self):
        """Returns whether the optimizer has taken steps since the start."""
        steps = self.model.optimizer.iterations
        count = len(self._variables)
        return any(
            variable is steps and int(variable.numpy()) != int(old)
            for variable, old in zip(
                self._optimizer, self._start[count:], strict=True
            )
        )

    def keep(self, values):
        """Takes `values`, as `values` returned them, for the start."""
        self._start = values

    def check(self):
        """Raises if a later round could not begin, before the first trains."""
        if self.how != "start":
            self._fresh(2)

    def begin(self, round_id):
        """Brings the model to the start of a round, from 1."""
        count = len(self._variables)
        values = list(self._start[:count])
        if round_id > 1 and self.how != "start":
            fresh = self._fresh(round_id)
            frozen = frozen_variables(self.model)
            values = [
                old if id(variable) in frozen else new
                for variable, old, new in zip(
                    self._variables, values, fresh, strict=True
                )
            ]
        with self.model.distribute_strategy.scope():
            for variable, value in zip(self._variables, values, strict=True):
                variable.assign(value)
            for variable, value in zip(
                self._optimizer, self._start[count:], strict=True
            ):
                variable.assign(value)

    def begin_epoch(self, round_id, epoch):
        """Draws the random states of layers anew for an epoch of a round.

        A backup of weights does not hold them; so an epoch that is run again
        draws the same.
        """
        with self.model.distribute_strategy.scope():
            set_random_states(self._seeds, f"{self.seed} {round_id} {epoch}")

    def align_replicas(self):
        """Gives all replicas of this process what its first one holds.

        Statistics that each gathers for itself, as batch normalization does
        unless it is synchronized, would make their maps differ.
        """
        strategy = self.model.distribute_strategy
        if strategy.num_replicas_in_sync > 1:
            with strategy.scope():
                for variable in self._variables:
                    if not variable.trainable:
                        variable.assign(variable.numpy())

    def _fresh(self, round_id):
        with seeded(f"{self.seed} {round_id}"), keras.device("cpu:0"):
            model = self._make()
            values = [
                v.numpy()
                for v in _without(model.variables, model.metrics_variables)
            ]
        expected = [tuple(v.shape) for v in self._variables]
        received = [np.shape(value) for value in values]
        if expected != received:
            raise ValueError(
                "A new model must have the weights of the one that trains. "
                f"Received: shapes {received}, expected {expected}."
            )
        return values

    def _make(self):
        if callable(self.how):
            return self._new(self.how())
        compiled = self.model.compiled
        try:
            # Else the clone is compiled too, from a config that may not hold
            # the user's own losses and metrics.
            self.model.compiled = False
            return keras.models.clone_model(self.model)
        except (ValueError, NotImplementedError, TypeError) as error:
            raise ValueError(
                "This model cannot be made anew from its config. Received: "
                f'reset="new" for {type(self.model).__name__}. Give a function '
                'that returns a new model, or reset="start".'
            ) from error
        finally:
            self.model.compiled = compiled

    def _new(self, made):
        """Returns what a function has made, which must be a new model."""
        if not isinstance(made, keras.Model):
            raise TypeError(
                "`reset` must be a function that returns a keras.Model. "
                f"Received: {made!r} from {self.how!r}."
            )
        if have_weights_in_common(made, self.model):
            raise ValueError(
                "`reset` must return a new model. Received: one with weights "
                f"of the model that trains, from {self.how!r}. Make one in the "
                'function, or give reset="start".'
            )
        return made


def have_weights_in_common(model, other):
    """Returns whether two models hold a variable that is the same."""
    ids = {id(variable) for variable in model.variables}
    return any(id(variable) in ids for variable in other.variables)


def check_reset(how):
    """Returns `how`, which must be known or a function."""
    if callable(how):
        return how
    return check_one_of(
        "reset", how, ("new", "start"), "Or give a function that makes a model."
    )


def frozen_variables(layer):
    """Returns the ids of the variables of layers that do not train."""
    if not layer.trainable:
        return {id(variable) for variable in layer.variables}
    found = set()
    for inner in getattr(layer, "layers", ()):
        found |= frozen_variables(inner)
    return found


def random_states(layer):
    """Returns the variables of a layer that `SeedGenerator`s count in."""
    weights = {id(variable) for variable in layer.weights}
    return [v for v in layer.variables if id(v) not in weights]


def set_random_states(variables, key):
    """Gives random states values that hang on the text `key` alone."""
    draw = random.Random(key)
    for variable in variables:
        variable.assign([draw.randrange(2**31) for _ in variable.numpy()])


@contextlib.contextmanager
def seeded(key):
    """Makes Keras draw the seeds of initializers from `key`, for a while."""
    state = random.getstate()
    random.seed(key)
    try:
        yield
    finally:
        random.setstate(state)


def _without(variables, others):
    others = {id(variable) for variable in others}
    return [v for v in variables if id(v) not in others]
