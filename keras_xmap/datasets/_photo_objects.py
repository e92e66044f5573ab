"""Objects cut from the photographs that ship with scikit-image."""

import functools

import numpy as np

# Outlines drawn by hand, as `x y` in pixels of the photograph.
_OUTLINES = {
    "train": {
        "chelsea": (
            "40 0, 395 0, 372 80, 360 150, 322 210, 300 270, 255 292, 180 272, "
            "100 250, 60 200, 30 120"
        ),
        "coffee": (
            "173 115, 185 65, 225 28, 285 18, 345 30, 390 65, 408 115, "
            "403 160, 385 205, 345 255, 300 283, 260 280, 235 305, 205 305, "
            "197 280, 215 240, 185 200, 173 150"
        ),
        "astronaut": (
            "280 511, 278 460, 295 405, 335 365, 385 347, 430 350, 470 375, "
            "492 420, 497 470, 500 511"
        ),
        "camera": (
            "0 270, 40 190, 75 140, 130 110, 165 80, 205 64, 250 75, 270 105, "
            "265 135, 245 165, 240 190, 275 200, 330 170, 330 205, 285 240, "
            "265 300, 225 305, 170 350, 140 390, 150 511, 0 511"
        ),
        "stereo_motorcycle": (
            "95 200, 140 150, 165 160, 260 165, 300 190, 350 185, 385 150, "
            "440 130, 490 90, 515 80, 560 130, 555 180, 540 200, 580 265, "
            "640 300, 680 360, 680 420, 640 450, 580 430, 520 370, 505 310, "
            "470 320, 450 365, 390 382, 335 385, 270 380, 210 405, 150 380, "
            "120 320, 125 280, 100 240"
        ),
        "rocket": (
            "312 145, 321 126, 331 140, 335 180, 333 405, 312 405, 310 180"
        ),
    },
    "test": {
        "coffee": (
            "397 70, 424 68, 418 110, 385 230, 405 270, 395 310, 360 326, "
            "330 310, 328 275, 345 245, 370 235, 405 140"
        ),
        "astronaut": (
            "153 90, 160 60, 185 30, 225 15, 270 30, 298 65, 300 100, "
            "285 130, 268 140, 258 175, 235 190, 205 185, 185 160, 175 122, "
            "158 110"
        ),
    },
}
# A second object of one photograph, of the test split.
_SHUTTLE = (
    "398 10, 415 0, 435 15, 440 45, 455 60, 456 235, 460 265, 370 272, "
    "358 215, 378 180, 380 50, 395 42"
)
_SMALLEST_COIN = 500
_NUM_TRAIN_COINS = 15


@functools.cache
def photo_objects(split, side):
    """Cuts out the objects of a split; the splits share none.

    Args:
        split: `"train"` or `"test"`.
        side: Integer, pixels of the longer side of every object.

    Returns:
        Two arrays `(n, side + 2, side + 2, 2)`, first things and people, then
        coins: grey in 0..1 times cover, and cover, inside a frame of zeros.
    """
    things = []
    for name, outline in _OUTLINES[split].items():
        things.append(_cut(_photograph(name), _inside(name, outline), side))
    if split == "test":
        mask = _inside("astronaut", _SHUTTLE)
        things.append(_cut(_photograph("astronaut"), mask, side))
    return np.stack(things), _coins(split, side)


@functools.cache
def _photograph(name):
    from skimage import color
    from skimage import data

    photograph = getattr(data, name)()
    if isinstance(photograph, tuple):  # Of a pair, the left one.
        photograph = photograph[0]
    if photograph.ndim == 3:
        return color.rgb2gray(photograph)
    return photograph / 255


def _inside(name, outline):
    from skimage import draw

    corners = np.array([pair.split() for pair in outline.split(",")], float)
    shape = _photograph(name).shape
    return draw.polygon2mask(shape, corners[:, ::-1])


def _coins(split, side):
    from skimage import filters
    from skimage import measure

    coins = _photograph("coins")
    # The light falls off across the photograph, so the threshold is local.
    smooth = filters.gaussian(coins, 2)
    regions = measure.label(smooth > filters.threshold_local(smooth, 151))
    cut = [
        _cut(coins, np.pad(region.image_filled, _padding(region, coins)), side)
        for region in measure.regionprops(regions)
        if region.area_filled > _SMALLEST_COIN and region.solidity > 0.9
    ]
    part = slice(_NUM_TRAIN_COINS)
    if split == "test":
        part = slice(_NUM_TRAIN_COINS, None)
    return np.stack(cut[part])


def _padding(region, image):
    top, left, bottom, right = region.bbox
    height, width = image.shape
    return ((top, height - bottom), (left, width - right))


def _cut(photograph, mask, side):
    from skimage.transform import resize

    rows, columns = np.nonzero(mask)
    window = (
        slice(rows.min(), rows.max() + 1),
        slice(columns.min(), columns.max() + 1),
    )
    cover = mask[window].astype("float64")
    layers = np.stack([cover * photograph[window], cover], axis=-1)
    longer = max(cover.shape)
    before = [(longer - length) // 2 for length in cover.shape]
    layers = np.pad(
        layers,
        [
            (start, longer - length - start)
            for start, length in zip(before, cover.shape, strict=True)
        ]
        + [(0, 0)],
    )
    small = resize(layers, (side, side), anti_aliasing=True)
    return np.pad(small, ((1, 1), (1, 1), (0, 0))).astype("float32")
