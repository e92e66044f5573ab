"""Copies of functional models that meet a mask on their way."""

import keras


def is_graph(layer):
    """Returns whether a layer is a model whose layers can be walked."""
    functional = isinstance(layer, keras.Model) and isinstance(
        layer, keras.Function
    )
    return functional or isinstance(layer, keras.Sequential)


def leaves(model, prefix=""):
    """Yields pairs of path and layer, inner models opened up, in order.

    The path of a layer `conv1` in an inner model `base` is `base/conv1`.
    """
    for layer in model.layers:
        path = prefix + layer.name
        if is_graph(layer):
            yield from leaves(layer, path + "/")
        elif not isinstance(layer, keras.layers.InputLayer):
            yield path, layer


def last_operation(model):
    """Returns the layer or operation that a model of one output ends in."""
    while is_graph(model):
        model = _functional(model).operations[-1]
    return model


class RegionCopy:
    """A copy of a model, weights included, with a mask merged at some layers.

    An inner model that holds such a layer takes the mask as a further input;
    everything else keeps its place and its name.

    Args:
        paths: List of paths of layers, as `leaves` names them.
        merge: Function of such a layer, its outputs and the mask, which
            returns what stands for the outputs from there on.
    """

    def __init__(self, paths, merge):
        self._paths = paths
        self._merge = merge
        self._copies = {}
        self._originals = {}
        self._merged = set()

    def outputs(self, model, image, mask, seen):
        """Returns the outputs of a copy of `model` on the inputs given.

        The layers that take the image see `seen` in its place, which may be
        `image` itself or something computed from it.
        """
        copy = self._copy_graph(model, "", [image], mask, {id(image): seen})
        self._copy_weights()
        return copy.output[0] if len(model.outputs) == 1 else copy.output

    def _copy_graph(self, model, prefix, inputs, mask, replaced):
        model = _functional(model)
        inner = [*model.inputs]
        if not prefix or self._is_on_the_way(prefix):
            # Not part of the outputs of `model`, so only its shape counts;
            # the first versions of Keras 3 want every input to be used.
            unused = keras.Input((None, None))
            keras.layers.Identity()(unused)
            inner, inputs = [*inner, unused], [*inputs, mask]

        def call(copy, *args, **kwargs):
            args, kwargs = keras.tree.map_structure(
                lambda x: replaced.get(id(x), x), (args, kwargs)
            )
            return self._call(copy, prefix, mask, args, kwargs)

        return keras.models.clone_model(
            keras.Model(inner, model.outputs, name=model.name),
            input_tensors=inputs,
            clone_function=lambda layer: self._copy(layer, prefix),
            call_function=call,
        )

    def _copy(self, layer, prefix):
        if id(layer) not in self._copies:
            if is_graph(layer):
                copy = self._copy_inner(layer, f"{prefix}{layer.name}/")
            else:
                copy = layer.__class__.from_config(layer.get_config())
            self._copies[id(layer)] = copy
            self._originals[id(copy)] = copy, layer
        return self._copies[id(layer)]

    def _copy_inner(self, model, prefix):
        inputs = [
            keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
            for x in model.inputs
        ]
        mask = keras.Input((None, None), name="roi_mask")
        return self._copy_graph(model, prefix, inputs, mask, {})

    def _call(self, copy, prefix, mask, args, kwargs):
        _, layer = self._originals[id(copy)]
        path = prefix + layer.name
        opened = is_graph(layer) and self._is_on_the_way(path + "/")
        if opened or path in self._paths:
            if path in self._merged:
                raise ValueError(
                    "A layer that meets the mask must be called once in the "
                    f"model. Received: {path!r}, which is called several "
                    "times. Choose a layer before or behind it as "
                    "`merge_layer`."
                )
            self._merged.add(path)
        if is_graph(layer):
            args = [*keras.tree.flatten(args), *([mask] if opened else [])]
            return copy(args if len(args) > 1 else args[0], **kwargs)
        outputs = copy(*args, **kwargs)
        if path in self._paths:
            outputs = self._merge(layer, outputs, mask)
        return outputs

    def _is_on_the_way(self, prefix):
        return any(path.startswith(prefix) for path in self._paths)

    def _copy_weights(self):
        for copy, layer in self._originals.values():
            if is_graph(layer) or not isinstance(layer, keras.layers.Layer):
                continue
            copy.set_weights(layer.get_weights())
            # Parts of a layer may be frozen, which its config does not tell.
            for new, old in zip(copy.weights, layer.weights, strict=True):
                if new.trainable != old.trainable:
                    new.trainable = old.trainable
            if isinstance(copy, keras.layers.Normalization):
                copy.finalize_state()


def _functional(model):
    if isinstance(model, keras.Function):
        return model
    return keras.Model(model.inputs, model.outputs, name=model.name)
