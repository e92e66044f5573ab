"""`segmentation.refine_with_crf`, whose sums over pixels are approximate."""

import numpy as np

from benchmarks.common import timing
from benchmarks.crf.peer import by_peer
from benchmarks.crf.photos import photo
from benchmarks.crf.photos import probabilities
from keras_xmap import ops
from keras_xmap import segmentation

SIZES = (((375, 500), 21), ((375, 500), 4), ((213, 320), 21))
SMALL_SIZES = (((30, 40), 4),)
CASES = (
    ("coffee", "paper"),
    ("chelsea", "paper"),
    ("astronaut", "paper"),
    ("coffee", "deeplab"),
    ("coffee", "irn"),
)


def times(folder, arguments, save):
    """Seconds a photo."""
    del folder
    for size, classes in SMALL_SIZES if arguments.small else SIZES:
        image, p = photo("coffee", size), probabilities(classes, size)

        def refine(image=image, p=p):
            return segmentation.refine_with_crf(image, p, min_ratio=0)

        row = {"keras-xmap": timing.alone(refine, arguments.repeats)}
        if arguments.peer:
            _, seconds = by_peer(
                arguments.peer, image, p, "paper", arguments.repeats
            )
            row["pydensecrf2"] = timing.summary(seconds)
        title = f"{size[0]} x {size[1]}, {classes} classes"
        print(f"  {title}: {row}", flush=True)
        save(title, row)


def agreement(folder, arguments, save):
    """Labels against those of the exact sum over all pairs."""
    del folder
    size = (30, 40) if arguments.small else (120, 160)
    for name, parameters in CASES[:1] if arguments.small else CASES:
        image, p = photo(name, size), probabilities(21, size)
        found = {
            "unrefined": p,
            "keras-xmap": segmentation.refine_with_crf(
                image, p, parameters, min_ratio=0
            ),
            "keras-xmap, min_ratio=0.01": segmentation.refine_with_crf(
                image, p, parameters
            ),
        }
        if arguments.peer:
            q, _ = by_peer(arguments.peer, image, p, parameters, 1)
            found["pydensecrf2"] = q
        exact = exact_sum(image, p, parameters)
        rows = {key: differences(q, exact) for key, q in found.items()}
        title = f"{name}, {parameters}"
        print(f"  {title}: {rows}", flush=True)
        save(title, {"height and width": size, **rows})


def exact_sum(image, p, parameters):
    logits = np.moveaxis(np.log(np.maximum(p, 1e-5)), 0, -1)
    q = ops.mean_field(image[None], logits[None].astype("float32"), parameters)
    return np.moveaxis(np.asarray(q)[0], -1, 0)


def differences(q, exact):
    other = (q.argmax(0) != exact.argmax(0)).mean()
    return {
        "other_label": round(float(other), 5),
        "mean_difference": round(float(np.abs(q - exact).mean()), 6),
    }
