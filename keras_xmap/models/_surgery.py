"""The one way to record, open up and copy a model.

`Recording` tells what a model calls, in order, with inner models opened up.
`Replay` repeats these calls on copies of the layers, weights included, and can
be told to do something else here and there: builders override `repeated`.
"""

import inspect

import keras


def is_graph(layer):
    """Returns whether a layer is a model whose layers can be walked."""
    functional = isinstance(layer, keras.Model) and isinstance(
        layer, keras.Function
    )
    return functional or isinstance(layer, keras.Sequential)


def tensors_in(structure):
    """Returns the symbolic tensors of a structure, as a list."""
    return [
        x
        for x in keras.tree.flatten(structure)
        if isinstance(x, keras.KerasTensor)
    ]


class Call:
    """One call of a layer or operation of a model.

    Attributes:
        operation: The `keras.Operation`: a layer, or a function of
            `keras.ops` that was called on the model's tensors.
        owners: Tuple of the inner models it stands in, from outside in.
        args: Positional arguments: a structure with tensors in it.
        kwargs: Keyword arguments.
        outputs: Structure of the tensors it returned.
    """

    def __init__(self, operation, owners, args, kwargs, outputs):
        self.operation = operation
        self.owners = owners
        self.args = args
        self.kwargs = kwargs
        self.outputs = outputs

    @property
    def inputs(self):
        """List of the tensors among the arguments."""
        return tensors_in((self.args, self.kwargs))

    @property
    def path(self):
        """String: a layer `conv1` in an inner model `base` is `base/conv1`."""
        names = [owner.name for owner in self.owners]
        return "/".join([*names, self.operation.name])


class Recording:
    """The calls of a model, on symbolic tensors of their own.

    Nothing of the model is called: shapes come from each layer's
    `compute_output_spec`.

    Args:
        model: Functional or built sequential model.

    Attributes:
        model: The model.
        inputs: Structure of tensors, that of the model's inputs.
        outputs: Structure of tensors, that of the model's outputs.
        calls: List of `Call`, in an order in which they can be repeated.
            Inner models are no calls; their layers are.
    """

    def __init__(self, model):
        self.model = model
        self.calls = []
        self._same = {}
        self._kept = []  # tensors whose ids are in use
        graph = self._walk(model, (), {})
        self.inputs = graph.input
        self.outputs = graph.output

    def source(self, tensor):
        """Returns the tensor that stands for this one in `calls`."""
        while id(tensor) in self._same:
            tensor = self._same[id(tensor)]
        return tensor

    def maker(self, tensor):
        """Returns the `Call` that returned a tensor; `None` for an input."""
        tensor = self.source(tensor)
        for call in self.calls:
            if any(x is tensor for x in tensors_in(call.outputs)):
                return call
        return None

    def _walk(self, model, owners, options):
        def call(operation, *args, **kwargs):
            outputs = _StandIn(operation)(*args, **kwargs)
            self._kept.append((args, kwargs, outputs))
            if is_graph(operation):
                self._open(operation, owners, args, kwargs, outputs, options)
            else:
                kwargs = {**kwargs, **_accepted(operation, options)}
                self.calls.append(
                    Call(operation, owners, args, kwargs, outputs)
                )
            return outputs

        if not isinstance(model, keras.Function):
            model = keras.Model(model.inputs[0], model.outputs[0])
        graph = keras.models.clone_model(
            keras.Model(model.input, model.output),
            clone_function=lambda operation: operation,
            call_function=call,
        )
        self._kept.append(graph)
        return graph

    def _open(self, model, owners, args, kwargs, outputs, options):
        if kwargs.get("training") is not None:
            options = {"training": kwargs["training"]}
        graph = self._walk(model, (*owners, model), options)
        given = tensors_in((args, kwargs))
        self._equate(keras.tree.flatten(graph.input), given)
        self._equate(
            keras.tree.flatten(outputs), keras.tree.flatten(graph.output)
        )

    def _equate(self, tensors, sources):
        for tensor, source in zip(tensors, sources, strict=True):
            self._same[id(tensor)] = source


class _StandIn(keras.Operation):
    """Takes the place of an operation, for its shapes alone."""

    def __init__(self, operation):
        super().__init__()
        self._operation = operation

    def call(self, *args, **kwargs):
        raise NotImplementedError

    def compute_output_spec(self, *args, **kwargs):
        return self._operation.compute_output_spec(*args, **kwargs)


def _accepted(operation, options):
    """Returns those options that a layer's call has an argument for."""
    if not options or not isinstance(operation, keras.layers.Layer):
        return {}
    known = inspect.signature(operation.call).parameters
    return {name: value for name, value in options.items() if name in known}


class Replay:
    """The calls of a recording, repeated on copies of what was called.

    A layer that is called several times is copied once. Layers keep their
    names, unless two have the same: one in an inner model `base` is then
    called `base_conv1`. What is frozen is frozen in the copy.

    Args:
        recording: `Recording`.
        taken: Names that the caller gives to layers of its own.
    """

    def __init__(self, recording, taken=()):
        self.recording = recording
        self._taken = set(taken)
        self._values = {}  # id of an old tensor -> what stands for it
        self._copies = {}  # id of an old operation -> its copy
        self._names = {}  # id of a call -> name of its new layer

    def outputs(self, inputs):
        """Returns the outputs of a copy of the model on new tensors.

        Args:
            inputs: Structure of tensors, that of `recording.inputs`, or a
                list.
        """
        inputs = keras.tree.flatten(inputs)
        self._taken |= {x.name for x in inputs}
        self._keep(self.recording.inputs, inputs)
        for call in self.recording.calls:
            self._keep(call.outputs, self.repeated(call))
        self._copy_weights()
        return keras.tree.map_structure(self.output, self.recording.outputs)

    def repeated(self, call):
        """Returns what stands for the outputs of a call."""
        return self.called(call)

    def output(self, tensor):
        """Returns what stands for an output of the model."""
        return self.value(tensor)

    def value(self, tensor):
        """Returns what stands for a tensor of the recording."""
        return self._values[id(self.recording.source(tensor))]

    def called(self, call, value=None, **config):
        """Calls the copy of an operation on what stands for its arguments.

        Args:
            call: `Call`.
            value: Function from a tensor of the recording to a tensor;
                `None` for `self.value`.
            **config: Entries of the config that the copy has otherwise.
        """
        value = value or self.value
        args, kwargs = keras.tree.map_structure(
            lambda x: value(x) if isinstance(x, keras.KerasTensor) else x,
            (call.args, call.kwargs),
        )
        old = call.operation
        if id(old) not in self._copies:
            config = {**old.get_config(), **config}
            if isinstance(old, keras.layers.Layer):
                config["name"] = self.name(call)
            self._copies[id(old)] = old, old.__class__.from_config(config)
        return self._copies[id(old)][1](*args, **kwargs)

    def name(self, call):
        """Returns the name of the layer, of which there must be no other."""
        if id(call) not in self._names:
            name = call.operation.name
            if name in self._taken:
                owners = [owner.name for owner in call.owners]
                name = "_".join([*owners, name])
            number, free = 1, name
            while free in self._taken:
                number, free = number + 1, f"{name}_{number + 1}"
            self._names[id(call)] = free
            self._taken.add(free)
        return self._names[id(call)]

    def _keep(self, structure, values):
        tensors = keras.tree.flatten(structure)
        # A value may be anything where one tensor is replaced.
        alone = len(tensors) == 1 and not isinstance(values, (list, tuple))
        values = [values] if alone else keras.tree.flatten(values)
        for tensor, value in zip(tensors, values, strict=True):
            self._values[id(tensor)] = value

    def _copy_weights(self):
        for old, copy in self._copies.values():
            if isinstance(copy, keras.layers.Layer):
                copy_weights(old, copy)


def copy_weights(layer, copy):
    """Gives the copy of a layer the layer's weights, as frozen as they are.

    Args:
        layer: Built `keras.layers.Layer`.
        copy: Built layer of the same weights.
    """
    copy.set_weights(layer.get_weights())
    # Parts of a layer may be frozen, which its config does not tell.
    for new, old in zip(copy.weights, layer.weights, strict=True):
        if new.trainable != old.trainable:
            new.trainable = old.trainable
    if isinstance(copy, keras.layers.Normalization):
        copy.finalize_state()
