"""Targets that are made of others."""

import abc

from keras import ops

from keras_xmap.targets.target import Target


class Combination(Target):
    """Base of sums and differences of targets."""

    @property
    @abc.abstractmethod
    def terms(self):
        """List of pairs: a factor, and the `Target` it multiplies."""

    @property
    def _told(self):
        """The terms, told how single units are read."""
        if self._units is None:
            return self.terms
        return [(f, target.for_units(self._units)) for f, target in self.terms]

    @property
    def parts(self):
        return {
            f"{number}.{name}": part
            for number, (_, target) in enumerate(self.terms)
            for name, part in target.parts.items()
        }

    @property
    def key(self):
        return (*super().key, *(target.key for _, target in self.terms))

    def is_single(self, parts):
        return all(
            target.is_single(_own(parts, number))
            for number, (_, target) in enumerate(self.terms)
        )

    def resolve(self, outputs, parts):
        return {
            f"{number}.{name}": part
            for number, (_, target) in enumerate(self._told)
            for name, part in target.resolve(
                outputs, _own(parts, number)
            ).items()
        }

    def is_of_places(self, outputs):
        return any(target.is_of_places(outputs) for _, target in self.terms)

    def scores(self, outputs, parts):
        scores = [
            factor * target.scores(outputs, _own(parts, number))
            for number, (factor, target) in enumerate(self._told)
        ]
        rank = max(len(x.shape) for x in scores)
        # One class beside several counts for each of them.
        return sum(
            x if len(x.shape) == rank else ops.expand_dims(x, -1)
            for x in scores
        )


class Sum(Combination):
    """The sum of one target per output."""

    def __init__(self, targets):
        super().__init__()
        self.targets = targets

    @property
    def terms(self):
        return [(1, target) for target in self.targets]


def _own(parts, number):
    prefix = f"{number}."
    return {
        name.removeprefix(prefix): part
        for name, part in parts.items()
        if name.startswith(prefix)
    }
