"""What is explained of a batch of photos, and what is said of each."""

import numpy as np
from keras import tree

from keras_xmap.cli._answer import answers_of


class Explanation:
    """Explains batches: of each photo the classes that are asked for.

    Args:
        method: `Method`.
        answers: `Answers` of its model.
        output: `ModelOutput`.
        class_names: `ClassNames`.
        target: What is asked, see `answers_of`.
        top_k: Integer or `None`, see `answers_of`.
    """

    def __init__(self, method, answers, output, class_names, target, top_k):
        self.method = method
        self._answers = answers
        self.output = output
        self._asked = (target, top_k, class_names)

    def of(self, data):
        """Returns for each photo a list of pairs: what is said, and the map."""
        rows = [
            answers_of(values, self._answers, self.output, *self._asked)
            for values in self._answers.of_images(data)
        ]
        chosen = [[index for index, _ in row] for row in rows]
        maps = self._maps(data, chosen)
        return [
            [(said, x) for (_, said), x in zip(row, found, strict=True)]
            for row, found in zip(rows, maps, strict=True)
        ]

    def _maps(self, data, chosen):
        """Returns for each photo the maps of what is chosen of it."""
        if self.output.is_map or not isinstance(chosen[0][0], int):
            ranks = range(len(chosen[0]))
            columns = [
                self._one_by_one(data, [row[rank] for row in chosen])
                for rank in ranks
            ]
            return list(zip(*columns, strict=True))
        index = np.array(chosen)
        if index.shape[1] == 1:
            maps = self.method.explain(data, self.output.target(index[:, 0]))
            return maps[:, np.newaxis]
        return self.method.explain(data, self.output.target(index))

    def _one_by_one(self, data, chosen):
        """Returns the map of each photo where a target is one for all."""
        maps = [None] * len(chosen)
        for index in dict.fromkeys(chosen):
            numbers = [n for n, other in enumerate(chosen) if other == index]
            part = tree.map_structure(lambda x, n=numbers: x[n], data)
            found = self.method.explain(part, self.output.target(index))
            for number, heatmap in zip(numbers, found, strict=True):
                maps[number] = heatmap
        return maps
