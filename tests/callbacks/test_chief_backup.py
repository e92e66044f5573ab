"""A backup is taken as it was written, or not at all."""

import keras
import numpy as np
import pytest
from callbacks.blobs import Kill
from callbacks.blobs import Killed

from keras_xmap.callbacks import ChiefBackup

pytestmark = pytest.mark.tensorflow


def fit(directory, *callbacks):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.arange(8.0).reshape((4, 2))
    model.fit(
        x,
        x[:, 0],
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[ChiefBackup(directory), *callbacks],
    )
    return model.get_weights()[0]


@pytest.mark.slow
def test_a_damaged_backup_is_named_and_training_goes_on_without_it(tmp_path):
    expected = fit(tmp_path / "whole")
    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        fit(folder, Kill(1, 0))
    (path,) = folder.iterdir()
    content = path.read_bytes()
    for damaged in (content[:-1], content[:900] + b"?" + content[901:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"Received: {path}. Put back"):
            fit(folder)
    path.write_bytes(content)
    assert (fit(folder) == expected).all()
    assert list(folder.iterdir()) == []  # training has ended
    # One that was written without a checksum.
    (folder / "epoch-00000001.weights.h5").write_bytes(content)
    with pytest.raises(ValueError, match="weights.h5. Put back the file, or"):
        fit(folder)
    (folder / "epoch-00000001.weights.h5").unlink()
    assert (fit(folder) == expected).all()
