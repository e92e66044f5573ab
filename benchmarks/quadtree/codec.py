"""Bytes of maps as `regions.encode_maps` writes them, and as others do."""

import io
import zlib

import numpy as np

from benchmarks.common import timing
from benchmarks.crf.photos import photo
from benchmarks.crf.photos import probabilities
from keras_xmap import explainers
from keras_xmap import regions
from keras_xmap import segmentation

NETWORK = "squeezenet_v1_1"
CRF_PHOTOS = ("coffee", "chelsea", "astronaut", "rocket")
CODEC = {
    "size": (375, 500),  # of the photos that a CRF looks at
    "classes": 21,
    "photos": 4,  # those of networks
    "samples": 16,  # of SmoothGrad
    "patch_size": 48,
    "tolerances": {"crf": (0.05, 0.01, 0.001), "maps": (0.05, 0.01, 0.005)},
}


def codec(folder, arguments, save):
    """Of each kind of maps and tolerance, means over the photos."""
    setting = arguments.codec
    size = setting["size"]
    unrefined = probabilities(setting["classes"], size).astype("float32")
    refined = [
        segmentation.refine_with_crf(photo(name, size), unrefined, min_ratio=0)
        for name in CRF_PHOTOS[: setting["photos"]]
    ]
    kinds = {"probabilities after a CRF": np.asarray(refined, "float32")}
    kinds.update(_explained(folder, setting))
    for kind, maps in kinds.items():
        of_classes = kind.startswith("probabilities")
        tolerances = setting["tolerances"]["crf" if of_classes else "maps"]
        if kind.startswith("CAM"):
            tolerances = (0.01,)
        for tolerance in tolerances:
            rows = [_row(x, tolerance, of_classes) for x in maps]
            mean = {
                name: _rounded(np.mean([row[name] for row in rows]))
                for name in rows[0]
            }
            print(f"  {kind}, {tolerance}: {mean}", flush=True)
            save(kind, {f"{tolerance:g}": mean})
    save("milliseconds", _times(kinds, arguments.repeats))


def _explained(folder, setting):
    photos = folder.photos("coco_seg", NETWORK)
    rows = np.linspace(0, len(photos) - 1, setting["photos"]).astype(int)
    photos, network = photos.take(rows), folder.network(NETWORK, logits=True)
    patch = setting["patch_size"]
    found = {
        "Saliency": explainers.Saliency(network),
        "SmoothGrad": explainers.SmoothGrad(
            network, num_samples=setting["samples"], seed=0
        ),
        "QuadtreeOcclusion": explainers.QuadtreeOcclusion(
            network, patch, strides=patch // 16, tolerance=0.15
        ),
        "CAM at the size of the photo": explainers.GradCAM(network),
        "CAM of the layer": explainers.GradCAM(network, resize=False),
    }
    return {
        name: explainer.explain(photos.images, photos.classes, 4, verbose=0)
        for name, explainer in found.items()
    }


def _row(maps, tolerance, of_classes):
    """Returns bytes by way of writing, and how alike what comes back is."""
    maps = np.ascontiguousarray(maps)
    content = regions.encode_maps(maps, tolerance, relative=not of_classes)
    back = regions.decode_maps(content)
    bound = tolerance * (1.0 if of_classes else float(np.ptp(maps)))
    if np.abs(back - maps).max() > bound:
        raise AssertionError("The bound does not hold.")
    if of_classes:
        alike = (back.argmax(0) == maps.argmax(0)).mean()
    else:
        alike = np.corrcoef(back.ravel(), maps.ravel())[0, 1]
    half = maps.astype("float16")
    return {
        "float32": maps.nbytes,
        "float16, npz": _npz(half),
        "float16, zlib": len(zlib.compress(half.tobytes(), 9)),
        "steps, zlib": _in_steps(maps, bound),
        "quadtree": len(content),
        "alike": alike,
    }


def _in_steps(maps, bound):
    """Returns the bytes of whole steps of the same bound at every pixel."""
    steps = np.rint((maps - maps.min()) / (2 * bound))
    dtype = "uint8" if steps.max() < 256 else "uint16"
    return len(zlib.compress(steps.astype(dtype).tobytes(), 9))


def _npz(maps):
    file = io.BytesIO()
    np.savez_compressed(file, maps=maps)
    return len(file.getvalue())


def _times(kinds, repeats):
    found = {}
    for kind in ("probabilities after a CRF", "Saliency"):
        maps = kinds[kind][0]
        content = regions.encode_maps(maps, 0.01)
        found[kind] = {
            "encode": timing.alone(
                lambda maps=maps: regions.encode_maps(maps, 0.01), repeats
            ),
            "decode": timing.alone(
                lambda content=content: regions.decode_maps(content), repeats
            ),
        }
    return found


def _rounded(value):
    return round(float(value), 5) if value < 2 else round(float(value))
