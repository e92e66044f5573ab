"""A target together with the maps that are to explain it."""

import numpy as np

from keras_xmap import targets


class Asked(targets.Target):
    """What is asked of a model, and the maps that are judged by its answer.

    The maps go where the tensors of a target go: one for each image, cut into
    batches with the images and into the compiled step beside them.

    Args:
        target: The `Target`.
        maps: Array or tensor `(n, ...)`, or `None` for none.
    """

    def __init__(self, target, maps):
        super().__init__(target.output)
        self.target = target
        self.maps = maps

    def __repr__(self):
        return repr(self.target)

    @property
    def parts(self):
        return {"maps": self.maps, "target": self.target.parts}

    @property
    def key(self):
        return (type(self), self.target.key)

    def scores(self, outputs, parts):
        return self.target.scores(outputs, parts["target"])

    def for_labels(self, labels):
        of_labels = self.target.for_labels(labels)
        return self if of_labels is self.target else Asked(of_labels, self.maps)

    def slice(self, start, stop):
        maps = None if self.maps is None else self.maps[start:stop]
        return {"maps": maps, "target": self.target.slice(start, stop)}

    def check_length(self, num_images):
        if self.maps is not None and len(self.maps) != num_images:
            raise ValueError(
                "`maps` must hold one map for each image. Received: "
                f"maps.shape={tuple(np.shape(self.maps))} for {num_images} "
                "images."
            )
        self.target.check_length(num_images)

    def release(self):
        """Forgets the arrays, which the first compiled step would keep."""
        self.maps = None
