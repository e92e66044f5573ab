"""Public signatures carry types, for editors and type checkers.

What they say is checked by mypy (`make lint`); here, that they are there.
"""

import inspect

import pytest
from public_interface import public_objects
from public_interface import signatures

EMPTY = inspect.Parameter.empty

pytestmark = pytest.mark.tensorflow


def missing_types(signature, is_class):
    """Returns the arguments without a type, and `return`."""
    arguments = signature.parameters.values()
    names = [a.name for a in arguments if a.annotation is EMPTY]
    if not is_class and signature.return_annotation is EMPTY:
        names.append("return")
    return names


def test_every_public_signature_says_its_types():
    classes = {
        name
        for name, value in public_objects().items()
        if inspect.isclass(value)
    }
    missing = {
        name: names
        for name, signature in signatures().items()
        if (names := missing_types(signature, name in classes))
    }
    assert missing == {}, "\n".join(
        f"{name}: {', '.join(names)}" for name, names in missing.items()
    )


def test_what_has_no_type_is_found():
    def function(a, b: int, *args, c=1, **kwargs: float):
        return a, b, args, c, kwargs

    found = missing_types(inspect.signature(function), False)
    assert found == ["a", "args", "c", "return"]
    assert missing_types(inspect.signature(function), True) == found[:-1]
