"""What is computed on one large photo."""

import numpy as np

from benchmarks.memory.counted import counted
from keras_xmap import ops
from keras_xmap import segmentation
from keras_xmap import visualization


def crf(folder, arguments, save):
    """The dense CRF; its memory does not depend on the iterations."""
    del folder
    size = (20, 30) if arguments.small else (2000, 3000)
    image, p = _photo(size), np.moveaxis(_smooth(size, 4), -1, 0)

    def refine():
        return segmentation.refine_with_crf(
            image, p, num_iterations=1, min_ratio=0
        )

    _save_with_pixels(refine, size, save)


def overlay(folder, arguments, save):
    """The map laid over the photo."""
    del folder
    size = (60, 60) if arguments.small else (6000, 6000)
    image, heatmap = _photo(size), _smooth((size[0] // 20, size[1] // 20), 1)
    _save_with_pixels(
        lambda: visualization.overlay(image, heatmap[..., 0]), size, save
    )


def _save_with_pixels(function, size, save):
    function()  # what is imported and kept on the first call
    row = counted(function)
    row["bytes a pixel"] = round(row["peak"] / (size[0] * size[1]), 1)
    title = f"{size[0]} x {size[1]}"
    print(f"  {title}: {row}", flush=True)
    save(title, row)


def _photo(size):
    noise = np.random.default_rng(0).normal(0, 3, (*size, 3))
    return np.clip(255 * _smooth(size, 3) + noise, 0, 255).astype("uint8")


def _smooth(size, channels):
    coarse = np.random.default_rng(1).random((1, 40, 60, channels), "float32")
    return np.asarray(ops.resize(coarse, size))[0]
