"""The tables of costs."""

from benchmarks.common.markdown import table

NETWORKS = ("MobileNetV2", "VGG-like")
PEERS = ("tf-keras-vis", "xplique")
# As they stand on the page.
ORDER = (
    "CAM",
    "GradCAM",
    "GradCAM, 5 classes",
    "GradCAMPlusPlus",
    "HiResCAM",
    "LayerCAM",
    "EigenCAM",
    "Saliency",
    "Saliency, 5 classes",
    "GradientInput",
    "GuidedBackprop",
    "DeconvNet",
    "GuidedGradCAM",
    "SmoothGrad",
    "IntegratedGradients",
    "ScoreCAM",
    "Occlusion",
    "RISE",
    "ClassModel",
    "DistinctClassSaliency",
)
SHORT = {
    "GradCAM": "`GradCAM`, against one forward pass",
    "Saliency": "`Saliency`, against forward and backward",
    "SmoothGrad": "`SmoothGrad`, 8 samples, against 8 of both",
    "ScoreCAM": "`ScoreCAM`, 16 channels, against 17 forward",
}


def ratio(row, name):
    return f"{row[name]['ratio']:.2f}" if name in row else ""


def passes(row):
    backward = row["forwards with backward"]
    forward = row["forwards"] + backward
    text = f"{forward} forward"
    return f"{text}, {backward * row['classes']} backward" if backward else text


def every_method(figures):
    figures = figures["explainers"]
    rows = []
    for name in ORDER:
        method, comma, rest = name.partition(",")
        cells = [f"`{method}`{comma}{rest}", passes(figures[NETWORKS[0]][name])]
        for network in NETWORKS:
            row = figures[network][name]
            cells += [ratio(row, x) for x in (name, *PEERS)]
        rows.append(cells)
    header = ["", "passes"]
    for network in NETWORKS:
        header += [network, *PEERS]
    return table(header, rows)


def short(figures):
    figures = figures["explainers"]

    def cells(label, method, name):
        return [label, *(ratio(figures[x][method], name) for x in NETWORKS)]

    rows = []
    for method, label in SHORT.items():
        rows.append(cells(label, method, method))
        if method == "Saliency":
            name = "Saliency, 5 classes"
            label = "five classes, against 1 forward and 5 backward"
            rows.append(cells(label, name, name))
        for peer in (
            PEERS[:1] if method in ("SmoothGrad", "ScoreCAM") else PEERS
        ):
            rows.append(cells(peer, method, peer))
    return table(["", *NETWORKS], rows)


TABLES = {"costs": every_method, "costs-short": short}
