"""The image classifiers that users bring: small members of each family.

Random weights, few classes, the smallest size that they take; logits, so that
no twin has to look for them.
"""

import keras
import numpy as np
from keras import layers

CLASSES = 5


def _of_applications(name, size):
    def build():
        make = getattr(keras.applications, name)
        return make(
            input_shape=(size, size, 3),
            weights=None,
            classes=CLASSES,
            classifier_activation=None,
        )

    return build, size


def regnet_like():
    """Stages of grouped bottlenecks, as RegNet and ResNeXt have them."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for stage, (width, depth) in enumerate(((16, 1), (32, 2)), start=1):
        for block in range(depth):
            x = _grouped_bottleneck(
                x, width, 2 if block == 0 else 1, f"s{stage}b{block + 1}"
            )
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def _grouped_bottleneck(x, width, strides, name):
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = layers.Conv2D(width, 1, strides, use_bias=False)(x)
        shortcut = layers.BatchNormalization()(shortcut)
    x = layers.Conv2D(width, 1, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(
        width, 3, strides, padding="same", groups=4, use_bias=False
    )(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(width, 1, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU(name=name)(layers.Add()([shortcut, x]))


APPLICATIONS = {
    "VGG16": _of_applications("VGG16", 64),
    "ResNet50": _of_applications("ResNet50", 64),
    "ResNet50V2": _of_applications("ResNet50V2", 64),
    "InceptionV3": _of_applications("InceptionV3", 107),
    "InceptionResNetV2": _of_applications("InceptionResNetV2", 107),
    "Xception": _of_applications("Xception", 71),
    "DenseNet121": _of_applications("DenseNet121", 64),
    "NASNetMobile": _of_applications("NASNetMobile", 64),
    "MobileNet": _of_applications("MobileNet", 64),
    "MobileNetV2": _of_applications("MobileNetV2", 64),
    "MobileNetV3Small": _of_applications("MobileNetV3Small", 64),
    "EfficientNetB0": _of_applications("EfficientNetB0", 64),
    "EfficientNetV2B0": _of_applications("EfficientNetV2B0", 64),
    "ConvNeXtTiny": _of_applications("ConvNeXtTiny", 64),
    "RegNet-like": (regnet_like, 32),
}


# Where the preprocessing of a member of keras.applications stands.
MODULES = {
    "VGG16": "vgg16",
    "ResNet50": "resnet50",
    "ResNet50V2": "resnet_v2",
    "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2",
    "Xception": "xception",
    "DenseNet121": "densenet",
    "NASNetMobile": "nasnet",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Small": "mobilenet_v3",
    "EfficientNetB0": "efficientnet",
    "EfficientNetV2B0": "efficientnet_v2",
    "ConvNeXtTiny": "convnext",
}


def fine_tuned(name, size):
    """The classifier of Keras' guide to transfer learning, on one of them."""
    base = getattr(keras.applications, name)(
        input_shape=(size, size, 3), weights=None, include_top=False
    )
    return on_frozen(base, MODULES[name])


def on_frozen(base, module):
    """A new head on a base that is not trained, behind its preprocessing."""
    base.trainable = False
    inputs = keras.Input(base.input_shape[1:])
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomRotation(0.1)(x)
    x = getattr(keras.applications, module).preprocess_input(x)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(CLASSES, name="new")(x))


def _classified(backbone, kind, **options):
    import keras_hub

    make = getattr(keras_hub.models, f"{kind}ImageClassifier")
    return make(backbone=backbone, num_classes=CLASSES, **options)


def hub_resnet():
    import keras_hub

    return _classified(
        keras_hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128],
            stackwise_num_blocks=[1, 1],
            stackwise_num_strides=[1, 2],
            block_type="bottleneck_block",
            image_shape=(64, 64, 3),
        ),
        "ResNet",
    )


def _transformer(kind, **options):
    import keras_hub

    return getattr(keras_hub.models, f"{kind}Backbone")(
        image_shape=(32, 32, 3),
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        **options,
    )


def hub_vit():
    backbone = _transformer("ViT", patch_size=8, mlp_dim=32)
    return _classified(backbone, "ViT")


def hub_deit():
    backbone = _transformer("DeiT", patch_size=8, intermediate_dim=32)
    return _classified(backbone, "DeiT")


def _with_head(backbone):
    """The head that DINO's authors train: class token and mean of patches."""
    tokens = backbone.output
    prefix = tokens[:, 0]
    patches = keras.ops.mean(tokens[:, -16:], axis=1)
    x = layers.Concatenate()([prefix, patches])
    return keras.Model(backbone.inputs[0], layers.Dense(CLASSES)(x))


def hub_dinov2():
    return _with_head(
        _transformer(
            "DINOV2",
            patch_size=8,
            intermediate_dim=32,
            position_embedding_shape=(32, 32, 3),
        )
    )


def hub_dinov3():
    return _with_head(_transformer("DINOV3", patch_size=8, intermediate_dim=32))


def hub_mit():
    import keras_hub

    return _classified(
        keras_hub.models.MiTBackbone(
            layerwise_depths=[1, 1],
            num_layers=2,
            layerwise_num_heads=[1, 2],
            layerwise_sr_ratios=[2, 1],
            max_drop_path_rate=0.1,
            layerwise_patch_sizes=[7, 3],
            layerwise_strides=[4, 2],
            hidden_dims=[8, 16],
            image_shape=(32, 32, 3),
        ),
        "MiT",
    )


def hub_cspnet():
    import keras_hub

    return _classified(
        keras_hub.models.CSPNetBackbone(
            stem_filters=8,
            stem_kernel_size=3,
            stem_strides=1,
            stackwise_depth=[1, 2],
            stackwise_strides=[2, 2],
            stackwise_num_filters=[16, 32],
            block_type="dark_block",
            stage_type="dark",
            image_shape=(32, 32, 3),
        ),
        "CSPNet",
    )


def hub_densenet():
    import keras_hub

    return _classified(
        keras_hub.models.DenseNetBackbone(
            stackwise_num_repeats=[2, 2],
            growth_rate=8,
            image_shape=(32, 32, 3),
        ),
        "DenseNet",
    )


def hub_swin():
    import keras_hub

    return _classified(
        keras_hub.models.SwinTransformerBackbone(
            image_shape=(32, 32, 3),
            embed_dim=8,
            depths=[2, 2],
            num_heads=[1, 2],
            window_size=4,
            patch_size=2,
        ),
        "SwinTransformer",
    )


HUB = {
    "ResNet": (hub_resnet, 64),
    "ViT": (hub_vit, 32),
    "DeiT": (hub_deit, 32),
    "MiT": (hub_mit, 32),
    "CSPNet": (hub_cspnet, 32),
    "DenseNet": (hub_densenet, 32),
    "SwinTransformer": (hub_swin, 32),
    "DINOV2": (hub_dinov2, 32),
    "DINOV3": (hub_dinov3, 32),
}


def images(size):
    generator = np.random.default_rng(0)
    return generator.normal(size=(2, size, size, 3)).astype("float32")


def photos(size):
    """Pixels from 0 to 255, as the preprocessing takes them."""
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, (2, size, size, 3)).astype("float32")
