"""The tables of quadtrees."""

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table

NAMES = {
    "dense": "`Occlusion`",
    "coarser": "`Occlusion`, coarser strides",
}


def of_photos(figures):
    """Leaves and error against the threshold."""
    rows = []
    for criterion, found in figures["trees"].items():
        if criterion == "milliseconds":
            continue
        for threshold, row in found.items():
            leaves = [share(x, 3) for x in row["leaves"]]
            psnr = [f"{x:.1f}" for x in row["psnr"]]
            rows.append(
                [f'`"{criterion}"`', threshold]
                + [
                    f"{middle} ({low} to {high})"
                    for middle, low, high in (leaves, psnr)
                ]
            )
    header = ["criterion", "threshold", "leaves a pixel", "PSNR, dB"]
    return table(header, rows)


def of_occlusion(figures):
    """Costs and likeness of the maps."""
    figures = figures["occlusion"]
    setting, rows = figures["setting"], []
    for name, row in figures["measured"].items():
        label = NAMES.get(name, f"`QuadtreeOcclusion`, tolerance={name}")
        if name == f"{setting['tolerance']:g}":
            label += ", chosen"
        if name == "coarser":
            label += f", {setting['coarser']} pixels"
        pearson, iou = row["pearson"], row["iou"]
        rows.append(
            [
                label,
                f"{row['passes']:.0f} ({row['fewer passes']:.1f}x fewer)",
                f"{row['seconds']:.1f} ({row['less time']:.1f}x less)",
                f"{share(pearson[0], 4)} ({share(pearson[1])})",
                f"{share(iou[0])} ({share(iou[1])})",
                share(row["pointing"], 2),
                share(row["deletion"]),
                share(row["insertion"]),
            ]
        )
    header = ["", "passes a photo", "seconds a photo", "Pearson", "IoU"]
    return table([*header, "pointing", "deletion", "insertion"], rows)


TABLES = {"quadtree-photos": of_photos, "quadtree-occlusion": of_occlusion}
