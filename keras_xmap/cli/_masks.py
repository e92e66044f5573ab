"""`keras-xmap masks`: photos and the classes in them in, masks out."""

import os
import warnings

import keras

from keras_xmap import datasets
from keras_xmap import segmentation
from keras_xmap.cli._asked import load_model
from keras_xmap.cli._method import method_named


def run(arguments):
    """Makes the masks of a folder of photos.

    Returns the number of masks, and what is wrong with the other photos, by
    file.
    """
    from keras_xmap import weak_segmentation

    images = _images(arguments)
    method = method_named(arguments.method)
    background = _background(arguments.background)
    backbone = _backbone(arguments)
    learning_rate = arguments.learning_rate

    def optimizer():
        return keras.optimizers.Adam(learning_rate)

    made = weak_segmentation.WeakSegmentation(
        backbone,
        arguments.directory,
        _image_size(arguments.image_size, backbone),
        explainer=method,
        max_rounds=arguments.rounds,
        erasing_threshold=arguments.erasing_threshold,
        threshold=arguments.threshold,
        background=background,
        loss=arguments.loss,
        classifier_epochs=arguments.classifier_epochs,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        optimizer=optimizer,
        crf=None if arguments.crf == "none" else arguments.crf,
        value_range=arguments.range,
        seed=arguments.seed,
        views=arguments.views,
    )
    report = made.fit(images)
    print(f"{report.num_images} masks -> {report.masks}")
    _print_measure(images, report)
    return report.num_images, report.problems


def _images(arguments):
    """Returns the reader of the folder: of VOC, of a table or of classes."""
    folder, classes = arguments.folder, arguments.classes
    if not os.path.isdir(folder):
        raise ValueError(
            f"FOLDER must be a folder. Received: {folder}, which is none."
        )
    if not os.path.isdir(os.path.join(folder, "JPEGImages")):
        return datasets.LabelledFolder(folder, arguments.labels, classes)
    if arguments.labels is not None:
        raise ValueError(
            "`--labels` is for folders that are not laid out as PASCAL VOC's. "
            f"Received: --labels {arguments.labels} for {folder}, which holds "
            "JPEGImages. Give that folder itself."
        )
    source = "masks" if arguments.labels_of_masks else "main"
    return datasets.VOCFolder(folder, arguments.split, source, classes)


def _background(name):
    if name in ("unclaimed", "gradient"):
        return name
    if not os.path.exists(name):
        raise ValueError(
            "`--background` must be unclaimed, gradient, or the file of a "
            f"saved segmentation.DRFI. Received: --background {name}."
        )
    return segmentation.DRFI.load(name).predict


def _backbone(arguments):
    """Returns the model, up to the layer that is asked for."""
    model = load_model(arguments.backbone, safe=not arguments.unsafe)
    if arguments.layer is None:
        return model
    names = [layer.name for layer in getattr(model, "layers", ())]
    if arguments.layer not in names:
        raise ValueError(
            "`--layer` must be the name of a layer of the model. Received: "
            f"--layer {arguments.layer}; there are {', '.join(names)[:300]}."
        )
    output = model.get_layer(arguments.layer).output
    return keras.Model(model.inputs, output)


def _image_size(given, backbone):
    """Returns height and width: those given, or those of the backbone."""
    known = tuple(backbone.inputs[0].shape[1:3])
    if given is not None:
        return given
    if None in known:
        raise ValueError(
            "`--image-size` must be given where the backbone takes photos of "
            f"any size. Received: a backbone of {known}. For example "
            "--image-size 321."
        )
    return known


def _print_measure(images, report):
    """Prints how good the masks are where the truth is there."""
    from keras_xmap import weak_segmentation

    if not isinstance(images, datasets.VOCFolder):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of photos without a true mask
        known = images.without_corrupt(masks=True)
    if len(known):
        mean, _ = weak_segmentation.mean_iou(known, report.masks)
        print(f"mIoU of the masks of {len(known)} photos: {mean:.3f}")
