"""What objects say of themselves: the call that makes them."""


def as_call(instance, **arguments):
    """Returns text such as `RegionStore(directory='regions', worker=0)`."""
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"{type(instance).__name__}({text})"
