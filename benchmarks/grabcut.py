"""How much of the object a mask covers, on photos with one salient object.

`segmentation.grabcut` with its two methods, on Grad-CAM maps and on saliency
maps (blurred by 8 px) of SqueezeNet 1.1 for its best class, beside the map
itself cut at the one threshold that is best for all photos. Mean IoU with the
object's mask, with 95 % of 2,000 draws of photos with replacement, and
milliseconds a photo at its own size.

The folder, described in `_photos.py`, also holds

    ecssd/dev                 `images/*.jpg`, `masks/*.png`

    python benchmarks/grabcut.py --data DIR [--quick]
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import _photos
import _timing
import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.transform import resize

from keras_xmap import explainers
from keras_xmap import segmentation

NETWORK = "squeezenet_v1_1"
METHODS = ("grabcut", "watershed")
THRESHOLDS = np.arange(0.02, 1, 0.02)


def read(folder, every):
    path = os.path.join(folder.path, "ecssd", "dev")
    names = sorted(os.listdir(os.path.join(path, "images")))[::every]
    photos, masks = [], []
    for name in names:
        photo = Image.open(os.path.join(path, "images", name)).convert("RGB")
        name = os.path.splitext(name)[0] + ".png"
        mask = Image.open(os.path.join(path, "masks", name)).convert("L")
        photos.append(np.array(photo))
        masks.append(np.array(mask) > 0)
    return photos, masks


def maps_of(folder, photos):
    """Returns a list of maps at the photos' sizes for each explainer."""
    model = folder.network(NETWORK, logits=True)
    size = folder.size(NETWORK)
    small = [
        np.array(Image.fromarray(photo).resize((size, size), Image.BILINEAR))
        for photo in photos
    ]
    x = folder.prepared(NETWORK, np.stack(small))

    def at_own_size(maps):
        return [
            resize(
                map.astype("float64"),
                photo.shape[:2],
                order=1,
                mode="edge",
                anti_aliasing=False,
            )
            for map, photo in zip(maps, photos, strict=True)
        ]

    grad_cam = explainers.GradCAM(model).explain(x, verbose=0)
    saliency = explainers.Saliency(model).explain(x, verbose=0)
    return {
        "Grad-CAM": at_own_size(grad_cam),
        "saliency": [
            ndimage.gaussian_filter(map, 8) for map in at_own_size(saliency)
        ],
    }


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def summary(values):
    rows = np.random.default_rng(0).integers(
        len(values), size=(2000, len(values))
    )
    low, high = np.quantile(np.asarray(values)[rows].mean(1), (0.025, 0.975))
    return {
        "iou": round(float(np.mean(values)), 3),
        "interval": [round(float(low), 3), round(float(high), 3)],
    }


def best_threshold(maps, masks):
    shares = np.array(
        [
            [
                iou(map > map.min() + t * (map.max() - map.min()), mask)
                for t in THRESHOLDS
            ]
            for map, mask in zip(maps, masks, strict=True)
        ]
    )
    best = shares.mean(0).argmax()
    threshold = round(float(THRESHOLDS[best]), 2)
    return {**summary(shares[:, best]), "threshold": threshold}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    _photos.add_data(parser)
    parser.add_argument("--quick", action="store_true", help="every 20th photo")
    options = parser.parse_args()
    folder = _photos.folder_of(parser, options)
    photos, masks = read(folder, 20 if options.quick else 1)
    results = {"photos": len(photos)}
    for name, maps in maps_of(folder, photos).items():
        report = {"best threshold": best_threshold(maps, masks)}
        for method in METHODS:
            shares, seconds = [], []
            for photo, map, mask in zip(photos, maps, masks, strict=True):
                start = time.perf_counter()
                found = segmentation.grabcut(photo, map, method=method)
                seconds.append(time.perf_counter() - start)
                shares.append(iou(found, mask))
            milliseconds = round(1e3 * float(np.median(seconds)), 1)
            report[method] = {**summary(shares), "ms": milliseconds}
        results[name] = report
        print(name, report, flush=True)
    if not options.quick:
        _timing.write("grabcut", results)


if __name__ == "__main__":
    main()
