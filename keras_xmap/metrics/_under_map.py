"""The score of an image that is seen through its map."""

from keras import ops

from keras_xmap import engine
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import filling_of_input
from keras_xmap.metrics._made_for_one import on_host
from keras_xmap.metrics._model_metric import ModelMetric
from keras_xmap.metrics._model_metric import beside


class UnderMap(ModelMetric):
    """Compares the score of an image with that of the image times its map.

    A subclass says what it makes of the two, `_compared`.

    Args:
        model: See `ModelMetric`.
        baseline: What the image fades to where the map is 0.
        input_name: See `ModelMetric`.
        score: See `ModelMetric`.
        batch_size: See `ModelMetric`.
        name: See `ModelMetric`.
        dtype: See `ModelMetric`.
    """

    def __init__(
        self, model, baseline, input_name, score, batch_size, name, dtype
    ):
        super().__init__(model, input_name, score, batch_size, name, dtype)
        self.baseline = check_filling("baseline", baseline)

    def _answers(self, x, maps, clean, score, layout):
        hidden = filling_of_input(x, self.baseline, layout.channel_axis)
        share = ops.cast(beside(maps, layout), x.dtype)
        # Not `hidden + share * (x - hidden)`, which rounds where share is 1.
        seen = score(share * x + (1.0 - share) * hidden)
        return ops.stack([clean, seen], axis=1)

    def _check_maps(self, maps):
        super()._check_maps(maps)
        engine.require(
            ops.all(ops.logical_and(maps >= 0, maps <= 1)),
            "`maps` must hold values from 0 to 1, since they are what of a "
            "pixel is seen. Bring them there first, each by its own range: "
            "`keras_xmap.ops.normalize(maps)`. Received: maps from, to",
            *on_host([ops.min(maps), ops.max(maps)]),
        )
