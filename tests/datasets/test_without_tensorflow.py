"""Readers need no TensorFlow; what makes a tf.data.Dataset says so."""

import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xmap.datasets import PairedAugmentation
from keras_xmap.datasets import RegionFolders
from keras_xmap.datasets import region_batches


@pytest.fixture
def regions(tmp_path):
    for name in ("photos", "maps"):
        (tmp_path / name).mkdir()
    labels = np.eye(8, dtype="uint8")
    Image.fromarray(labels).save(tmp_path / "maps" / "a.png")
    Image.fromarray(9 * labels).save(tmp_path / "photos" / "a.png")
    return RegionFolders(tmp_path / "photos", tmp_path / "maps", {1: "line"})


def test_the_error_names_the_command_and_another_way(regions, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    remedy = r"`region_batches` .* Received: .*pip install \"keras-xmap\[cpu\]"
    with pytest.raises(ImportError, match=remedy):
        region_batches(regions, 4)
    with pytest.raises(ImportError, match="`PairedAugmentation` .* Received:"):
        PairedAugmentation(keras.layers.RandomFlip())
    # What the error says instead.
    image, mask = regions[0]
    assert image.shape == (8, 8, 3) and (mask == np.eye(8)).all()
