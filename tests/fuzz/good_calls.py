"""A call of every public name that ends in a result."""

import functools
import json
import os
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import keras_xmap as kx

SIZE = 4


class Call(NamedTuple):
    """How a name is called.

    `arguments()` returns a value for each argument, `owner()` the object
    whose method it is, and `then` uses the result, where that can fail.
    """

    arguments: object
    owner: object = None
    then: object = None


@functools.cache
def network(size=SIZE):
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@functools.cache
def backbone():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        ]
    )


@functools.cache
def two_stages():
    x = keras.Input((8, 8, 3))
    fine = keras.layers.Conv2D(4, 3, padding="same")(x)
    coarse = keras.layers.Conv2D(4, 3, 2, "same")(fine)
    return keras.Model(x, [fine, coarse])


def headed():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )


@functools.cache
def attentive():
    predictor = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.GlobalMaxPooling2D()]
    )
    attention = kx.models.attention_network((8, 8, 1), filters=2, depth=1)
    return kx.models.pixel_attention(predictor, attention)


@functools.cache
def learning():
    attention = kx.models.attention_network((8, 8, 3), filters=2, depth=1)
    return kx.models.PixelAttention(network(8), attention, 0.9, warm_up=1)


@functools.cache
def complementary():
    inputs = keras.Input((8, 8, 3))
    head = kx.layers.ComplementaryHead(num_classes=3, filters=2)
    return keras.Model(inputs, head(inputs)[:2])


def small_backbone():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    return keras.Model(inputs, keras.layers.ReLU()(x))


def images(batch=2, size=SIZE, channels=3):
    x = np.linspace(0, 1, batch * size * size * channels, dtype="float32")
    return x.reshape((batch, size, size, channels))


def maps(batch=2):
    return images(batch)[..., 0]


def masks():
    return (maps() > 0.5).astype("float32")


def photo():
    return (255 * images(1, 12)[0]).astype("uint8")


def photo_map():
    heatmap = np.zeros((12, 12), "float32")
    heatmap[3:9, 4:10] = 1
    return heatmap + images(1, 12)[0, ..., 0] / 8


def class_maps():
    heatmap = photo_map()
    return np.stack([heatmap, 1.5 - heatmap])


def pairs():
    data = tf.data.Dataset.from_tensor_slices((images(4), [0, 1, 2, 0]))
    return data.enumerate()


def map_store():
    made = kx.regions.MapStore()
    made.add([0], maps()[:1])
    return made


def store():
    made = kx.regions.RegionStore()
    made.add([0, 1], [0, 1], 1, masks() > 0)
    return made


def shared_store():
    made = kx.regions.RegionStore("store", shard_size=1)
    made.add([0, 1], [0, 1], 1, masks() > 0)
    return made


def coco():
    Image.fromarray(photo()).save("photo.png")
    content = {
        "images": [
            {"id": 7, "file_name": "photo.png", "height": 12, "width": 12}
        ],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {
                "id": number,
                "image_id": 7,
                "category_id": 3,
                "segmentation": [[0, 0, 6, 0, 6, 5, 0, 5]],
            }
            for number in range(2)
        ],
    }
    with open("instances.json", "w") as file:
        json.dump(content, file)
    return "instances.json"


def objects():
    return kx.datasets.COCOInstances(coco(), ".")


def folders():
    for folder, picture in (("photos", photo()), ("labels", masks()[1])):
        os.makedirs(folder, exist_ok=True)
        Image.fromarray(picture.astype("uint8")).save(f"{folder}/a.png")
    Image.fromarray(photo()[:4, :4]).save("photos/a.png")
    return "photos"


def region_folders():
    return kx.datasets.RegionFolders(folders(), "labels", {1: "one"})


def voc():
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Main"):
        os.makedirs(f"VOC/{folder}", exist_ok=True)
    os.makedirs("VOC/ImageSets/Segmentation", exist_ok=True)
    Image.fromarray(photo().astype("uint8")).save("VOC/JPEGImages/a.png")
    for file, line in (("Segmentation/train", "a"), ("Main/cat_train", "a 1")):
        with open(f"VOC/ImageSets/{file}.txt", "w") as text:
            text.write(line)
    kx.datasets.write_label_map(
        "VOC/SegmentationClass/a.png", np.ones(photo().shape[:2], "uint8")
    )
    return "VOC"


def voc_folder():
    return kx.datasets.VOCFolder(voc(), class_names=["cat"])


def labelled_folder():
    os.makedirs("classes/cat", exist_ok=True)
    Image.fromarray(photo().astype("uint8")).save("classes/cat/a.png")
    with open("classes.csv", "w") as text:
        text.write("image,labels\ncat/a.png,cat")
    return kx.datasets.LabelledFolder("classes", "classes.csv")


def callback():
    return kx.callbacks.AdversarialErasing(pairs(), 1)


def strategy():
    return tf.distribute.get_strategy()


def boxes_and_scores():
    return {
        "boxes": np.array([[[0, 0, 2, 2], [2, 2, 4, 4.0]]], "float32"),
        "classes": np.array([[[0.1, 0.9], [0.6, 0.4]]], "float32"),
    }


def once(dataset):
    return next(iter(dataset))


def on_images(layer):
    return layer(images())


@functools.cache
def _leaves():
    return kx.layers.QuadtreeLeaves(0.2, num_levels=2)(images())


def leaves():
    return list(_leaves())


def pooled_leaves():
    values, table = _leaves()
    return [*kx.layers.QuadtreePooling2D()([values, table]), table]


def on_pair(layer):
    return layer([images(), masks()], training=True)


def on_maps(layer):
    return layer(maps())


def logged(logger):
    logger.set_model(network())
    logger.on_train_begin()
    logger.on_epoch_begin(0)
    logger.on_epoch_end(0)


def scored(metric):
    metric.update_state(masks(), maps())
    return metric.result()


def boxed(metric):
    metric.update_state(np.array([[0, 0, 2, 2]] * 2), maps())
    return metric.result(), metric.best_threshold


def fitted(model, size=8, labels=None):
    return model(images(2, size))


def explained(explainer):
    return explainer.explain(images(), verbose=0)


def applied(target):
    scores = np.array([[0.1, 0.7, 0.2]], "float32")
    return target.scores(scores, target.parts)


def applied_to_boxes(target):
    return target.scores(boxes_and_scores(), target.parts)


def applied_to_maps(target):
    return target.scores(images(1), target.parts)


@functools.cache
def made(kind, **options):
    return getattr(kx.explainers, kind)(network(), **options)


def _cam(**options):
    return lambda: {
        "model": network(),
        "target_layer": None,
        **options,
        "resize": True,
        "fusion": "mean",
        "tokens": "auto",
        "input_name": None,
        "score": "logits",
    }


def _gradient(**options):
    return lambda: {
        "model": network(),
        **options,
        "input_name": None,
        "score": "logits",
    }


def _of_layer(**options):
    return _gradient(**options, target_layer=None)


CAMS = {
    "CAM": {},
    "EigenCAM": {"center": False},
    "GradCAM": {},
    "GradCAMPlusPlus": {"normalize_alpha": False},
    "HiResCAM": {},
    "LayerCAM": {"gamma": None, "rectify": "gradients"},
    "ScoreCAM": {"max_channels": 2, "weighting": "softmax"},
}
GRADIENTS = {
    "DeconvNet": _of_layer(channel_reduction="max"),
    "GradientInput": _of_layer(channel_reduction="sum"),
    "GuidedBackprop": _of_layer(channel_reduction="max"),
    "GuidedGradCAM": _of_layer(channel_reduction="max"),
    "IntegratedGradients": _of_layer(
        num_steps=2, baseline="zero", channel_reduction="sum"
    ),
    "Occlusion": _gradient(patch_size=2, strides=2, baseline=0),
    "QuadtreeOcclusion": _gradient(
        patch_size=2, strides=1, tolerance=0.2, max_passes=20, baseline=0
    ),
    "RISE": _gradient(num_masks=2, grid_size=2, keep_probability=0.5, seed=0),
    "RegionCAM": _gradient(target_layer="stages", tokens="auto"),
    "Saliency": _of_layer(channel_reduction="max"),
    "SmoothGrad": _of_layer(
        num_samples=2,
        noise_level=0.15,
        seed=0,
        reduction="mean",
        channel_reduction="max",
    ),
}

EXPLAINERS = {
    **{
        f"explainers.{name}": Call(_cam(**options), then=explained)
        for name, options in CAMS.items()
    },
    **{
        f"explainers.{name}": Call(arguments, then=explained)
        for name, arguments in GRADIENTS.items()
    },
    "explainers.ClassModel": Call(
        lambda: {
            "model": network(),
            "num_steps": 1,
            "learning_rate": 1.0,
            "weight_decay": 0.001,
            "total_variation": 0.1,
            "jitter": 1,
            "blur": 0.5,
            "target_layer": None,
            "score": "logits",
        },
        then=lambda made: made(target=0),
    ),
    "explainers.ClassModel.__call__": Call(
        lambda: {"target": 0, "shape": (4, 4, 3), "start": None},
        lambda: made("ClassModel", num_steps=1),
    ),
    "explainers.DistinctClassSaliency": Call(
        lambda: {
            "model": network(),
            "target_layer": None,
            "scales": None,
            "candidates": 2,
            "relu_rule": "guided",
            "alpha": 3.0,
            "normalization": "after",
            "signed": False,
            "upsampling": "after",
            "score": "logits",
        },
        then=lambda made: made.explain(images(), 1, verbose=0),
    ),
    "explainers.DistinctClassSaliency.find_candidates": Call(
        lambda: {
            "data": images(),
            "output": None,
            "batch_size": 2,
            "verbose": 0,
        },
        lambda: made("DistinctClassSaliency", candidates=2),
    ),
    "explainers.Explainer.__call__": Call(
        lambda: {"inputs": images(), "target": None, "views": [1, "mirror"]},
        lambda: made("GradCAM"),
    ),
    "explainers.Explainer.explain": Call(
        lambda: {
            "data": images(),
            "target": [0, 1],
            "batch_size": 2,
            "verbose": 0,
            "views": None,
        },
        lambda: made("GradCAM"),
    ),
    "explainers.Explainer.explain_batches": Call(
        lambda: {
            "data": images(),
            "target": None,
            "batch_size": 2,
            "verbose": 0,
            "views": None,
        },
        lambda: made("Saliency"),
        then=list,
    ),
    "explainers.Explainer.convert_target": Call(
        lambda: {"target": 1}, lambda: made("GradCAM")
    ),
    "explainers.IntegratedGradients.completeness_gap": Call(
        lambda: {
            "data": images(),
            "target": None,
            "batch_size": 2,
            "verbose": 0,
        },
        lambda: made("IntegratedGradients", num_steps=2),
    ),
}

SCORES = np.array([[0.1, 0.7, 0.2]], "float32")

TARGETS = {
    "targets.Binary": Call(
        lambda: {"index": 1, "output": None, "threshold": 0.5},
        then=lambda target: target.scores(SCORES[:, :1], target.parts),
    ),
    "targets.BoxScore": Call(
        lambda: {
            "box": [0, 0, 2, 2],
            "index": 1,
            "boxes_output": "boxes",
            "scores_output": "classes",
            "box_format": "xyxy",
            "iou_threshold": 0.5,
            "layout": None,
        },
        then=applied_to_boxes,
    ),
    "targets.Class": Call(lambda: {"index": 1, "output": None}, then=applied),
    "targets.Component": Call(
        lambda: {"index": 1, "sign": 1, "output": None}, then=applied
    ),
    "targets.Difference": Call(
        lambda: {"a": 0, "b": 1, "output": None}, then=applied
    ),
    "targets.MaskedMean": Call(
        lambda: {
            "index": 1,
            "mask": np.ones((1, 4, 4)),
            "output": None,
            "axis": -1,
        },
        then=applied_to_maps,
    ),
    "targets.Target.for_labels": Call(
        lambda: {"labels": np.array([0, 1])}, lambda: kx.targets.get("labels")
    ),
    "targets.get": Call(lambda: {"target": 1}, then=applied),
}

LAYERS = {
    "layers.AreaRatioLoss": Call(
        lambda: {"area_ratio": 0.5, "weight": 1.0}, then=on_maps
    ),
    "layers.AreaRatioLoss.call": Call(
        lambda: {"inputs": maps()}, lambda: kx.layers.AreaRatioLoss(0.5)
    ),
    "layers.BlockSparseConv2D": Call(
        lambda: {
            "filters": 2,
            "kernel_size": 3,
            "block_size": 2,
            "kernel_initializer": "ones",
            "capacity": 4,
            "data_format": None,
        },
        then=on_pair,
    ),
    "layers.BlockSparseConv2D.call": Call(
        lambda: {"inputs": [images(), masks()]},
        lambda: kx.layers.BlockSparseConv2D(2),
    ),
    "layers.ComplementaryHead": Call(
        lambda: {
            "num_classes": 2,
            "threshold": 0.6,
            "filters": 2,
            "seed": 0,
            "data_format": None,
        },
        then=on_images,
    ),
    "layers.ComplementaryHead.call": Call(
        lambda: {"inputs": [images(), np.eye(2)]},
        lambda: kx.layers.ComplementaryHead(2, filters=2),
    ),
    "layers.DenseCRF": Call(
        lambda: {
            "parameters": "paper",
            "num_iterations": 1,
            "from_logits": True,
            "data_format": None,
        },
        then=lambda layer: layer([images(), images()]),
    ),
    "layers.DenseCRF.call": Call(
        lambda: {"inputs": [images(), images()]},
        lambda: kx.layers.DenseCRF(num_iterations=1),
    ),
    "layers.EraseRegions": Call(
        lambda: {
            "fill": "noise",
            "mean": [0.1, 0.2, 0.3],
            "stddev": [1.0, 1.0, 1.0],
            "blur_radius": 2.0,
            "seed": 0,
            "data_format": None,
        },
        then=on_pair,
    ),
    "layers.EraseRegions.call": Call(
        lambda: {"inputs": [images(), masks()]},
        lambda: kx.layers.EraseRegions("zero"),
    ),
    "layers.GlobalWeightedRankPooling2D": Call(
        lambda: {"decay": 0.9, "reference_size": 16, "data_format": None},
        then=on_images,
    ),
    "layers.GlobalWeightedRankPooling2D.call": Call(
        lambda: {"inputs": images()}, kx.layers.GlobalWeightedRankPooling2D
    ),
    "layers.GuidedReLU": Call(lambda: {"max_value": 6.0}, then=on_images),
    "layers.GuidedReLU.call": Call(
        lambda: {"inputs": images()}, kx.layers.GuidedReLU
    ),
    "layers.HideAndSeek": Call(
        lambda: {
            "patch_sizes": (0, 2),
            "rate": 0.5,
            "fill": 0.5,
            "seed": 0,
            "data_format": None,
        },
        then=lambda layer: layer(images(), training=True),
    ),
    "layers.HideAndSeek.call": Call(
        lambda: {"inputs": images(), "training": True},
        lambda: kx.layers.HideAndSeek((2,), fill=0.0),
    ),
    "layers.MaskNoise": Call(
        lambda: {
            "stddev": 1.0,
            "distribution": "normal",
            "seed": 0,
            "data_format": None,
        },
        then=on_pair,
    ),
    "layers.MaskNoise.call": Call(
        lambda: {"inputs": [images(), masks()], "training": True},
        kx.layers.MaskNoise,
    ),
    "layers.QuadtreeConv2D": Call(
        lambda: {
            "filters": 2,
            "kernel_size": 3,
            "activation": "relu",
            "use_bias": True,
            "kernel_initializer": "ones",
            "kernel_regularizer": None,
        },
        then=lambda layer: layer(leaves()),
    ),
    "layers.QuadtreeConv2D.call": Call(
        lambda: {"inputs": leaves()}, lambda: kx.layers.QuadtreeConv2D(2)
    ),
    "layers.QuadtreeImage": Call(
        lambda: {"data_format": None}, then=lambda layer: layer(leaves())
    ),
    "layers.QuadtreeImage.call": Call(
        lambda: {"inputs": leaves()}, kx.layers.QuadtreeImage
    ),
    "layers.QuadtreeLeaves": Call(
        lambda: {
            "threshold": 0.2,
            "num_levels": 2,
            "kernel_size": 3,
            "capacity": 16,
            "with_level": True,
            "data_format": None,
        },
        then=on_images,
    ),
    "layers.QuadtreeLeaves.call": Call(
        lambda: {"inputs": images()}, lambda: kx.layers.QuadtreeLeaves(0.2)
    ),
    "layers.QuadtreePooling2D": Call(
        lambda: {"pooling": "max", "capacity": 16},
        then=lambda layer: layer(leaves()),
    ),
    "layers.QuadtreePooling2D.call": Call(
        lambda: {"inputs": leaves()}, kx.layers.QuadtreePooling2D
    ),
    "layers.QuadtreeUnpooling2D": Call(
        lambda: {}, then=lambda layer: layer(pooled_leaves())
    ),
    "layers.QuadtreeUnpooling2D.call": Call(
        lambda: {"inputs": pooled_leaves()}, kx.layers.QuadtreeUnpooling2D
    ),
    "layers.ROIAttention": Call(
        lambda: {
            "merge": "multiply",
            "kernel_size": 3,
            "gain": 100.0,
            "interpolation": "bilinear",
            "data_format": None,
        },
        then=on_pair,
    ),
    "layers.ROIAttention.call": Call(
        lambda: {"inputs": [images(), masks()]}, kx.layers.ROIAttention
    ),
    "layers.ROIAttention.attention": Call(
        lambda: {"mask": masks(), "size": (3, 3)},
        lambda: _called(kx.layers.ROIAttention()),
    ),
}


def _called(layer):
    layer([images(), masks()])
    return layer


LOSSES = {
    "losses.AreaRatio": Call(
        lambda: {
            "area_ratio": 0.5,
            "name": "area_ratio",
            "reduction": "sum",
            "dtype": None,
        },
        then=lambda loss: loss(np.zeros(2), maps()),
    ),
    "losses.AreaRatio.call": Call(
        lambda: {"y_true": np.zeros(2), "y_pred": maps()}, kx.losses.AreaRatio
    ),
    "losses.AreaRatio.__call__": Call(
        lambda: {"y_true": np.zeros(2), "y_pred": maps()}, kx.losses.AreaRatio
    ),
    "losses.area_ratio": Call(
        lambda: {"y_true": None, "y_pred": maps(), "area_ratio": 0.5}
    ),
}


def labels():
    return np.arange(32).reshape(2, 4, 4) % 3


def class_scores():
    return np.full((2, 4, 4, 3), 1 / 3, "float32")


_OF_LOSSES = {
    "constrain_to_boundary_loss": {
        "parameters": "sec",
        "num_iterations": 1,
        "from_logits": False,
        "min_probability": 0.01,
        "data_format": None,
    },
    "expansion_loss": {
        "decays": (0.9, 0.0, 0.9),
        "from_logits": False,
        "ignore_class": 255,
        "min_probability": 0.01,
        "data_format": None,
    },
    "prohibitive_segmentation_loss": {
        "from_logits": False,
        "ignore_class": 255,
        "data_format": None,
    },
    "seeding_loss": {
        "from_logits": False,
        "ignore_class": 255,
        "min_probability": 0.01,
        "data_format": None,
    },
}


def _truth(name):
    truth = {
        "constrain_to_boundary_loss": images(),
        "expansion_loss": np.array([[1, 0], [0, 1]]),
    }
    predicted = {
        "prohibitive_segmentation_loss": {
            "masks": class_scores(),
            "classes": np.ones((2, 2)),
        }
    }
    return {
        "y_true": truth.get(name, labels()),
        "y_pred": predicted.get(name, class_scores()),
    }


def _of_loss(name):
    """Returns the calls of a loss as function and as class."""
    options = _OF_LOSSES[name]
    title = "".join(word.title() for word in name.split("_"))
    kind = getattr(kx.losses, title)
    common = {"name": name, "reduction": "sum", "dtype": None}
    return {
        f"losses.{name}": Call(lambda: {**_truth(name), **options}),
        f"losses.{title}": Call(
            lambda: {**options, **common},
            then=lambda loss: loss(*_truth(name).values()),
        ),
        f"losses.{title}.call": Call(lambda: _truth(name), kind),
    }


for _name in _OF_LOSSES:
    LOSSES |= _of_loss(_name)


def _update(kind):
    return Call(
        lambda: {
            "y_true": masks(),
            "y_pred": maps(),
            "sample_weight": np.ones(2),
        },
        kind,
    )


_OF_MODEL = {
    "Deletion": {"num_steps": 2, "baseline": "mean"},
    "Insertion": {"num_steps": 2, "baseline": "blur"},
    "AverageDrop": {"baseline": "zero"},
    "IncreaseInConfidence": {"baseline": "zero"},
    "Infidelity": {
        "num_samples": 2,
        "maps_of": "contributions",
        "perturbation": "windows",
        "baseline": "zero",
        "noise_level": 0.1,
        "rescale": False,
        "seed": 0,
    },
    "ROAD": {
        "shares": (0.2, 0.5),
        "remove": "most_important",
        "noise_level": 0.1,
        "seed": 0,
    },
}


@functools.cache
def _model_metric(name):
    """Returns a metric whose step all calls share."""
    return getattr(kx.metrics, name)(network(), **_OF_MODEL[name])


@functools.cache
def _sensitivity():
    saliency = kx.explainers.Saliency(network())
    return kx.metrics.MaxSensitivity(saliency, num_samples=2)


def _of_model(name):
    """Returns the calls of a metric that asks a model."""
    asked = {"inputs": images(), "maps": maps(), "target": 1}
    owner = functools.partial(_model_metric, name)
    common = {
        "input_name": None,
        "score": "output",
        "batch_size": 2,
        "name": name,
        "dtype": None,
    }
    calls = {
        f"metrics.{name}": Call(
            lambda: {"model": network(), **_OF_MODEL[name], **common}
        ),
        f"metrics.{name}.image_scores": Call(lambda: asked, owner),
        f"metrics.{name}.update_state": Call(
            lambda: {**asked, "sample_weight": np.ones(2)}, owner
        ),
    }
    if name in ("Deletion", "Insertion", "ROAD"):
        calls[f"metrics.{name}.curves"] = Call(lambda: asked, owner)
    return calls


METRICS = {
    "metrics.EnergyInMask": Call(
        lambda: {"name": "energy", "dtype": None}, then=scored
    ),
    "metrics.MaxBoxAccuracy": Call(
        lambda: {
            "iou": 0.5,
            "num_thresholds": 4,
            "components": "largest",
            "name": "boxes",
            "dtype": None,
        },
        then=boxed,
    ),
    "metrics.MeanIoU": Call(
        lambda: {
            "threshold": 0.5,
            "num_thresholds": 4,
            "name": "iou",
            "dtype": None,
        },
        then=scored,
    ),
    "metrics.PixelAveragePrecision": Call(
        lambda: {"num_thresholds": 4, "name": "pixels", "dtype": None},
        then=scored,
    ),
    "metrics.PointingGame": Call(
        lambda: {"tolerance": 1, "name": "pointing", "dtype": None},
        then=scored,
    ),
    "metrics.EnergyInMask.update_state": _update(kx.metrics.EnergyInMask),
    "metrics.MeanIoU.update_state": _update(kx.metrics.MeanIoU),
    "metrics.PixelAveragePrecision.update_state": _update(
        kx.metrics.PixelAveragePrecision
    ),
    "metrics.PointingGame.update_state": _update(kx.metrics.PointingGame),
    "metrics.MaxBoxAccuracy.update_state": Call(
        lambda: {
            "y_true": np.array([[0, 0, 2, 2]] * 2),
            "y_pred": maps(),
            "sample_weight": np.ones(2),
        },
        lambda: kx.metrics.MaxBoxAccuracy(num_thresholds=2),
    ),
    "metrics.label_randomization": Call(
        lambda: {
            "explainer": kx.explainers.Saliency(headed()),
            "permuted": kx.explainers.Saliency(headed()),
            "data": images(2, 8, 3),
            "target": 1,
            "batch_size": 2,
        }
    ),
    "metrics.map_similarity": Call(
        lambda: {"first": maps(), "second": maps()[::-1]}
    ),
    "metrics.parameter_randomization": Call(
        lambda: {
            "explainer": kx.explainers.Saliency(headed()),
            "data": images(2, 8, 3),
            "target": 1,
            "mode": "cascading",
            "steps": 1,
            "batch_size": 2,
            "seed": 0,
            "verbose": 0,
        }
    ),
    "metrics.MaxSensitivity": Call(
        lambda: {
            "explainer": kx.explainers.Saliency(network()),
            "radius": 0.1,
            "num_samples": 2,
            "seed": 0,
            "batch_size": 2,
            "name": "sensitivity",
            "dtype": None,
        }
    ),
    "metrics.MaxSensitivity.image_scores": Call(
        lambda: {"inputs": images(), "target": 1}, _sensitivity
    ),
    "metrics.MaxSensitivity.update_state": Call(
        lambda: {
            "inputs": images(),
            "target": 1,
            "sample_weight": np.ones(2),
        },
        _sensitivity,
    ),
    "metrics.Sparseness": Call(
        lambda: {"name": "sparseness", "dtype": None},
        then=lambda metric: metric(maps()),
    ),
    "metrics.Sparseness.image_scores": Call(
        lambda: {"maps": maps()}, kx.metrics.Sparseness
    ),
    "metrics.Sparseness.update_state": Call(
        lambda: {"maps": maps(), "sample_weight": np.ones(2)},
        kx.metrics.Sparseness,
    ),
    "metrics.collusion": Call(
        lambda: {
            "model": attentive(),
            "images": images(4, 8, 1),
            "targets": np.arange(4.0),
            "seed": 0,
            "batch_size": 4,
        }
    ),
}

for _name in _OF_MODEL:
    METRICS |= _of_model(_name)

MODELS = {
    "models.attention_network": Call(
        lambda: {
            "input_shape": (8, 8, 3),
            "area_ratio": 0.9,
            "filters": 2,
            "depth": 1,
            "data_format": None,
            "name": "attention",
        },
        then=fitted,
    ),
    "models.complementary": Call(
        lambda: {
            "backbone": backbone(),
            "num_classes": 2,
            "threshold": 0.6,
            "filters": 2,
            "label_input": False,
            "name": "complementary",
        },
        then=fitted,
    ),
    "models.complementary_maps": Call(
        lambda: {"model": complementary()}, then=fitted
    ),
    "models.fully_convolutional": Call(
        lambda: {"model": headed(), "pooling": "window", "name": None},
        then=fitted,
    ),
    "models.multi_label_classifier": Call(
        lambda: {
            "backbone": backbone(),
            "num_classes": 2,
            "scale_range": (0.5, 1.0),
            "seed": 0,
            "name": "classifier",
            "pooling": "average",
        },
        then=lambda model: model(images(2, 8), training=True),
    ),
    "models.quadtree_decoder": Call(
        lambda: {
            "backbone": two_stages(),
            "num_classes": 2,
            "filters": 2,
            "threshold": 0.5,
            "seed": 0,
            "name": "network",
        },
        then=lambda model: model(images(2, 8)),
    ),
    "models.segmentation_network": Call(
        lambda: {
            "backbone": backbone(),
            "num_classes": 2,
            "filters": 2,
            "dilation_rate": 1,
            "classify": False,
            "seed": 0,
            "name": "network",
        },
        then=lambda model: model(images(2, 8)),
    ),
    "models.PixelAttention": Call(
        lambda: {
            "predictor": network(8),
            "attention": kx.models.attention_network(
                (8, 8, 3), filters=2, depth=1
            ),
            "area_ratio": 0.9,
            "noise": 0.05,
            "area_weight": 1.0,
            "warm_up": 1,
        },
        then=lambda model: model.predict(images(2, 8), verbose=0),
    ),
    "models.PixelAttention.call": Call(
        lambda: {"inputs": images(2, 8), "training": False}, learning
    ),
    "models.PixelAttention.explain": Call(
        lambda: {
            "data": images(2, 8),
            "batch_size": 2,
            "verbose": 0,
            "mirrors": ["left_right"],
            "calibrate": True,
        },
        learning,
    ),
    "models.pixel_attention": Call(
        lambda: {
            "predictor": network(8),
            "attention": kx.models.attention_network(
                (8, 8, 3), filters=2, depth=1
            ),
            "area_ratio": 0.9,
            "noise": 0.05,
            "area_weight": 1.0,
            "name": "pixels",
        },
        then=fitted,
    ),
    "models.roi_classifier": Call(
        lambda: {
            "backbone": small_backbone(),
            "num_classes": 2,
            "merge_layer": None,
            "merge": "multiply",
            "activation": "softmax",
            "gain": 100.0,
            "name": "roi",
        },
        then=lambda model: model(
            {"image": images(2, 8), "mask": images(2, 8)[..., 0]}
        ),
    ),
}

OPS = {
    "ops.above_threshold": Call(lambda: {"maps": maps(), "threshold": 0.2}),
    "ops.box_iou": Call(
        lambda: {
            "boxes1": np.array([[0, 0, 2, 2.0]]),
            "boxes2": np.array([[1, 0, 2, 2.0]]),
        }
    ),
    "ops.crf_parameters": Call(
        lambda: {
            "parameters": {
                "appearance_weight": 1.0,
                "position_stddev": 2.0,
                "color_stddev": 3.0,
                "smoothness_weight": 4.0,
                "smoothness_stddev": 5.0,
            }
        }
    ),
    "ops.gaussian_blur": Call(
        lambda: {
            "x": images(),
            "stddev": 1.0,
            "data_format": "channels_last",
        }
    ),
    "ops.global_weighted_rank_pooling": Call(
        lambda: {"maps": images(), "decay": 0.9, "reference_size": 16}
    ),
    "ops.mean_field": Call(
        lambda: {
            "image": images(),
            "scores": images(),
            "parameters": "paper",
            "num_iterations": 1,
        }
    ),
    "ops.normalize": Call(
        lambda: {"maps": maps(), "method": "min_max", "axis": (1, 2)}
    ),
    "ops.quadtree": Call(
        lambda: {
            "x": images(),
            "threshold": 0.2,
            "num_levels": 2,
            "criterion": "range",
            "data_format": "channels_last",
        }
    ),
    "ops.quadtree_decode": Call(
        lambda: {
            "values": np.ones((8, 3), "float32"),
            "levels": np.ones((2, SIZE, SIZE), "int32"),
            "data_format": "channels_last",
        }
    ),
    "ops.quadtree_encode": Call(
        lambda: {
            "x": images(),
            "levels": np.ones((2, SIZE, SIZE), "int32"),
            "data_format": "channels_last",
        }
    ),
    "ops.quadtree_labels": Call(
        lambda: {
            "labels": np.ones((2, SIZE, SIZE), "int32"),
            "num_classes": 2,
            "num_levels": 2,
            "ignore_class": 255,
        }
    ),
    "ops.quadtree_leaves": Call(
        lambda: {"levels": np.ones((2, SIZE, SIZE), "int32")}
    ),
    "ops.calibrate": Call(lambda: {"maps": maps(), "share": 0.25}),
    "ops.quadtree_table": Call(
        lambda: {
            "levels": np.ones((2, SIZE, SIZE), "int32"),
            "num_levels": 2,
            "kernel_size": 3,
            "capacity": 16,
        }
    ),
    "ops.relevance": Call(lambda: {"noise_mask": maps()}),
    "ops.resize": Call(
        lambda: {
            "x": images(),
            "size": (2, 3),
            "interpolation": "bilinear",
            "data_format": "channels_last",
        }
    ),
    "ops.suppress_classes": Call(
        lambda: {
            "maps": images(),
            "classes": np.ones((2, 2)),
            "data_format": "channels_last",
        }
    ),
}

REGIONS = {
    "regions.RegionStore": Call(
        lambda: {
            "directory": "regions",
            "worker": 0,
            "shard_size": 10,
            "memory_bytes": 1000,
        },
        then=lambda made: (
            made.add([0], [0], 1, masks()[:1] > 0),
            made.flush(),
        ),
    ),
    "regions.RegionStore.add": Call(
        lambda: {
            "image_ids": [0, 2],
            "class_ids": [0, 1],
            "round_id": 1,
            "masks": masks() > 0,
        },
        store,
    ),
    "regions.RegionStore.discard": Call(lambda: {"round_id": 1}, store),
    "regions.RegionStore.labels": Call(
        lambda: {"image_id": 0, "rounds": [1], "overlap": "smallest"}, store
    ),
    "regions.RegionStore.mask": Call(
        lambda: {"image_ids": [0, 1], "size": (4, 4), "rounds": [1]}, store
    ),
    "regions.RegionStore.merge": Call(lambda: {"other": store()}, store),
    "regions.RegionStore.mined": Call(lambda: {"round_id": 1}, store),
    "regions.RegionStore.region": Call(
        lambda: {"image_id": 0, "class_id": 0, "rounds": [1]}, store
    ),
    "regions.RegionStore.regions": Call(lambda: {"image_id": 0}, store),
    "regions.RegionStore.save_coco": Call(
        lambda: {
            "path": "out.json",
            "rounds": 1,
            "class_names": ["a", "b"],
            "compressed": True,
        },
        store,
    ),
    "regions.RegionStore.save_png": Call(
        lambda: {"directory": "out", "rounds": 1, "overlap": "smallest"}, store
    ),
    "regions.RegionStore.size": Call(lambda: {"image_id": 0}, store),
    "regions.MapStore": Call(
        lambda: {
            "directory": "maps",
            "tolerance": 0.1,
            "relative": True,
            "worker": 0,
            "shard_size": 10,
        },
        then=lambda made: (made.add([0], maps()[:1]), made.flush()),
    ),
    "regions.MapStore.add": Call(
        lambda: {"image_ids": [1, 2], "maps": maps()}, map_store
    ),
    "regions.MapStore.maps": Call(lambda: {"image_id": 0}, map_store),
    "regions.decode_maps": Call(
        lambda: {"content": kx.regions.encode_maps(maps())}
    ),
    "regions.encode_maps": Call(
        lambda: {"maps": maps(), "tolerance": 0.1, "relative": True}
    ),
    "regions.decode_run_lengths": Call(
        lambda: {"run_lengths": {"size": [2, 2], "counts": [0, 2, 1, 1]}}
    ),
    "regions.encode_run_lengths": Call(
        lambda: {"mask": masks()[0], "compressed": True}
    ),
}


def _pair_features():
    return np.arange(2 * 4 * 4 * 3, dtype="float32").reshape(2, 4, 4, 3)


def _pair_labels():
    labels = np.zeros((2, 4, 4), "int32")
    labels[:, :, 2:] = 1
    return labels


@functools.cache
def _fitted_affinity():
    affinity = kx.segmentation.Affinity(2, seed=0)
    return affinity.fit(_pair_features(), _pair_labels(), 1, verbose=0)


SEGMENTATION = {
    "segmentation.background_cue": Call(
        lambda: {"maps": class_maps(), "share": 0.1}
    ),
    "segmentation.boxes": Call(
        lambda: {
            "maps": photo_map(),
            "threshold": 0.2,
            "components": "largest",
        }
    ),
    "segmentation.crop": Call(
        lambda: {
            "images": photo(),
            "maps": photo_map(),
            "threshold": 0.2,
            "margin": 0.1,
            "square": False,
        }
    ),
    "segmentation.grabcut": Call(
        lambda: {
            "images": photo(),
            "maps": photo_map(),
            "quantiles": (0.3, 0.9),
            "components": "largest",
            "method": "watershed",
            "num_iterations": 1,
        }
    ),
    "segmentation.guided_labels": Call(
        lambda: {
            "images": photo(),
            "maps": class_maps(),
            "saliency": photo_map() / 2,
            "classes": [0, 1],
            "threshold": 0.2,
            "saliency_threshold": 0.3,
            "min_area": 0.01,
            "outside": "class",
            "parameters": "deeplab",
        }
    ),
    "segmentation.random_walk": Call(
        lambda: {
            "maps": class_maps(),
            "features": np.ones((*class_maps().shape[1:], 2)),
            "radius": 3,
            "beta": 8.0,
            "num_steps": 2,
        }
    ),
    "segmentation.confident_labels": Call(
        lambda: {
            "images": photo(),
            "maps": class_maps(),
            "classes": [0, 1],
            "powers": (4.0, 32.0),
            "parameters": "paper",
            "num_iterations": 1,
        }
    ),
    "segmentation.Affinity": Call(
        lambda: {"channels": 2, "radius": 2, "seed": 0}
    ),
    "segmentation.Affinity.fit": Call(
        lambda: {
            "features": _pair_features(),
            "labels": _pair_labels(),
            "epochs": 1,
            "batch_size": 1,
            "learning_rate": 0.1,
            "verbose": 0,
        },
        lambda: kx.segmentation.Affinity(2, seed=0),
    ),
    "segmentation.Affinity.embed": Call(
        lambda: {"features": _pair_features(), "batch_size": 1},
        _fitted_affinity,
    ),
    "segmentation.Affinity.refine": Call(
        lambda: {
            "features": _pair_features()[0],
            "maps": np.ones((1, 4, 4)),
            "beta": 8.0,
            "num_steps": 2,
        },
        _fitted_affinity,
    ),
    "segmentation.pseudo_labels": Call(
        lambda: {
            "maps": class_maps(),
            "saliency": photo_map() / 2,
            "classes": [0, 1],
            "threshold": 0.2,
            "saliency_threshold": 0.3,
            "overlap": "smallest",
            "with_background": "ignore",
            "unclaimed": "ignore",
            "size": (12, 12),
        }
    ),
    "segmentation.refine_with_crf": Call(
        lambda: {
            "images": photo(),
            "maps": class_maps(),
            "parameters": "paper",
            "num_iterations": 1,
            "min_ratio": 0.01,
        }
    ),
    "segmentation.to_probabilities": Call(
        lambda: {"maps": class_maps(), "background_threshold": 0.2}
    ),
}


def drfi():
    return kx.segmentation.DRFI([(0.8, 10, 4)], num_trees=2, seed=0)


def object_and_ground():
    mask = np.zeros((12, 12), bool)
    mask[3:9, 4:10] = True
    return mask


def square():
    return np.where(object_and_ground()[..., None], [250, 120, 0], photo() / 4)


@functools.cache
def fitted_drfi():
    return drfi().fit([square()] * 2, [object_and_ground()] * 2, verbose=0)


def saved_drfi():
    fitted_drfi().save("drfi.npz")
    return "drfi.npz"


SEGMENTATION |= {
    "segmentation.DRFI": Call(
        lambda: {
            "levels": [(0.8, 10, 4)],
            "num_trees": 2,
            "contrast": "global",
            "seed": 0,
        },
    ),
    "segmentation.DRFI.fit": Call(
        lambda: {
            "images": [square()] * 2,
            "masks": [object_and_ground()] * 2,
            "verbose": 0,
        },
        drfi,
    ),
    "segmentation.DRFI.load": Call(
        lambda: {"path": saved_drfi()}, lambda: kx.segmentation.DRFI
    ),
    "segmentation.DRFI.predict": Call(
        lambda: {"images": [photo()], "verbose": 0}, fitted_drfi
    ),
    "segmentation.DRFI.save": Call(lambda: {"path": "drfi.npz"}, fitted_drfi),
    "segmentation.region_descriptors": Call(
        lambda: {
            "image": photo(),
            "segments": object_and_ground().astype(int),
            "contrast": "global",
        }
    ),
}

VISUALIZATION = {
    "visualization.grayscale_attention": Call(lambda: {"noise_mask": maps()}),
    "visualization.overlay": Call(
        lambda: {
            "image": photo(),
            "heatmap": photo_map(),
            "alpha": 0.5,
            "colormap": None,
            "signed": False,
            "data_range": (0, 255),
        }
    ),
    "visualization.panel": Call(
        lambda: {
            "rows": [[photo(), None]],
            "titles": ["a", "b"],
            "cell_size": (8, 8),
            "interpolation": "nearest",
            "gap": 1,
        }
    ),
    "visualization.quadtree_cells": Call(
        lambda: {
            "image": photo(),
            "levels": np.full((12, 12), 2),
            "color": (255, 0, 0),
            "min_side": 2,
            "data_range": None,
        }
    ),
    "visualization.show": Call(
        lambda: {
            "images": [photo()],
            "maps": photo_map()[None],
            "titles": ["a"],
            "alpha": 0.5,
            "colormap": None,
            "signed": False,
            "data_range": (0, 255),
        }
    ),
    "visualization.slice_panel": Call(
        lambda: {
            "volume": np.stack([photo()[..., 0]] * 3),
            "heatmap": np.stack([photo()[..., 0] / 255] * 3),
            "axis": 0,
            "num_slices": 2,
            "alpha": 0.5,
            "colormap": None,
            "signed": False,
            "data_range": (0, 255),
        }
    ),
    "visualization.trace": Call(
        lambda: {
            "signal": np.arange(6.0),
            "heatmap": np.arange(6.0),
            "times": np.arange(6.0),
            "titles": ["a"],
            "colormap": None,
            "signed": False,
        }
    ),
    "visualization.to_uint8": Call(
        lambda: {"image": photo(), "data_range": (0, 255)}
    ),
}


def _erase(arguments):
    return arguments[0]


DATASETS = {
    "datasets.COCOInstances": Call(
        lambda: {
            "annotations": coco(),
            "directory": ".",
            "crowd": False,
            "min_area": 1.0,
        },
        then=lambda made: made[0],
    ),
    "datasets.COCOInstances.file": Call(lambda: {"index": 1}, objects),
    "datasets.COCOInstances.subset": Call(
        lambda: {"rows": [1]}, objects, then=lambda made: made[0]
    ),
    "datasets.Ellipses.decode": Call(
        lambda: {"targets": _ellipses().targets}, lambda: _ellipses()
    ),
    "datasets.Ellipses.errors": Call(
        lambda: {"predictions": _ellipses().targets}, lambda: _ellipses()
    ),
    "datasets.Ellipses.with_mirrors": Call(dict, lambda: _ellipses()),
    "datasets.TexturedEllipses.decode": Call(
        lambda: {"targets": _textured().targets}, lambda: _textured()
    ),
    "datasets.TexturedEllipses.errors": Call(
        lambda: {"predictions": _textured().targets}, lambda: _textured()
    ),
    "datasets.TexturedEllipses.with_mirrors": Call(dict, lambda: _textured()),
    "datasets.PairedAugmentation": Call(
        lambda: {"layers": keras.layers.RandomFlip("horizontal")},
        then=lambda made: made({"image": images(), "mask": masks()}),
    ),
    "datasets.PairedAugmentation.__call__": Call(
        lambda: {"inputs": {"image": images(), "mask": masks()}},
        lambda: kx.datasets.PairedAugmentation(
            keras.layers.RandomFlip("horizontal")
        ),
    ),
    "datasets.RegionFolders": Call(
        lambda: {
            "directory": folders(),
            "label_maps": "labels",
            "classes": {1: "one"},
            "channel": 0,
            "min_area": 1,
        },
        then=lambda made: made[0],
    ),
    "datasets.RegionFolders.file": Call(lambda: {"index": 0}, region_folders),
    "datasets.RegionFolders.subset": Call(
        lambda: {"rows": [0]}, region_folders
    ),
    "datasets.LabelledFolder": Call(
        lambda: {
            "directory": labelled_folder() and "classes",
            "labels": "classes.csv",
            "class_names": ["cat"],
        },
        then=lambda made: made[0],
    ),
    "datasets.LabelledFolder.file": Call(lambda: {"index": 0}, labelled_folder),
    "datasets.LabelledFolder.mask": Call(lambda: {"index": 0}, voc_folder),
    "datasets.LabelledFolder.subset": Call(
        lambda: {"rows": [0]}, labelled_folder
    ),
    "datasets.LabelledFolder.without_corrupt": Call(
        lambda: {"masks": False, "verbose": 0}, labelled_folder
    ),
    "datasets.VOCFolder": Call(
        lambda: {
            "directory": voc(),
            "split": "train",
            "labels": "main",
            "class_names": ["cat"],
            "masks": "SegmentationClass",
        },
        then=lambda made: made.mask(0),
    ),
    "datasets.VOCFolder.file": Call(lambda: {"index": 0}, voc_folder),
    "datasets.VOCFolder.mask": Call(lambda: {"index": 0}, voc_folder),
    "datasets.VOCFolder.subset": Call(lambda: {"rows": [0]}, voc_folder),
    "datasets.VOCFolder.without_corrupt": Call(
        lambda: {"masks": True, "verbose": 0}, voc_folder
    ),
    "datasets.read_label_map": Call(
        lambda: {
            "file": voc() and "VOC/SegmentationClass/a.png",
            "num_classes": 1,
        }
    ),
    "datasets.write_label_map": Call(
        lambda: {"file": "labels.png", "labels": np.array([[0, 1]])}
    ),
    "datasets.channel_statistics": Call(
        lambda: {
            "dataset": pairs(),
            "input_name": None,
            "data_format": None,
        }
    ),
    "datasets.context_scenes": Call(
        lambda: {"num_scenes": 2, "size": 24, "num_classes": 4, "seed": 0}
    ),
    "datasets.ellipses": Call(
        lambda: {
            "num_images": 2,
            "clutter": "circles",
            "encoding": "double",
            "size": 16,
            "split": "train",
            "seed": 0,
        }
    ),
    "datasets.textured_ellipses": Call(
        lambda: {
            "num_images": 2,
            "question": "crossing",
            "texture": "grain",
            "size": 32,
            "split": "train",
            "seed": 0,
        }
    ),
    "datasets.handwritten_scenes": Call(
        lambda: {
            "num_scenes": 2,
            "size": 32,
            "num_classes": 3,
            "multi_label": False,
            "split": "train",
            "seed": 0,
        }
    ),
    "datasets.printed_scenes": Call(
        lambda: {
            "num_scenes": 2,
            "size": 32,
            "num_classes": 3,
            "multi_label": False,
            "split": "train",
            "seed": 0,
        }
    ),
    "datasets.two_cue_objects": Call(
        lambda: {
            "num_images": 2,
            "size": 48,
            "num_classes": 2,
            "cues": "both",
            "split": "train",
            "seed": 0,
        }
    ),
    "datasets.read_photo": Call(
        lambda: {"path": f"{folders()}/a.png"},
    ),
    "datasets.region_batches": Call(
        lambda: {
            "regions": objects(),
            "image_size": (4, 4),
            "batch_size": 1,
            "crop": (1.0, 2.0),
            "training": True,
            "seed": 0,
        },
        then=once,
    ),
}


@functools.cache
def _ellipses():
    return kx.datasets.ellipses(2, size=16, seed=0)


@functools.cache
def _textured():
    return kx.datasets.textured_ellipses(2, seed=0)


def weak_run():
    return kx.weak_segmentation.WeakSegmentation(
        backbone(), "run", 8, classifier_epochs=1, epochs=1, crf=None
    )


def masked_run():
    made = weak_run()
    made.fit(voc_folder(), verbose=0)
    return made


WEAK_SEGMENTATION = {
    "weak_segmentation.WeakSegmentation": Call(
        lambda: {
            "backbone": backbone(),
            "directory": "run",
            "image_size": (8, 8),
            "explainer": kx.explainers.GradCAM,
            "views": [1, "mirror"],
            "max_rounds": 1,
            "erasing_threshold": 0.2,
            "threshold": 0.2,
            "background": "unclaimed",
            "saliency_threshold": 0.06,
            "loss": "plain",
            "classifier_epochs": 1,
            "epochs": 1,
            "batch_size": 2,
            "optimizer": keras.optimizers.Adam,
            "crf": "paper",
            "value_range": (0, 255),
            "seed": 0,
        },
    ),
    "weak_segmentation.WeakSegmentation.fit": Call(
        lambda: {"images": voc_folder(), "verbose": 0}, weak_run
    ),
    "weak_segmentation.WeakSegmentation.predict": Call(
        lambda: {
            "images": voc_folder(),
            "directory": "predicted",
            "verbose": 0,
        },
        masked_run,
    ),
    "weak_segmentation.mean_iou": Call(
        lambda: {"images": voc_folder(), "masks": "VOC/SegmentationClass"}
    ),
}


TRAINING = {
    "callbacks.AdversarialErasing": Call(
        lambda: {
            "dataset": pairs(),
            "epochs_per_round": 1,
            "max_rounds": 1,
            "threshold": 0.2,
            "explainer": kx.explainers.GradCAM,
            "targets": None,
            "fill": "mean",
            "reset": "new",
            "stop": None,
            "directory": None,
            "callbacks": (),
            "seed": 0,
            "mask_threshold": None,
        }
    ),
    "callbacks.AdversarialErasing.training_data": Call(
        lambda: {
            "batch_size": 2,
            "shuffle_buffer": 2,
            "drop_remainder": False,
        },
        callback,
        then=once,
    ),
    "callbacks.AdversarialErasing.validation_data": Call(
        lambda: {"dataset": pairs(), "batch_size": 2}, callback, then=once
    ),
    "callbacks.ChiefBackup": Call(lambda: {"directory": "backup"}),
    "callbacks.ExplanationLogger": Call(
        lambda: {
            "explainer": made("GradCAM"),
            "images": images(),
            "target": [0, 1],
            "every": 1,
            "directory": "looks",
            "tensorboard": None,
            "write": lambda name, picture, epoch: None,
            "pictures": None,
            "signed": False,
            "batch_size": 2,
        },
        then=logged,
    ),
    "callbacks.StopRule": Call(
        lambda: {
            "monitor": "loss",
            "tolerance": 0.5,
            "min_new_share": 0.01,
            "mode": "auto",
            "guess": 0.7,
        },
        then=lambda rule: rule(records()),
    ),
    "callbacks.StopRule.__call__": Call(
        lambda: {"records": records()}, lambda: kx.callbacks.StopRule("loss")
    ),
    "distribution.Workers": Call(lambda: {"strategy": strategy()}),
    "distribution.Workers.sum": Call(
        lambda: {"values": [1, 2]},
        lambda: kx.distribution.Workers(strategy()),
    ),
    "distribution.distribution_safe": Call(lambda: {"model": network()}),
    "distribution.global_mean": Call(lambda: {"per_sample": [1.0, 2.0]}),
    "erasing.erased": Call(
        lambda: {
            "dataset": pairs(),
            "regions": store(),
            "erase": kx.layers.EraseRegions("zero", dtype="float32"),
            "input_name": None,
            "data_format": None,
        },
        then=once,
    ),
}


def records():
    return [
        {"round": 1, "logs": {"loss": 0.9}, "new_share": 0.1},
        {"round": 2, "logs": {"loss": 0.6}},
    ]


@functools.cache
def comparison():
    return kx.comparison.compare(
        network(), images(2), ["GradCAM"], metrics=["deletion"], verbose=0
    )


@functools.cache
def data_report():
    return kx.comparison.report(
        kx.explainers.GradCAM(network()), images(2), verbose=0
    )


COMPARISON = {
    "comparison.report": Call(
        lambda: {
            "explainer": kx.explainers.GradCAM(network()),
            "data": images(2),
            "target": 1,
            "masks": masks(),
            "boxes": np.array([[0, 0, 2, 2]] * 2),
            "artifact": masks()[0],
            "class_names": ["a", "b", "c"],
            "num_worst": 1,
            "input_name": None,
            "batch_size": 2,
            "seed": 0,
            "verbose": 0,
        }
    ),
    **{
        f"comparison.DataReport.to_{kind}": Call(
            lambda kind=kind: {"path": f"report.{kind}"}, data_report
        )
        for kind in ("csv", "html")
    },
    "comparison.compare": Call(
        lambda: {
            "model": network(),
            "data": images(2),
            "methods": ["GradCAM"],
            "target": 1,
            "metrics": ["pointing_game"],
            "masks": masks(),
            "boxes": np.array([[0, 0, 2, 2]] * 2),
            "directory": None,
            "input_name": None,
            "batch_size": 2,
            "seed": 0,
            "verbose": 0,
            "score": "logits",
        }
    ),
    **{
        f"comparison.Comparison.to_{kind}": Call(
            lambda kind=kind: {"path": f"compare.{kind}"}, comparison
        )
        for kind in ("csv", "html", "markdown")
    },
}

CALLS = {
    **COMPARISON,
    **DATASETS,
    **EXPLAINERS,
    **LAYERS,
    **LOSSES,
    **METRICS,
    **MODELS,
    **OPS,
    **REGIONS,
    **SEGMENTATION,
    **TARGETS,
    **TRAINING,
    **WEAK_SEGMENTATION,
    **VISUALIZATION,
}

# Called by no user: why there is no call of them.
_IN_THE_STEP = "the engine calls it, in the compiled step, with its tensors"
_ABSTRACT = "abstract: its leaves are called"
LEFT_OUT = {
    **{
        f"explainers.{name}": _ABSTRACT
        for name in (
            "CAMExplainer",
            "ChannelSumExplainer",
            "Explainer",
            "GradientExplainer",
            "PerturbationExplainer",
        )
    },
    "comparison.DataReport": "a result, which nobody makes",
    "comparison.Comparison": "a result, which nobody makes",
    "targets.Target": _ABSTRACT,
    "weak_segmentation.Report": "a result, which nobody makes",
    **{
        name: _IN_THE_STEP
        for name in (
            "explainers.CAMExplainer.check_model",
            "explainers.CAMExplainer.check_whole",
            "explainers.CAMExplainer.explained",
            "explainers.CAMExplainer.maps_of_branches",
            "explainers.ChannelSumExplainer.channel_sum",
            "explainers.ChannelSumExplainer.map_of_sum",
            "explainers.CAMExplainer.map",
            "explainers.CAMExplainer.maps_of_layer",
            "explainers.CAMExplainer.weights",
            "explainers.Explainer.compute",
            "explainers.Explainer.evaluate",
            "explainers.Explainer.resolved_parts",
            "explainers.GradientExplainer.attributions",
            "explainers.GradientExplainer.evaluate_replaced",
            "explainers.GradientExplainer.gradients",
            "explainers.GradientExplainer.mean_over_copies",
            "explainers.Gradients",
            "explainers.Gradients.replaced",
            "explainers.Gradients.times",
            "explainers.InputLayout",
            "explainers.InputLayout.expand",
            "explainers.PerturbationExplainer.maps_of_input",
            "metrics.EnergyInMask.image_scores",
            "metrics.MeanIoU.image_scores",
            "metrics.PixelAveragePrecision.image_scores",
            "metrics.PointingGame.image_scores",
            "targets.Target.check_length",
            "targets.Target.expects_maps",
            "targets.Target.for_units",
            "targets.Target.is_of_places",
            "targets.Target.is_single",
            "targets.Target.resolve",
            "targets.Target.scores",
            "targets.Target.slice",
        )
    },
    **{
        name: "a tuple of what a function of ours has made"
        for name in (
            "datasets.ContextScenes",
            "datasets.Ellipses",
            "datasets.HandwrittenScenes",
            "datasets.PrintedScenes",
            "datasets.TexturedEllipses",
            "datasets.TwoCueObjects",
            "metrics.Collusion",
            "metrics.MapSimilarity",
            "metrics.Curves",
        )
    },
}
