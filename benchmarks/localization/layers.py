"""Which layer, formula and fusion point at the object.

One map per layer and formula, and fusions of layers, chosen on one half of
the photos and reported on the other half and on networks that had no part in
the choice.
"""

import numpy as np

from benchmarks.common.layer_names import BEFORE_MIXING
from benchmarks.common.layer_names import LAYERS
from benchmarks.common.layer_names import coarsest
from benchmarks.common.map_scores import Scores
from benchmarks.common.map_scores import show
from benchmarks.common.map_scores import summary
from benchmarks.localization.layer_maps import NETWORKS
from benchmarks.localization.layer_maps import PACKAGED
from benchmarks.localization.layer_maps import enlarge
from benchmarks.localization.layer_maps import maps_of_layers
from benchmarks.localization.layer_maps import peaked

HELD_OUT = ("squeezenet_v1_0", "mobilenet_v1_075_192")


def layers(folder, arguments, save):
    del arguments
    kept = {
        network: _single_layers(folder, network, save)
        for network in (*NETWORKS, *HELD_OUT)
    }
    save("choice", _choose(kept))
    for network, (photos, rules, last) in kept.items():
        held_out = network in HELD_OUT
        rows = slice(None) if held_out else photos.half(1)
        if not held_out and not rows.any():
            continue  # of a handful of photos
        what = "held-out network" if held_out else "half 1 of the photos"
        print(f"\nrules, coco_seg, {network}: {what}")
        reports = {"rows": what}
        for name, values in sorted(
            rules.items(), key=lambda x: -x[1]["pointing"][rows].mean()
        ):
            report = summary(values, photos, rows, against=last)
            reports[name] = report
            show(name, report)
        save(f"{network}, rules", reports)


def _single_layers(folder, network, save):
    """Returns photos, the scores of rules, and those of the last layer."""
    photos = folder.photos("coco_seg", network)
    model = folder.network(network, logits=True)
    size = photos.masks.shape[1]
    judge = Scores(photos)
    found = maps_of_layers(
        model, LAYERS[network], photos.images, photos.classes
    )
    # Where nothing is negative the last formula is LayerCAM's.
    single = {
        (layer, method): judge.of(enlarge(maps, size))
        for (layer, method), maps in found.items()
        if method in PACKAGED or layer.endswith("_add")
    }
    last = single[LAYERS[network][0], "GradCAM"]
    reports = {"centre": summary(judge.of(judge.centre()), photos)}
    for (layer, method), values in single.items():
        report = summary(values, photos, against=last)
        reports[f"{layer} | {method}"] = report
    print(f"\ncoco_seg, {network}, all photos", flush=True)
    for name, report in reports.items():
        show(name, report)
    save(f"{network}, layers", reports)
    return photos, _rules(network, found, size, judge), last


def _rules(network, found, size, judge):
    """Scores of rules that can be stated for any network."""
    names = LAYERS[network]
    of_two, of_three = coarsest(network, 2), coarsest(network, 3)
    groups = {
        "last": names[:1],
        "before the last mixing": [BEFORE_MIXING[network]],
        "last of the second coarsest size": of_two[1:],
        "2 coarsest sizes": of_two,
        "3 coarsest sizes": of_three,
        "all listed": names,
        "all listed but the last": names[1:],
    }
    scores = {}
    for method in ("GradCAM", "HiResCAM", "LayerCAM"):
        for group, members in groups.items():
            stack = np.stack(
                [peaked(enlarge(found[name, method], size)) for name in members]
            )
            if len(members) == 1:
                scores[f"{method} | {group}"] = judge.of(stack[0])
                continue
            fused = {"mean": stack.mean(0), "max": stack.max(0)}
            for how, maps in fused.items():
                scores[f"{method} | {how} of {group}"] = judge.of(maps)
    return scores


def _choose(kept):
    """The rule of the highest mean pointing on half 0 of two networks."""
    means = {
        rule: np.mean(
            [
                kept[network][1][rule]["pointing"][
                    kept[network][0].half(0)
                ].mean()
                for network in NETWORKS
            ]
        )
        for rule in kept[NETWORKS[0]][1]
    }
    ranking = sorted(means.items(), key=lambda item: -item[1])
    print("\nchosen on half 0 of squeezenet_v1_1 and mobilenet_v2:")
    for rule, mean in ranking[:8]:
        print(f"  {mean:.3f}  {rule}")
    return {rule: round(float(mean), 3) for rule, mean in ranking}
