"""Random draws that differ between replicas, and go on where they were."""

from keras import ops


class SavedDraws:
    """Saves with the weights of a layer where its `seed_generator` stands.

    Keras leaves the state of a seed out: training that goes on from a file
    would see its first draws again. Stands before `keras.layers.Layer`.
    """

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if hasattr(self, "seed_generator"):
            store["seed_state"] = self.seed_generator.state

    def load_own_variables(self, store):
        if "seed_state" in store.keys():  # noqa: SIM118, a store of Keras
            self.seed_generator.state.assign(store["seed_state"])


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
