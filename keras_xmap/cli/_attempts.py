"""Explains batches of photos of which some may be what fails."""

from keras_xmap.cli._photo_batches import joined


class Attempts:
    """Explains batches, and keeps what went wrong.

    Where a batch fails, each of its photos is tried alone. Where all of them
    fail for one reason, photos of these sizes are not tried again.

    Args:
        explanation: `Explanation`.

    Attributes:
        errors: Dictionary of errors by the path of the photo.
    """

    def __init__(self, explanation):
        self.errors = {}
        self._explanation = explanation
        self._hopeless = {}

    def of(self, samples):
        """Yields each sample of a batch, and what is found of it."""
        sizes = str(samples[0].sizes)
        if sizes in self._hopeless:
            error = self._hopeless[sizes]
            self.errors.update({x.file.path: error for x in samples})
            return
        try:
            found = self._explanation.of(joined(samples))
        except Exception as error:
            # Of a size that the model does not take, each backend has its own.
            if len(samples) == 1:
                self.errors[samples[0].file.path] = error
                return
            for sample in samples:
                yield from self.of([sample])
            self._give_up(sizes, samples)
            return
        yield from zip(samples, found, strict=True)

    def _give_up(self, sizes, samples):
        """Remembers the error that all photos of a batch have in common."""
        found = [self.errors.get(sample.file.path) for sample in samples]
        if None not in found and len(set(map(str, found))) == 1:
            self._hopeless[sizes] = found[0]
