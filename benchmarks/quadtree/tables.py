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


def of_codec(figures):
    """Bytes, and likeness of what comes back."""
    rows = []
    for kind, found in figures["codec"].items():
        if kind == "milliseconds":
            continue
        for tolerance, row in found.items():
            plain = min(row["float16, npz"], row["float16, zlib"])
            rest = (row["float32"], plain, row["steps, zlib"], row["quadtree"])
            least = min(rest)
            cells = [
                f"**{_kilobytes(x)}**" if x == least else _kilobytes(x)
                for x in rest
            ]
            of_classes = kind.startswith("probabilities")
            alike = share(row["alike"], 4)
            rows.append(
                [
                    kind,
                    share(float(tolerance), 3).rstrip("0"),
                    *cells,
                    f"{plain / row['quadtree']:.1f}x",
                    f"argmax {alike}" if of_classes else f"r {alike}",
                ]
            )
    header = ["maps of a photo", "tolerance", "float32", "float16, zlib"]
    header += ["steps, zlib", "`encode_maps`", "less than float16", "alike"]
    return table(header, rows)


def of_decoders(figures):
    """What the decoders reach, and what they take."""
    rows = []
    for part in ("scenes", "msrc"):
        found = figures[part]["decoders"]
        dense = found["dense"]
        for name, row in found.items():
            label = {"dense": "dense", "all cells": "quadtree, all cells"}
            macs, megabytes = row["gmacs"], row["megabytes"]
            rows.append(
                [
                    part,
                    label.get(name, f"quadtree, threshold={name}"),
                    share(row["mean iou"]),
                    share(row["cells"]),
                    f"{macs:.3f} ({macs / dense['gmacs']:.2f}x)",
                    f"{megabytes:.1f} ({megabytes / dense['megabytes']:.2f}x)",
                    f"{row['ms']:.0f} ({row['ratio']:.2f}x)",
                ]
            )
    header = ["", "decoder", "mean IoU", "cells computed", "GMAC a photo"]
    return table([*header, "MB a photo", "ms, 8 photos"], rows)


def _kilobytes(size):
    return f"{size / 1000:.1f} kB" if size < 1e6 else f"{size / 1e6:.2f} MB"


def of_stack(figures):
    """How many times faster on leaves, and how much less is kept."""
    figures = figures["stack"]
    ways = [figures[way] for way in ("forward", "training")]
    columns = [
        found[f"{name}{suffix}"]
        for name in ("faster", "crossing")
        for found in ways
        for suffix in ("", " with tree")
    ]
    speed, crossings = columns[:4], columns[4:]
    rows = [
        [
            share(float(leaves)),
            *[f"{found[leaves]:.1f}x" for found in speed],
            *[f"{less:.1f}x" for less in figures["memory"][leaves].values()],
        ]
        for leaves in speed[0]
    ]
    cells = ["none" if x is None else share(x, 2) for x in crossings]
    rows.append(["as fast as dense at", *cells, "", ""])
    header = ["leaves a pixel", "forward", "with the tree", "training"]
    header += ["with the tree", "values kept less", "with the table"]
    return table(header, rows)


def of_blocks(figures):
    """How many times faster in blocks than all over."""
    figures = figures["blocks"]
    rows = []
    for way in ("forward", "training"):
        found = figures[way]
        crossing = found["crossing"]
        rows.append(
            [
                way,
                *[f"{times:.1f}x" for times in found["faster"].values()],
                "none" if crossing is None else share(crossing, 2),
            ]
        )
    shares = [share(float(name), 2) for name in figures["forward"]["faster"]]
    return table(["touched", *shares, "as fast as dense at"], rows)


TABLES = {
    "quadtree-photos": of_photos,
    "quadtree-occlusion": of_occlusion,
    "quadtree-codec": of_codec,
    "quadtree-decoders": of_decoders,
    "quadtree-stack": of_stack,
    "quadtree-blocks": of_blocks,
}
