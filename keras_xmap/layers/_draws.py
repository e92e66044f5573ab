"""Random draws that differ between replicas, by what the replicas see."""

from keras import ops


def advance_seed(seed_generator, images):
    """Moves a seed on by what the images of this step hold.

    A strategy mirrors the state of a `SeedGenerator`: all replicas would draw
    the same. Keras has no public way for a layer to ask which replica it is
    on, but each replica has images of its own, and their sum, scaled beyond
    its rounding, tells them apart.
    """
    # Whole numbers, so that the sum has one value in every order.
    pixels = ops.cast(images, "float32") * 2531.011
    pixels = ops.cast(ops.mod(pixels, 4096.0), "int32")
    state = seed_generator.state
    fingerprint = ops.cast(ops.sum(pixels), state.dtype)
    state.assign(state + ops.stack([0 * fingerprint, fingerprint]))
