from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive
from keras_xmap.explainers._candidates import CandidateClasses
from keras_xmap.explainers._candidates import FoundCandidates
from keras_xmap.explainers._candidates import Slots
from keras_xmap.explainers._candidates import as_candidates
from keras_xmap.explainers._candidates import candidate_members
from keras_xmap.explainers._candidates import check_candidates
from keras_xmap.explainers._candidates import in_columns
from keras_xmap.explainers._distinct_maps import beside
from keras_xmap.explainers._distinct_maps import distinct
from keras_xmap.explainers._layers_and_scales import check_layers
from keras_xmap.explainers._layers_and_scales import check_scales
from keras_xmap.explainers._layers_and_scales import chosen_layers
from keras_xmap.explainers._layers_and_scales import scaled_inputs
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import class_scores
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.ops import resize


class DistinctClassSaliency(Explainer):
    """Which of an image's classes a pixel belongs to.

    The gradients of the classes of one image look alike: they show what
    stands out, not whose it is. Three changes make them differ. Derivatives
    are taken by several hidden layers, which hold more of the class than the
    image does; from the map of a class the maps of the other classes that may
    be in the image, its candidates, are subtracted; and both is done at
    several sizes of the image. With the derivative `v_l^c` of the score of
    class `c` by layer `l`, the image enlarged `s` times:

    `M_ls^c = resize(max_k |v_l^c|)`

    `D_ls^c = sum_{c' != c} max(M_ls^c - M_ls^c', 0)`, or `M_ls^c` where `c`
    is the only candidate

    `M^c = mean_ls tanh(alpha * D_ls^c / max_xy D_ls^c)`

    A score map is explained by the sum of a class over its positions. One
    forward pass a scale, all layers and classes from it, and one backward
    pass for each class that an image of the batch has.

    The maps hold pixels of one class against those of others; they do not
    tell classes from background, nor whether the class is there at all. A map
    is zero everywhere where another candidate is stronger in every pixel.

    Args:
        model: See `GradCAM`. For scales other than 1 it must take images of
            other sizes, see `keras_xmap.models.fully_convolutional`.
        layers: List of layers, names or paths, see `GradCAM`. Defaults to
            `None`: of the convolutions with kernels larger than one pixel,
            in the order they are called, the upper two thirds, which in
            VGG-16 are conv3_1 to conv5_3.
        scales: List of floats > 0: sizes of the image relative to its own.
            Defaults to `(1, 1.2, 1.4, 1.6)`.
        candidates: The candidates of an image, besides the classes of its
            target. Float: the classes whose output, at the image's own size,
            exceeds it, of score maps at any position, and of them at most the
            five highest. Integer: so many of the highest. A list of classes.
            `"target"`: no others. `None`: none at all, nothing is subtracted.
            Defaults to `0.5`.
        relu_rule: `"guided"`, `"standard"` or `"deconvnet"`: how derivatives
            pass a ReLU on their way back, see `GuidedBackprop`. Defaults to
            `"guided"`.
        alpha: Float > 0. The larger, the less the strongest pixels of a map
            stand out. Defaults to `3.0`.
        normalization: Where maps are divided by their maximum: `"after"` the
            difference, as above and as the paper's figures; `"before"` it,
            so that all candidates weigh the same, and not after it; `None`
            for nowhere, the paper's equation as printed, whose maps depend
            on the size of the gradients. Defaults to `"after"`.
        signed: Boolean. Whether the largest derivative of a pixel's channels
            is taken with its sign, as published code does, and those below 0
            become 0; not by its size. Defaults to `False`.
        score: See `GradCAM`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation.

    Raises:
        ValueError: If an argument is out of its range; on explaining, if the
            model does not take images of these scales, or has no such layers.
        TypeError: If `layers` are neither layers nor names.

    References:
        - [Shimoda & Yanai, 2016](https://doi.org/10.1007/978-3-319-46493-0_14)

    Example:

    >>> model = keras.Sequential([keras.Input((None, None, 3)),
    ...     keras.layers.Conv2D(8, 3, activation="relu"),
    ...     keras.layers.Conv2D(8, 3, activation="relu"),
    ...     keras.layers.Conv2D(4, 1),
    ...     keras.layers.GlobalMaxPooling2D(),
    ...     keras.layers.Activation("sigmoid")])
    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> dcsm = keras_xmap.explainers.DistinctClassSaliency(
    ...     model, candidates=2)
    >>> dcsm.explain(images, target=1).shape  # against the two highest
    (2, 32, 32)
    >>> present = np.array([[0, 1, 3], [2, 3, -1]])  # -1: no more classes
    >>> dcsm.explain(images, target=present).shape
    (2, 3, 32, 32)
    """

    cause_of_zeros = (
        "another candidate is stronger in every pixel, or all gradients are "
        "zero"
    )

    def __init__(
        self,
        model,
        layers=None,
        scales=(1, 1.2, 1.4, 1.6),
        candidates=0.5,
        relu_rule="guided",
        alpha=3.0,
        normalization="after",
        signed=False,
        score="logits",
    ):
        super().__init__(model, score)
        self.layers = check_layers(layers)
        self.scales = check_scales(scales)
        self.candidates = check_candidates(candidates)
        self.relu_rule = check_one_of(
            "relu_rule", relu_rule, ("guided", "standard", "deconvnet")
        )
        self.alpha = check_positive("alpha", alpha)
        self.normalization = check_one_of(
            "normalization", normalization, ("after", "before", None)
        )
        self.signed = bool(check_one_of("signed", signed, (True, False)))
        self.layers_used = None

    def __call__(self, inputs, target=None):
        """Explains one batch of tensors, see `explain` and `GradCAM`."""
        return super().__call__(inputs, as_candidates(target))

    def explain(self, data, target=None, batch_size=32, verbose="auto"):
        """Explains any amount of data, see `GradCAM.explain`.

        Args:
            data: See `GradCAM.explain`.
            target: See `GradCAM.explain`. In an array of shape `(n, classes)`
                -1 stands for no class: images may have different numbers of
                classes. Its map is zero.
            batch_size: See `GradCAM.explain`.
            verbose: See `GradCAM.explain`.

        Returns:
            Float32 array `(n, height, width)`, or `(n, classes, height,
            width)` for a target of shape `(n, classes)`; values from 0 to
            below 1, at the size of the images.
        """
        target = as_candidates(target)
        maps = self._runner.collect(data, target, batch_size, verbose)
        if isinstance(target, CandidateClasses) and not target.is_single(
            target.parts
        ):
            # Where there is no class, nobody misses a map.
            valid = ops.convert_to_numpy(target.parts["index"]) >= 0
            self._warn_of_zeros(maps[valid], is_single=True)
        else:
            self._warn_of_zeros(maps, target.is_single(target.parts))
        return maps

    def explain_batches(self, data, target=None, batch_size=32, verbose=0):
        """Yields the results of `explain`, one batch at a time."""
        target = as_candidates(target)
        return super().explain_batches(data, target, batch_size, verbose)

    def find_candidates(self, data, output=None, batch_size=32, verbose="auto"):
        """Finds the classes that `candidates` names, of each image.

        They are what `explain` takes as `target` for the maps of all classes
        of an image.

        Args:
            data: See `explain`.
            output: Name or number of the model's output that is meant.
                Defaults to `None`: the only one.
            batch_size: See `explain`.
            verbose: See `explain`.

        Returns:
            Int32 array `(n, classes)`: the classes of each image, the highest
            first, filled up by -1; all -1 where none exceeds the threshold.

        Raises:
            ValueError: If `candidates` is `"target"` or `None`.
        """
        if self.candidates in (None, "target"):
            raise ValueError(
                "`candidates` must be a threshold, a number of classes or a "
                "list of classes, by which they can be found. Received: "
                f"candidates={self.candidates!r}."
            )
        found = self._runner.collect(
            data, FoundCandidates(output=output), batch_size, verbose
        )
        return in_columns(found["member"] > 0, found["ranking"])

    def _compute(self, inputs, target, parts):
        own = self._evaluate(inputs)
        if isinstance(target, FoundCandidates):
            return self._members(own, target)
        if isinstance(target, CandidateClasses):
            slots = self._slots(own, target, parts)
        else:
            parts = target.resolve(own.scores, parts)
            slots = _unnamed_slots(class_scores(own, target, parts))
        score = _scores(own, target, parts, slots)[0]
        numbers = chosen_layers(own, self.layers, score)
        self.layers_used = [own.calls[number].path for number in numbers]
        size = SpatialLayer(own, own.calls[numbers[0]]).size
        total = 0.0
        for scale in self.scales:
            evaluation = own
            if scale != 1:
                evaluation = self._evaluate_scaled(own, scale)
            scores = _scores(evaluation, target, parts, slots)
            for maps in self._class_maps(evaluation, numbers, scores, slots):
                total = total + distinct(
                    resize(maps, size),
                    slots,
                    self.candidates is not None,
                    self.normalization,
                    self.alpha,
                )
        maps = total / (len(self.scales) * len(numbers))
        valid = slots.valid[:, : slots.num_targets]
        maps = ops.where(beside(valid, maps), maps, 0.0)
        maps = [maps[..., slot] for slot in range(slots.num_targets)]
        return join_classes(maps, target.is_single(parts))

    def _members(self, own, target):
        ranking = target.table(own.scores, _class_axis(own), ops.max)
        outputs = target.table(own.outputs, _class_axis(own), ops.max)
        member = candidate_members(self.candidates, outputs, ranking)
        return {"member": ops.cast(member, "float32"), "ranking": ranking}

    def _slots(self, own, target, parts):
        ranking = target.table(own.scores, _class_axis(own), ops.max)
        return Slots(
            target.indices(ranking, parts),
            self.candidates,
            target.table(own.outputs, _class_axis(own), ops.max),
            ranking,
            may_be_empty=not target.is_single(parts),
        )

    def _evaluate_scaled(self, own, scale):
        inputs = scaled_inputs(own, scale)
        try:
            return self._evaluate(inputs)
        except ValueError as error:
            raise ValueError(
                f"The model {self.model.name!r} does not take images of other "
                f"sizes than its own. Received: scales={self.scales}. Pass it "
                "through `keras_xmap.models.fully_convolutional` first, or "
                f"explain it at `scales=(1,)`. {error}"
            ) from error

    def _class_maps(self, evaluation, numbers, scores, slots):
        """Returns a list of one tensor `(batch, *positions, slots)` a layer."""
        calls = [evaluation.calls[number] for number in numbers]
        layers = [SpatialLayer(evaluation, call) for call in calls]
        values = [call.outputs for call in calls]

        def of_score(score):
            gradients = evaluation.gradients(score, values, self.relu_rule)
            return [
                self._strongest(layer.arrange(gradient))
                for layer, gradient in zip(layers, gradients, strict=True)
            ]

        def nothing():
            arranged = map(SpatialLayer.arrange, layers, values)
            return [ops.zeros_like(value[..., 0]) for value in arranged]

        per_slot = []
        for slot, score in enumerate(scores):
            needed = slots.needed(slot)
            if needed is None:
                per_slot.append(of_score(score))
            else:
                per_slot.append(
                    ops.cond(needed, lambda s=score: of_score(s), nothing)
                )
        return [
            ops.stack(maps, axis=-1) for maps in zip(*per_slot, strict=True)
        ]

    def _strongest(self, gradients):
        if self.signed:
            return ops.relu(ops.max(gradients, axis=-1))
        return ops.max(ops.abs(gradients), axis=-1)


def _scores(evaluation, target, parts, slots):
    """Returns a list of one score `(batch,)` per slot."""
    if not isinstance(target, CandidateClasses):
        return class_scores(evaluation, target, parts)
    table = target.table(evaluation.scores, _class_axis(evaluation), ops.sum)
    evaluation.check_depends(table)
    return slots.scores(table)


def _unnamed_slots(scores):
    """Returns the `Slots` of scores that are not of classes by number."""
    index = ops.arange(len(scores), dtype="int32")
    shape = (ops.shape(scores[0])[0], len(scores))
    return Slots(ops.broadcast_to(index, shape), None, None, None, False)


def _class_axis(evaluation):
    last = evaluation.calls[-1].data_format
    return -1 if last == "channels_last" else 1
