"""The fewest tensors of some by which all comes that a score is made of."""

import collections

from keras_xmap.engine.tensorflow import _ways as ways


def fewest(score, tensors, sources):
    """Returns the fewest of `tensors` that all ways pass, nearest to `score`.

    By the theorem of Menger they are as many as there are ways of which no
    two share one of `tensors`; such ways are found one after another, each of
    which may lead some way back on those before it.

    Args:
        score: Tensor.
        tensors: List of tensors that together are passed by all ways.
        sources: List of tensors, where ways begin.

    Returns:
        Set of references.
    """
    before = ways.predecessors(score, sources)
    network = _Network(before, {x.ref() for x in tensors})
    ends = [(x.ref(), _BEFORE) for x in sources]
    # One way more than there are narrow places passes none of them.
    for _ in range(len(network.narrow) + 1):
        came_by = network.search((score.ref(), _BEHIND))
        end = next((x for x in ends if x in came_by), None)
        if end is None:
            return {
                x
                for x in network.narrow
                if (x, _BEHIND) in came_by and (x, _BEFORE) not in came_by
            }
        network.take(came_by, end)
    raise AssertionError("a way passes none of the tensors")


# Each tensor is two places: behind it, toward the score, and before it.
_BEHIND, _BEFORE = 0, 1


class _Network:
    """Ways back from a score; each of the narrow places carries one of them.

    Args:
        before: Dict of lists: what each tensor is computed from.
        narrow: Set of references.
    """

    def __init__(self, before, narrow):
        self.narrow = narrow & before.keys()
        self._before = before
        self._behind = collections.defaultdict(list)
        for reference, sources in before.items():
            for source in sources:
                self._behind[source].append(reference)
        # How many ways lead from one place to another.
        self._taken = collections.Counter()

    def search(self, start):
        """Returns for each place that can be reached the one before it."""
        came_by, waiting = {start: None}, collections.deque([start])
        while waiting:
            place = waiting.popleft()
            for following in self._followers(place):
                if following not in came_by:
                    came_by[following] = place
                    waiting.append(following)
        return came_by

    def take(self, came_by, place):
        """Lays a way to `place`, taking back what it leads against."""
        while came_by[place] is not None:
            last, place = place, came_by[place]
            if self._taken[last, place]:
                self._taken[last, place] -= 1
            else:
                self._taken[place, last] += 1

    def _followers(self, place):
        reference, side = place
        if side == _BEHIND:
            through = (reference, _BEFORE)
            is_full = self._taken[place, through]
            if reference not in self.narrow or not is_full:
                yield through
            back = [(x, _BEFORE) for x in self._behind[reference]]
        else:
            for source in self._before[reference]:
                yield (source, _BEHIND)
            back = [(reference, _BEHIND)]
        for other in back:
            if self._taken[other, place]:
                yield other
