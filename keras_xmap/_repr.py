"""What objects say of themselves: the call that makes them."""


def as_call(instance, **arguments):
    """Returns text such as `RegionStore(directory='regions', worker=0)`."""
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"{type(instance).__name__}({text})"


def with_shapes(arrays):
    """Returns what a named tuple of arrays is, without their numbers."""
    shapes = {
        name: f"<{array.dtype} {array.shape}>"
        for name, array in arrays._asdict().items()
    }
    text = ", ".join(f"{name}={shape}" for name, shape in shapes.items())
    return f"{type(arrays).__name__}({text})"
