"""How much of the object a mask covers, on photos with one salient object.

`segmentation.grabcut` with its two methods, on Grad-CAM maps and on saliency
maps (blurred by 8 px) of SqueezeNet 1.1 for its best class, beside the map
itself, brought to [0, 1] and cut at the one threshold that is best for all
photos. Mean IoU with the object's mask, with 95 % of 2,000 draws of photos with
replacement, and milliseconds a photo at its own size.

    python -m benchmarks.grabcut --data DIR
"""

import os
import time

import numpy as np
from scipy import ndimage
from skimage.transform import resize

from benchmarks.common import command
from benchmarks.common import images
from benchmarks.common.intervals import of_mean
from keras_xmap import explainers
from keras_xmap import ops
from keras_xmap import segmentation

NETWORK = "squeezenet_v1_1"
METHODS = ("grabcut", "watershed")
THRESHOLDS = np.arange(0.02, 1, 0.02)


def ecssd(folder, arguments, save):
    del arguments
    photos, masks = read(folder)
    save("photos", {"number": len(photos)})
    for name, maps in maps_of(folder, photos).items():
        report = {"best threshold": best_threshold(maps, masks)}
        for method in METHODS:
            shares, seconds = [], []
            for photo, heatmap, mask in zip(photos, maps, masks, strict=True):
                start = time.perf_counter()
                found = segmentation.grabcut(photo, heatmap, method=method)
                seconds.append(time.perf_counter() - start)
                shares.append(iou(found, mask))
            milliseconds = round(1e3 * float(np.median(seconds)), 1)
            report[method] = {**summary(shares), "ms": milliseconds}
        print(name, report, flush=True)
        save(name, report)


def read(folder):
    path = os.path.join(folder.path, "ecssd", "dev")
    names = folder.some(images.names_in(path, "images"))
    photos, masks = [], []
    for name in names:
        photo = os.path.join(path, "images", f"{name}.jpg")
        mask = os.path.join(path, "masks", f"{name}.png")
        photos.append(images.read_photo(photo))
        masks.append(images.read(mask) > 0)
    return photos, masks


def maps_of(folder, photos):
    """Returns a list of maps at the photos' sizes for each explainer."""
    model = folder.network(NETWORK, logits=True)
    size = folder.size(NETWORK)
    small = [images.resized(photo, (size, size)) for photo in photos]
    x = folder.prepared(NETWORK, np.stack(small))

    def at_own_size(maps):
        return [
            resize(
                heatmap.astype("float64"),
                photo.shape[:2],
                order=1,
                mode="edge",
                anti_aliasing=False,
            )
            for heatmap, photo in zip(maps, photos, strict=True)
        ]

    grad_cam = explainers.GradCAM(model).explain(x, verbose=0)
    saliency = explainers.Saliency(model).explain(x, verbose=0)
    return {
        "Grad-CAM": at_own_size(grad_cam),
        "saliency": [
            ndimage.gaussian_filter(heatmap, 8)
            for heatmap in at_own_size(saliency)
        ],
    }


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def summary(values):
    mean, *ends = (round(x, 3) for x in of_mean(values))
    return {"iou": mean, "interval": ends}


def best_threshold(maps, masks):
    shares = np.array(
        [
            _shares(heatmap, mask)
            for heatmap, mask in zip(maps, masks, strict=True)
        ]
    )
    best = shares.mean(0).argmax()
    threshold = round(float(THRESHOLDS[best]), 2)
    return {**summary(shares[:, best]), "threshold": threshold}


def _shares(heatmap, mask):
    """Overlaps of a map from 0 to 1, cut at each of the thresholds."""
    heatmap = ops.normalize(heatmap[None])
    found = [ops.above_threshold(heatmap, t) for t in THRESHOLDS]
    return [iou(np.asarray(region)[0], mask) for region in found]


PARTS = {"ecssd": ecssd}


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    return command.run(
        __package__, parser, PARTS, argv, photos=PARTS, smoke={"photos": 3}
    )


if __name__ == "__main__":
    main()
