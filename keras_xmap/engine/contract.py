"""What a backend answers, in one place.

An explainer is a formula in `keras.ops`; what it has to know of a model (its
scores, the activations of its layers, their gradients) differs between
backends. A backend is a `Backend` that makes an `Evaluation` of a model and a
`Placement` for the steps that are compiled. Everything else in
`keras_xmap.engine`, and every explainer, is written against these three.
"""

import abc

import keras
from keras import ops

from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap.engine._layer_by_name import name_of
from keras_xmap.engine._layer_by_name import named_call
from keras_xmap.engine._layer_by_order import last_calls_of_sizes
from keras_xmap.engine._layer_by_order import last_calls_of_stages
from keras_xmap.engine._layer_by_order import last_spatial_calls
from keras_xmap.engine.geometry import GeometryError
from keras_xmap.engine.given import given
from keras_xmap.engine.ways_past import ways_past

RELU_RULES = ("standard", "guided", "deconvnet")
STAGES = "stages"  # the `target_layer` of the last layers of all sizes


class RuleError(ValueError):
    """A backward rule of ReLUs finds none that it could be applied to."""


class StepError(Exception):
    """A compiled step stopped while it ran, by the values it ran on.

    Attributes:
        said: String: what the framework said of it.
        node: String: the operation, `""` where it is not known.
        in_target: Boolean: whether it belongs to the target.
    """

    def __init__(self, said, node, in_target):
        super().__init__(said)
        self.said = said
        self.node = node
        self.in_target = in_target


class Evaluation(abc.ABC):
    """One call of a model, with what its layers put out.

    Attributes:
        inputs: Structure of tensors the model was called on.
        outputs: Structure of tensors the model returned.
        scores: Like `outputs`, in float32 (float64 for a float64 model):
            the values a target chooses from.
        score_used: String: where in the model the scores were found.
        units: Structure like `outputs` of `Unit`: how each is read if it has
            a single unit.
        input_data_format: `"channels_last"` or `"channels_first"`.
        calls: List of `LayerCall`: the layers, and the operations between
            them, in the order they ran.
        given_inputs: List of the tensors of `inputs`, without the optional
            ones that are left out (`None`).
    """

    inputs: Structure
    outputs: Structure
    scores: Structure
    score_used: str
    units: Structure
    input_data_format: DataFormat
    calls: list

    @property
    def given_inputs(self):
        return given(self.inputs)

    @abc.abstractmethod
    def channel_axis(self, x):
        """Returns the axis of the channels of an input, or `None`."""

    @abc.abstractmethod
    def map_rank(self, x):
        """Returns how many axes a map of an input has.

        They are the batch, the positions and the channels; an image that is
        given without channels, and numbers in a row, have one axis fewer.
        """

    @abc.abstractmethod
    def gradients(
        self, score, tensors, rule="standard", where=None, apart=False
    ):
        """Takes the gradients of one score per image.

        Args:
            score: Tensor of shape `(batch,)`, derived from `scores`.
            tensors: List of tensors of this evaluation.
            rule: Backward rule of ReLUs, one of `RELU_RULES`.
            where: Scalar boolean tensor. Where it is false while the step
                runs, no backward pass is made and the gradients are zeros.
                Defaults to `None`: always.
            apart: Boolean: whether each of `tensors` moves alone, while the
                others stay: of two of which one is made from the other, what
                the score owes to the first through the second is left out.

        Returns:
            List like `tensors`: float32 gradients (float64 where the tensor
            is float64), `None` for tensors that are not floating-point.

        Raises:
            ValueError: If `score` depends on none of `tensors`.
            RuleError: If `rule` finds no ReLU on the way.
        """

    @abc.abstractmethod
    def derive(self, function, *tensors):
        """Returns `function(*tensors)` as a part of this evaluation.

        What is computed from recorded tensors in any other way may have no
        gradient: on some backends a finished trace has no history.
        """

    @abc.abstractmethod
    def ancestors(self, tensor):
        """Returns a container of the tensors that `tensor` is computed from.

        It answers `x in container`, and holds `tensor` itself.
        """

    @abc.abstractmethod
    def depends(self, score):
        """Returns whether `score` is computed from the inputs."""

    @abc.abstractmethod
    def carries_gradient(self, tensor, score):
        """Returns whether `score` can be differentiated by `tensor`."""

    @abc.abstractmethod
    def nonlinear_operations(self, tensors, score):
        """Names what keeps `score` from being affine in `tensors` together.

        A string, empty where nothing does.
        """

    @abc.abstractmethod
    def nearest(self, score, stops, inputs):
        """Walks back from `score` to `inputs`, and not past `stops`.

        Args:
            score: Tensor.
            stops: List of tensors of this evaluation.
            inputs: List of tensors of `inputs`.

        Returns:
            List of the `stops` that were met, and list of the `inputs` that
            were reached past them.
        """

    @abc.abstractmethod
    def fewest(self, score, tensors, inputs):
        """Returns the fewest of `tensors` that all ways pass: a list.

        Of several such sets, the one nearest to `score`.

        Args:
            score: Tensor.
            tensors: List of tensors, which together all ways pass.
            inputs: List of tensors of `inputs`.
        """

    @abc.abstractmethod
    def moved(self, tensors):
        """Returns a container of what `tensors` are but for their place.

        From each, the walk leads back through what only rearranges, resizes
        or squashes, to what was computed last, such as a convolution.
        """

    @abc.abstractmethod
    def offspring(self, tensors, score):
        """Returns a container of what is computed from any of `tensors`.

        Only what lies on the way to `score`, and `tensors` themselves.
        """

    @abc.abstractmethod
    def products(self, source, score):
        """Returns what multiplies two tensors made from `source`: a list.

        Only matrix products, such as the two of an attention, on the way to
        `score`, in the order they are computed.
        """

    @abc.abstractmethod
    def owner(self, tensor):
        """Returns the `LayerCall` of the innermost layer that ran `tensor`.

        `None` where no layer did.
        """

    @abc.abstractmethod
    def stream(self, tensor):
        """Returns the tensors of its rank that `tensor` is computed from."""

    @abc.abstractmethod
    def is_gate(self, tensor, others, score):
        """Returns whether `tensor` only weighs what comes from `others`."""

    @abc.abstractmethod
    def geometry(self, tensor, source, data_format="channels_last"):
        """Returns the `Geometry` of a tensor in one of the inputs.

        Args:
            tensor: Tensor of this evaluation.
            source: Tensor of `inputs`.
            data_format: Where the channels of `tensor` are, if its geometry
                does not tell.

        Raises:
            GeometryError: If the positions of `tensor` are no map of `source`,
                or cannot be followed.
        """

    def positions_of_input(self, rank, score):
        """Returns a container of the tensors that are maps of an input.

        They have as many axes as its maps, one a channel axis, and each other
        one runs over an axis of the input or has size 1; or they have others,
        such as tokens, of which each has a place in the input. Its method
        `why_unknown` tells why a tensor could not be followed.

        Args:
            rank: Integer: the `map_rank` of the inputs that count.
            score: Tensor: only what lies on the way to it is asked for.
        """
        return MapsOfInputs(self, rank)

    def holds_positions(self, tensor, source):
        """Returns whether a tensor of the same images shows places of one.

        There may be others beside them that have none: class tokens.
        """
        try:
            return self.geometry(tensor, source).is_of_images
        except GeometryError:
            return False

    @abc.abstractmethod
    def describe(self, tensor):
        """Names the operation that made `tensor`, for messages."""

    def is_made_from(self, tensor, source):
        """Returns whether `tensor` is computed from `source`."""
        return source in self.ancestors(tensor)

    def check_depends(self, score):
        """Checks that `score` is computed from the inputs."""
        if not self.depends(score):
            raise self.disconnected(score)

    def disconnected(self, score):
        """Returns the error for a score without gradient."""
        return ValueError(
            "The target does not depend on what is to be explained. Expected: "
            "a score computed from the outputs of the model, by operations "
            f"that have a gradient. Received: {self.describe(score)}. Look "
            "for a target that returns a constant, for `argmax` or rounding "
            "in it, for `stop_gradient` in the model, or for a layer that has "
            "no part in this output."
        )

    def without_gradient(self, score):
        """Returns the error for inputs that no gradient reaches.

        Such are token ids, texts and booleans.
        """
        first = self.first_differentiable(score)
        if first is None:
            return self.disconnected(score)
        found = f"inputs of {self.input_dtypes}, such as ids or texts. "
        remedy = "Explain the first layer that makes numbers of them"
        if "float" in self.input_dtypes:
            found = (
                f"inputs of {self.input_dtypes}, and on every way from them an "
                "operation without a gradient, such as a look-up, rounding or "
                "a function in NumPy. "
            )
            remedy = (
                "Occlusion(model) needs no gradient, where inputs are numbers; "
                "of ids explain the first layer behind the look-up"
            )
        return ValueError(
            "No gradient reaches the inputs. Expected: floating-point inputs "
            "with which the score changes smoothly, or a `target_layer`. "
            f"Received: {found}{remedy}: target_layer={first!r}."
        )

    @property
    def input_dtypes(self):
        """String: the dtypes of the inputs, for messages."""
        kinds = [
            keras.backend.standardize_dtype(x.dtype) for x in self.given_inputs
        ]
        return ", ".join(dict.fromkeys(kinds))

    def first_differentiable(self, score):
        """Returns the path of the first layer with a gradient, or `None`."""
        calls = [
            call
            for call in self.calls
            if call.path
            and call.is_layer
            and ops.is_tensor(call.outputs)
            and keras.backend.is_float_dtype(call.outputs.dtype)
        ]
        for call in calls:
            if self.carries_gradient(call.outputs, score):
                return self.name_of(call)
        return None

    def layer_call(self, target_layer, score, inputs=None):
        """Returns the `LayerCall` of a layer that is named.

        Args:
            target_layer: `keras.layers.Layer`, name or path, see
                `named_call`.
            score: Tensor the layer has to have a part in, or `None`.
            inputs: List of the inputs of which the layer has to be made;
                `None` where the caller cannot choose between them.
        """
        return named_call(self, target_layer, score, inputs)

    def branches(self, score, inputs=None):
        """Returns the `LayerCall`s that show an image where none is named.

        They are one, or several that together are all the score sees, see
        `last_spatial_calls`.
        """
        return last_spatial_calls(self, score, inputs)

    def branches_of_sizes(self, num_sizes, score, inputs=None):
        """Returns such a list for each of the coarsest sizes, a list.

        Args:
            num_sizes: Integer >= 1.
            score: See `branches`.
            inputs: See `branches`.
        """
        return last_calls_of_sizes(self, score, num_sizes, inputs)

    def branches_of_stages(self, score, inputs=None):
        """Returns such a list for each size at which the model learns.

        Args:
            score: See `branches`.
            inputs: See `branches`.
        """
        return last_calls_of_stages(self, STAGES, score, inputs)

    def ways_past(self, calls, score, inputs=None):
        """Names what leads from the image to `score` past all of `calls`."""
        return ways_past(self, calls, score, inputs)

    def name_of(self, call):
        """Returns the name by which `layer_call` finds a call."""
        return name_of(self.calls, call)


class MapsOfInputs:
    """The tensors of an evaluation that are maps of inputs of a `map_rank`."""

    def __init__(self, evaluation, rank):
        self._evaluation = evaluation
        self._rank = rank

    def __contains__(self, tensor):
        return any(
            not isinstance(found, GeometryError) and self._is_map(tensor, found)
            for found in self._found(tensor)
        )

    def _is_map(self, tensor, geometry):
        if len(tensor.shape) == self._rank:
            return geometry.is_of_axes
        num_axes = len(geometry.axes_run_over)
        return num_axes == self._rank - 2 and geometry.is_whole

    def why_unknown(self, tensor):
        """Returns why it is not known where a tensor lies, or `None`."""
        if len(tensor.shape) != self._rank:
            return None
        errors = [
            found
            for found in self._found(tensor)
            if isinstance(found, GeometryError) and found.is_unknown
        ]
        return str(errors[0]) if errors and tensor not in self else None

    def _found(self, tensor):
        for source in self._evaluation.given_inputs:
            if self._evaluation.map_rank(source) == self._rank:
                try:
                    yield self._evaluation.geometry(tensor, source)
                except GeometryError as error:
                    yield error


class Placement(abc.ABC):
    """Where steps run: on the host, or on the replicas of a strategy."""

    @abc.abstractmethod
    def scope(self):
        """Returns the context in which a model without weights is built."""

    @abc.abstractmethod
    def place(self, flat):
        """Returns the tensors of a batch where the step wants them: a list."""

    @abc.abstractmethod
    def key(self, flat):
        """Returns what a step made for `flat` depends on here, hashable."""

    @abc.abstractmethod
    def compile(self, function, flat):
        """Compiles a step.

        Args:
            function: Takes tensors like `flat`; returns a structure of
                tensors, and notes: a dict of Python values that are known
                once the step is traced.
            flat: List of tensors as `place` returned them. Their batch size
                is no part of the step.

        Returns:
            Callable of such tensors that returns the structure; its attribute
            `notes` is the dict. What `Backend.require` stops is a
            `ValueError`, what else stops a `StepError`.
        """

    @abc.abstractmethod
    def to_numpy(self, result, size):
        """Returns the result of a step as NumPy arrays of `size` images."""


class Backend(abc.ABC):
    """What explainers ask of a framework."""

    @abc.abstractmethod
    def evaluate(self, model, inputs, score, replacement=None):
        """Calls `model` once in inference mode and returns the `Evaluation`.

        Runs while a step is traced. Nothing of the model is changed:
        variables, losses and modes are as before, also after an error.

        Args:
            model: Any `keras.Model` or layer.
            inputs: Structure of tensors, as the model takes it.
            score: `"logits"`: scores are what softmax or sigmoid are applied
                to; `"output"`: scores are the outputs as they are.
            replacement: Pair of the number of a `LayerCall` and a function:
                what that call puts out is replaced by the function of it.
                Defaults to `None`: nothing is.
        """

    @abc.abstractmethod
    def placement(self, model):
        """Returns the `Placement` of the steps of `model`."""

    @abc.abstractmethod
    def placement_here(self):
        """Returns the `Placement` where the caller stands."""

    @abc.abstractmethod
    def is_tracing(self):
        """Returns whether the caller is compiling a function of its own."""

    @abc.abstractmethod
    def plain(self, function):
        """Returns `function`, shielded from rewriting by the framework."""

    @abc.abstractmethod
    def build(self, model, inputs):
        """Creates the variables of a model that was never called."""

    @abc.abstractmethod
    def finite(self, inputs):
        """Returns `inputs`; stops the step where a value is not finite."""

    @abc.abstractmethod
    def require(self, condition, message, *values):
        """Stops the step with `message` unless the scalar `condition` holds.

        `values` are printed behind the message.
        """

    @abc.abstractmethod
    def behind(self, conditions, structure):
        """Returns a structure of tensors behind conditions, see `require`.

        Args:
            conditions: List of triples: condition, message, and list of the
                values.
            structure: Structure of tensors, which may hold `None`.
        """

    @abc.abstractmethod
    def after(self, done, structure):
        """Returns a structure of tensors that wait for others.

        What is computed from them needs no memory beside what led to `done`.

        Args:
            done: List of tensors that are to be computed before.
            structure: Structure of tensors, which may hold `None`.
        """

    @abc.abstractmethod
    def normal_noise(self, shape, seed, index):
        """Draws float32 standard normal noise number `index` of `seed`."""

    @abc.abstractmethod
    def uniform_noise(self, shape, seed, index):
        """Draws float32 numbers from 0 to below 1: number `index` of `seed`."""

    @abc.abstractmethod
    def mean_of_samples(self, function, num_samples, like):
        """Returns the mean of `function(0)` to `function(num_samples - 1)`."""

    @abc.abstractmethod
    def stack_of_samples(self, function, num_samples):
        """Returns `function(0)` to `function(num_samples - 1)`, stacked."""
