"""The score as pixels are hidden or shown, the most important ones first."""

import abc

from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_positive_integer
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import filling_of_input
from keras_xmap._typing import Structure
from keras_xmap.metrics._made_for_one import on_host
from keras_xmap.metrics._model_metric import ModelMetric
from keras_xmap.metrics._model_metric import beside
from keras_xmap.metrics._model_metric import product
from keras_xmap.metrics._pixel_order import ranks
from keras_xmap.metrics.curves import Curves


class PixelCurve(ModelMetric):
    """Area under the score of an image, some pixels of which are hidden.

    A subclass says which copies there are, `_answers`.

    Args:
        model: See `ModelMetric`.
        num_steps: Integer >= 1: forward passes from one end to the other.
        baseline: What hidden pixels become.
        input_name: See `ModelMetric`.
        score: See `ModelMetric`.
        batch_size: See `ModelMetric`.
        name: See `ModelMetric`.
        dtype: See `ModelMetric`.
    """

    def __init__(
        self,
        model,
        num_steps,
        baseline,
        input_name,
        score,
        batch_size,
        name,
        dtype,
    ):
        super().__init__(model, input_name, score, batch_size, name, dtype)
        self.num_steps = check_positive_integer("num_steps", num_steps)
        self.baseline = check_filling("baseline", baseline)

    def curves(
        self, inputs: Structure, maps: Structure, target: object = None
    ) -> Curves:
        """Returns the scores whose area is measured.

        Args:
            inputs: See `image_scores`.
            maps: See `image_scores`.
            target: See `image_scores`.

        Returns:
            `Curves` of `shares` `(points,)` and `scores` `(batch, points)`,
            with `num_steps + 1` points, both ends among them, or fewer where
            there are fewer pixels.
        """
        answers, num_positions = self._answered(inputs, maps, target)
        return Curves(*on_host((self._shares(num_positions), answers)))

    def _image_scores(self, answers, num_positions):
        shares = self._shares(num_positions)
        heights = (answers[:, 1:] + answers[:, :-1]) / 2
        return ops.sum(heights * (shares[1:] - shares[:-1]), axis=-1)

    @abc.abstractmethod
    def _copy(self, x, hidden, is_first):
        """Returns a copy of `x`.

        Args:
            x: The input.
            hidden: The same of hidden pixels.
            is_first: Boolean tensor: which pixels are the first ones.
        """

    def _points(self, num_positions):
        """Returns how many steps there are: no fewer pixels than one each."""
        if isinstance(num_positions, int):
            return min(self.num_steps, num_positions)
        return ops.minimum(self.num_steps, num_positions)

    def _count(self, number, num_positions):
        """Returns how many pixels are the first ones in copy `number`."""
        steps = self._points(num_positions)
        # Apart, so that products stay small beside an int32.
        whole, rest = num_positions // steps, num_positions % steps
        return number * whole + number * rest // steps

    def _shares(self, num_positions):
        """Returns what `Curves.shares` says."""
        numbers = ops.arange(self._points(num_positions) + 1)
        counts = self._count(numbers, num_positions)
        return ops.cast(counts, "float32") / ops.cast(num_positions, "float32")

    def _scores_of(self, x, maps, score, layout, first):
        """Returns the scores of copies from number `first` on, `(batch, n)`."""
        num_positions = product(layout.size)
        order = beside(ranks(maps), layout)
        hidden = filling_of_input(x, self.baseline, layout.channel_axis)

        def of_copy(number):
            count = self._count(number + first, num_positions)
            return score(self._copy(x, hidden, order < count))

        scores = engine.stack_of_samples(of_copy, self._points(num_positions))
        return ops.transpose(scores)
