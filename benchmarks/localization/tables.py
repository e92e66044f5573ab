"""The tables of localization."""

from benchmarks.common.layer_names import BEFORE_MIXING
from benchmarks.common.layer_names import LAYERS
from benchmarks.common.markdown import gain
from benchmarks.common.markdown import share
from benchmarks.common.markdown import table
from benchmarks.common.markdown import within

NETWORKS = {
    "squeezenet_v1_1": "SqueezeNet 1.1",
    "mobilenet_v2": "MobileNetV2",
    "squeezenet_v1_0": "SqueezeNet 1.0",
    "mobilenet_v1_075_192": "MobileNetV1",
}
TWO = ("squeezenet_v1_1", "mobilenet_v2")
FORMULAS = {"GradCAM": "Grad-CAM", "LayerCAM": "LayerCAM"}
RULES = {
    "GradCAM | last": ("Grad-CAM, last layer", False),
    "LayerCAM | mean of all listed but the last": (
        "**chosen**: LayerCAM, mean, all but the last",
        True,
    ),
    "LayerCAM | mean of 2 coarsest sizes": (
        "LayerCAM, mean, 2 coarsest sizes",
        True,
    ),
    "HiResCAM | mean of 2 coarsest sizes": (
        "HiResCAM, mean, 2 coarsest sizes",
        False,
    ),
    "LayerCAM | max of 2 coarsest sizes": (
        "LayerCAM, **maximum**, 2 coarsest sizes",
        False,
    ),
    "GradCAM | mean of 2 coarsest sizes": (
        "Grad-CAM, mean, 2 coarsest sizes",
        False,
    ),
}
VARIANTS = {
    "border of the map zeroed": (
        "border positions of the map set to zero",
        "no effect seen",
    ),
    "reflected border, cropped": (
        "photo with a reflected border, cropped again",
        "no effect seen: not the zero padding",
    ),
    "GradCAM, score: logit - mean of logits": (
        "score: logit minus the mean of all logits",
        "no effect seen",
    ),
    "GradCAM, score: log of probability": (
        "score: log of the probability",
        "no effect seen",
    ),
    "moved by 8 px": ("map moved 8 px down and right", "real but small"),
    "input of 320 px": ("photo enlarged to 320 px", "no effect seen"),
    "input of 448 px": (
        "photo enlarged to 448 px",
        "helps; 4 times the cost",
    ),
}
LAYING = {
    "GradCAM | last": "Grad-CAM, last layer",
    "LayerCAM | mean of 2 coarsest sizes": "LayerCAM, 2 coarsest sizes",
}
METHODS = (
    "centre",
    "flat map",
    "CAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "HiResCAM",
    "LayerCAM",
    "EigenCAM",
    "LayerCAM, before the last mixing",
    "LayerCAM, target_layer=2",
    "LayerCAM, fused: all listed layers",
    "Saliency",
    "Saliency, blurred",
    "GradientInput",
    "GradientInput, blurred",
    "GuidedBackprop",
    "GuidedBackprop, blurred",
    "DeconvNet",
    "DeconvNet, blurred",
    "GuidedGradCAM",
    "GuidedGradCAM, blurred",
    "tf-keras-vis Gradcam",
    "tf-keras-vis GradcamPlusPlus",
    "tf-keras-vis Saliency",
)
SLOW = (
    "GradCAM, photos of the slow ones",
    "ScoreCAM, max_channels=64",
    "Occlusion, patch_size=48, strides=24",
    "RISE, num_masks=200",
    "SmoothGrad, num_samples=15",
    "SmoothGrad, num_samples=15, blurred",
    "IntegratedGradients, num_steps=20",
    "IntegratedGradients, num_steps=20, blurred",
)
COLUMNS = {
    "COCO pointing": ("coco_seg", "pointing"),
    "energy": ("coco_seg", "energy"),
    "IoU": ("coco_seg", "iou"),
    "centre not on it": ("coco_seg", "centre not in mask"),
    "ImageNet pointing": ("imagenet_boxes", "pointing"),
    "box": ("imagenet_boxes", "box"),
    "MSRC pointing": ("msrc", "pointing"),
    " IoU": ("msrc", "iou"),
}


def _header(first, of_network):
    return [
        first,
        *(f"{y} (n = {of_network(x)['n']})" for x, y in NETWORKS.items()),
    ]


def of_layers(figures):
    figures = figures["layers"]

    def row(network, name):
        return figures[f"{network}, layers"][name]

    def cells(label, name_of):
        return [
            label,
            *(within(row(x, name_of(x))["pointing"]) for x in NETWORKS),
        ]

    rows = [cells("centre of the photo", lambda network: "centre")]
    for where, layer in (
        ("last layer", lambda network: LAYERS[network][0]),
        ("before the last mixing", lambda network: BEFORE_MIXING[network]),
    ):
        for formula, text in FORMULAS.items():
            rows.append(
                cells(
                    f"{text}, {where}",
                    lambda x, f=formula, at=layer: f"{at(x)} | {f}",
                )
            )
    return table(_header("", lambda x: row(x, "centre")), rows)


def of_evidence(figures):
    rows = [
        "the highest position stands on the object",
        "its evidence, traced back, lies on the object",
        "median distance from the position to its evidence",
        "share of its squared gradient within 32 px",
    ]
    columns = []
    for network in TWO:
        found = figures["evidence"][network]["highest position"]
        # The layer further back.
        name = [key for key in found if key.startswith("its evidence")][-1]
        layer, evidence = name.split()[-1], found[name]
        columns.append(
            [
                within(found["position stands on the object"]),
                f"{within(evidence['pointing'])} (`{layer}`)",
                f"{evidence['median distance from the position, px']} px",
                share(found["share of squared gradient within 32 px"]),
            ]
        )
    header = ["", *(NETWORKS[network] for network in TWO)]
    return table(header, list(zip(rows, *columns, strict=True)))


def of_variants(figures):
    network = "mobilenet_v2"
    found = figures["variants"][network]
    rows = []
    for name, (label, remark) in VARIANTS.items():
        row = found[f"{LAYERS[network][0]}: {name}"]
        rows.append([label, gain(row["pointing gain"]), remark])
    return table(["tried", "gain", ""], rows)


def of_laying(figures):
    rows = []
    for network in TWO:
        found = figures["laying"][network]
        for name, label in LAYING.items():
            before, after = (
                found[f"{name}, {how}"] for how in ("stretched", "laid")
            )
            rows.append(
                [
                    f"{NETWORKS[network]}, {label}",
                    within(before["pointing"]),
                    within(after["pointing"]),
                    gain(after["pointing gain"]),
                ]
            )
    return table(["", "stretched", "laid", "gain"], rows)


def of_rules(figures):
    def row(network, name):
        return figures["layers"][f"{network}, rules"][name]

    rows = []
    for name, (label, with_gain) in RULES.items():
        found = [row(network, name) for network in NETWORKS]
        rows.append([label, *(within(x["pointing"]) for x in found)])
        if with_gain:
            rows.append(["gain", *(gain(x["pointing gain"]) for x in found)])
    header = _header("", lambda network: row(network, "GradCAM | last"))
    return table(header, rows)


def _both(figures, name, dataset, score):
    """The figure of SqueezeNet 1.1 and of MobileNetV2."""
    return " / ".join(
        share(figures["methods"][f"{dataset}, {network}"][name][score][0], 2)
        for network in TWO
    )


def of_methods(figures):
    return _of_names(figures, METHODS, COLUMNS)


def of_slow_methods(figures):
    scores = {"pointing": "pointing", "energy": "energy", "IoU": "iou"}
    columns = {title: ("coco_seg", score) for title, score in scores.items()}
    return _of_names(figures, SLOW, columns)


def _of_names(figures, names, columns):
    """A table whose first rows are n, and the widest of the intervals."""
    counts, widest = ["targets"], ["an interval is at most"]
    for dataset, score in columns.values():
        found = [
            [figures["methods"][f"{dataset}, {network}"][x] for x in names]
            for network in TWO
        ]
        # A subset has its interval, and no number of its own.
        is_subset = score.startswith("centre")
        numbers = ["" if is_subset else str(x[0]["n"]) for x in found]
        counts.append(" / ".join(filter(None, numbers)))
        halves = [_half_of_widest(rows, score) for rows in found]
        widest.append(" / ".join(f"±{share(x, 2)}" for x in halves))
    rows = [
        [name, *(_both(figures, name, *x) for x in columns.values())]
        for name in names
    ]
    titles = (title.strip() for title in columns)
    return table(["", *titles], [counts, widest, *rows])


def _half_of_widest(rows, score):
    return max((row[score][2] - row[score][1]) / 2 for row in rows)


def of_stages(figures):
    """Pointing of what a user can ask for, and what IoU gains by it."""
    figures = figures["stages"]
    best = max(figures["choice"], key=figures["choice"].get)

    def cells(label, format_, name, key):
        return [label, *(format_(figures[x][name][key]) for x in NETWORKS)]

    rows = [
        cells(f"**chosen**: {x}" if x == best else x, within, x, "pointing")
        for x in figures["choice"]
    ]
    for name in figures["choice"]:
        if "stages" in name:
            label = f"gain in IoU over the chosen: {name.split(', ', 1)[1]}"
            rows.append(cells(label, gain, name, "iou gain"))
    rows.append(
        cells(
            f"mask < 10 %: {best}",
            lambda found: f"{within(found[1:])}, n = {found[0]}",
            *(best, "mask < 10 %"),
        )
    )
    return table(_header("", lambda x: figures[x][best]), rows)


TABLES = {
    "localization-layers": of_layers,
    "localization-evidence": of_evidence,
    "localization-variants": of_variants,
    "localization-laying": of_laying,
    "localization-rules": of_rules,
    "localization-methods": of_methods,
    "localization-slow-methods": of_slow_methods,
    "localization-stages": of_stages,
}
