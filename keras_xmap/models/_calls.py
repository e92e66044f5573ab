"""What a functional model calls, in order, with inner models opened up."""

import inspect

import keras

from keras_xmap.models._region_copy import is_graph


class Call:
    """One call of a layer or operation of a model.

    Attributes:
        operation: The `keras.Operation`: a layer, or a function of
            `keras.ops` that was called on the model's tensors.
        prefix: String: names of the inner models it stands in, joined and
            ended by `"_"`; `""` in the model itself.
        args: Positional arguments: a structure with tensors in it.
        kwargs: Keyword arguments.
        outputs: Structure of the tensors it returned.
    """

    def __init__(self, operation, prefix, args, kwargs, outputs):
        self.operation = operation
        self.prefix = prefix
        self.args = args
        self.kwargs = kwargs
        self.outputs = outputs

    @property
    def inputs(self):
        """List of the tensors among the arguments."""
        return tensors_in((self.args, self.kwargs))


class Recording:
    """The calls of a model, on symbolic tensors of their own.

    Nothing of the model is called: shapes come from each layer's
    `compute_output_spec`.

    Attributes:
        inputs: Structure of tensors, that of the model's inputs.
        outputs: Structure of tensors, that of the model's outputs.
        calls: List of `Call`, in an order in which they can be repeated.
            Inner models are no calls; their layers are.
    """

    def __init__(self, model):
        self.calls = []
        self._same = {}
        self._kept = []  # tensors whose ids are in use
        graph = self._walk(model, "", {})
        self.inputs = graph.input
        self.outputs = graph.output

    def source(self, tensor):
        """Returns the tensor that stands for this one in `calls`."""
        while id(tensor) in self._same:
            tensor = self._same[id(tensor)]
        return tensor

    def _walk(self, model, prefix, options):
        def call(operation, *args, **kwargs):
            outputs = _StandIn(operation)(*args, **kwargs)
            self._kept.append((args, kwargs, outputs))
            if is_graph(operation):
                self._open(operation, prefix, args, kwargs, outputs, options)
            else:
                self.calls.append(
                    Call(
                        operation,
                        prefix,
                        args,
                        {**kwargs, **_accepted(operation, options)},
                        outputs,
                    )
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

    def _open(self, model, prefix, args, kwargs, outputs, options):
        if kwargs.get("training") is not None:
            options = {"training": kwargs["training"]}
        graph = self._walk(model, f"{prefix}{model.name}_", options)
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


def tensors_in(structure):
    """Returns the symbolic tensors of a structure, as a list."""
    return [
        x
        for x in keras.tree.flatten(structure)
        if isinstance(x, keras.KerasTensor)
    ]


def _accepted(operation, options):
    """Returns those options that a layer's call has an argument for."""
    if not options or not isinstance(operation, keras.layers.Layer):
        return {}
    known = inspect.signature(operation.call).parameters
    return {name: value for name, value in options.items() if name in known}
