"""Attention, known by what it computes, and the tokens that it looks at.

An attention multiplies matrices that are both made from the image: queries by
keys, and the outcome by values. So it is found in layers of any class, and
where none stands for it.
"""

import keras
from keras import ops

# Products of one attention: queries by keys, and weights by values.
_PRODUCTS = 2


def attended_call(evaluation, product, image):
    """Returns the last call by which a product sees all of an image.

    Args:
        evaluation: `Evaluation`.
        product: Tensor, see `Evaluation.products`.
        image: Tensor: an input.

    Returns:
        `LayerCall` that puts out tokens; `None` if there is none such.
    """
    above = evaluation.ancestors(product)
    layer = _attention_layer(evaluation, product, image)
    for call in reversed(evaluation.calls):
        if (
            _may_be_tokens(call)
            and call.outputs is not product
            and call.outputs in above
            and not (layer and _is_inside(call, layer))
            and not evaluation.nearest(product, [call.outputs], [image])[1]
            and evaluation.holds_positions(call.outputs, image)
        ):
            return call
    return None


def is_attended(evaluation, call, score, image):
    """Whether the next attention behind a call looks at what it puts out."""
    if not _may_be_tokens(call):
        return False
    products = evaluation.products(call.outputs, score)
    if not products:
        return False
    return attended_call(evaluation, products[0], image) is call


def is_in_attention(evaluation, call, score, images):
    """Whether a call makes the queries, keys or values of an attention."""
    for image in images:
        for product in evaluation.products(image, score):
            layer = _attention_layer(evaluation, product, image)
            if (
                layer
                and _is_inside(call, layer)
                and call.outputs in evaluation.ancestors(product)
            ):
                return True
    return False


def _attention_layer(evaluation, product, image):
    """Returns the call of the layer that is one attention, or `None`.

    A layer that holds several, or a model that is built of layers, is none.
    """
    owner = evaluation.owner(product)
    if owner is None or not owner.path:
        return None
    if isinstance(owner.layer, (keras.Function, keras.Sequential)):
        return None
    products = evaluation.products(image, product)
    inside = [x for x in products if evaluation.owner(x) is owner]
    return owner if len(inside) <= _PRODUCTS else None


def _is_inside(call, outer):
    return call.path.startswith(f"{outer.path}/")


def _may_be_tokens(call):
    return (
        (call.is_layer or call.is_join)
        and ops.is_tensor(call.outputs)
        and len(call.outputs.shape) == 3
        and keras.backend.is_float_dtype(call.outputs.dtype)
    )
