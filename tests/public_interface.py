"""Walks the public names of the package and the ways to call them."""

import inspect

import keras_xmap

PARTS = [name for name in keras_xmap.__all__ if name != "__version__"]
EMPTY = inspect.Parameter.empty


def public_objects():
    """Returns every public object by its full name."""
    return {
        f"keras_xmap.{part}.{name}": getattr(getattr(keras_xmap, part), name)
        for part in PARTS
        for name in getattr(keras_xmap, part).__all__
    }


def public_members(cls, public_classes):
    """Returns the methods and properties that a class adds, by name.

    Those that Keras or a public base declares are left out, but for `call`;
    those of a private base are listed here.
    """
    private = [
        base
        for base in cls.__mro__
        if base.__module__.startswith("keras_xmap.")
        and (base is cls or base not in public_classes)
    ]
    others = [base for base in cls.__mro__ if base not in private]
    inherited = {name for base in others for name in vars(base)} - {"call"}
    return {
        name: vars(base)[name]
        for base in reversed(private)
        for name in vars(base)
        if name not in inherited
        and (name == "__call__" or not name.startswith("_"))
        and (callable(vars(base)[name]) or is_wrapped(vars(base)[name]))
    }


def is_wrapped(value):
    return isinstance(value, (property, classmethod, staticmethod))


def called_as(value, bound):
    """Returns the signature that a caller sees, of a property its getter's."""
    if isinstance(value, property):
        value = value.fget
    bound = bound and not isinstance(value, staticmethod)
    signature = inspect.signature(getattr(value, "__func__", value))
    arguments = list(signature.parameters.values())[bound:]
    return signature.replace(parameters=arguments)


def signatures():
    """Returns the signature of all that is public, by its full name."""
    objects = public_objects()
    classes = {value for value in objects.values() if inspect.isclass(value)}
    found = {}
    for name, value in objects.items():
        made_by_init = inspect.isfunction(getattr(value, "__init__", None))
        found[name] = called_as(
            value.__init__ if made_by_init else value, made_by_init
        )
        if inspect.isclass(value):
            members = public_members(value, classes)
            found |= {
                f"{name}.{member}": called_as(members[member], True)
                for member in members
            }
    return dict(sorted(found.items()))


def described():
    """Returns a line for each: its arguments and their defaults."""
    objects = public_objects()
    lines = []
    for name, signature in signatures().items():
        plain = [
            argument.replace(annotation=EMPTY, default=readable(argument))
            for argument in signature.parameters.values()
        ]
        owner, _, member = name.rpartition(".")
        value = getattr(objects.get(owner), member, None)
        is_property = isinstance(value, property)
        lines.append(
            name if is_property else name + str(inspect.Signature(plain))
        )
    return lines


def readable(argument):
    """Returns the default, a class as its name."""
    if inspect.isclass(argument.default) and argument.default is not EMPTY:
        return Name(argument.default.__name__)
    return argument.default


class Name(str):
    __repr__ = str.__str__
