"""The layers of the networks of the folder, by name."""

# From the last layer to the first; non-negative outputs, or sums of branches.
LAYERS = {
    "mobilenet_v2": [
        "conv_last_relu6",
        "block16_depthwise_relu6",
        "block16_expand_relu6",
        "block15_add",
        "block15_expand_relu6",
        "block13_expand_relu6",
        "block12_add",
        "block12_depthwise_relu6",
        "block10_expand_relu6",
        "block6_expand_relu6",
        "block3_expand_relu6",
    ],
    "mobilenet_v1_075_192": [
        "conv13_pointwise_relu6",
        "conv13_depthwise_relu6",
        "conv12_pointwise_relu6",
        "conv12_depthwise_relu6",
        "conv11_pointwise_relu6",
        "conv10_pointwise_relu6",
        "conv9_pointwise_relu6",
        "conv7_pointwise_relu6",
        "conv5_pointwise_relu6",
        "conv3_pointwise_relu6",
    ],
}

for _network in ("squeezenet_v1_0", "squeezenet_v1_1"):
    LAYERS[_network] = ["conv10_relu", "fire9_concat", "fire9_squeeze1x1_relu"]
    LAYERS[_network] += [f"fire{number}_concat" for number in range(8, 2, -1)]

# Heights of the layers' outputs at the network's own input size.
HEIGHTS = {
    "mobilenet_v2": [7] * 5 + [14] * 4 + [28, 56],
    "mobilenet_v1_075_192": [6] * 4 + [12] * 4 + [24, 48],
    "squeezenet_v1_1": [14] * 6 + [28] * 2 + [56],
    "squeezenet_v1_0": [15, 13, 13, 27, 27, 27, 27, 55, 55],
}

# The input of the last layer that mixes neighbouring positions.
BEFORE_MIXING = {
    "mobilenet_v2": "block16_expand_relu6",
    "mobilenet_v1_075_192": "conv12_pointwise_relu6",
    "squeezenet_v1_0": "fire9_squeeze1x1_relu",
    "squeezenet_v1_1": "fire9_squeeze1x1_relu",
}

# The last map of features of each network that gets another head.
FEATURES = {
    "squeezenet_v1_1": "fire9_concat",
    "mobilenet_v2": "conv_last_relu6",
}


def coarsest(network, count):
    """The last layer of each size, `count` of them from the end."""
    found, height = [], 0
    for name, of_layer in zip(LAYERS[network], HEIGHTS[network], strict=True):
        if of_layer > 1.5 * height:
            found.append(name)
            height = of_layer
    return found[:count]
