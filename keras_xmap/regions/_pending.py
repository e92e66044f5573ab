"""Regions that wait to be written, in the batches they are written in."""

from keras_xmap.regions._ids import is_unsigned


class Batch:
    """Regions of one round that become one shard.

    Once a flush has begun to write it, it has the name of its shard and
    takes no more: a flush that fails and is repeated writes the same file
    again, whatever became of the first one.
    """

    def __init__(self, round_id):
        self.round_id = round_id
        self.name = None
        self.entries = {}  # number of the image: [(class, record)]

    def __len__(self):
        return sum(map(len, self.entries.values()))


class Pending:
    """All batches that are not in shards yet."""

    def __init__(self):
        self._open = {}
        self._begun = []

    def __len__(self):
        return sum(map(len, self.batches()))

    def add(self, number, image_id, class_id, round_id, record):
        # A column holds signed ids or unsigned ones.
        key = round_id, is_unsigned(image_id)
        batch = self._open.setdefault(key, Batch(round_id))
        batch.entries.setdefault(number, []).append((class_id, record))

    def batches(self):
        """Returns all batches; those that a flush has begun come first."""
        return [*self._begun, *self._open.values()]

    def begin(self, make_name):
        """Closes the open batches, and returns all, each with its name."""
        for _, batch in sorted(self._open.items()):
            batch.name = make_name(batch.round_id)
            self._begun.append(batch)
        self._open = {}
        return list(self._begun)

    def remove(self, batch):
        """Drops a batch that is in a shard now."""
        self._begun.remove(batch)

    def discard(self, round_id):
        """Drops all batches of a round."""
        self._begun = [b for b in self._begun if b.round_id != round_id]
        self._open = {
            key: b for key, b in self._open.items() if b.round_id != round_id
        }

    def names(self, round_id=None):
        """Returns the names of shards (of a round) that a flush has begun."""
        return {
            batch.name
            for batch in self._begun
            if round_id in (None, batch.round_id)
        }

    def found(self, number):
        """Yields class, round and record of what waits of an image."""
        for batch in self.batches():
            for class_id, record in batch.entries.get(number, ()):
                yield class_id, batch.round_id, record
