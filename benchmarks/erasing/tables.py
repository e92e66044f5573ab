"""The tables of erasing."""

from benchmarks.common.markdown import share
from benchmarks.common.markdown import table
from benchmarks.common.markdown import within

FILLS = ("mean", "zero", "noise", "blur")
HOLES = {
    "own, new": "own holes, new network",
    "others too, new": "another's too, new",
    "half of own, new": "half of the own, new",
    "own, weights go on": "own holes, trained on",
    "others too, weights go on": "another's too, trained on",
    "half of own, weights go on": "half of the own, trained on",
}
OF_PHOTOS = {
    "own": "own holes",
    "others too": "another's too",
    "half of own": "half of the own",
}
TWO_CUES = {
    "round 1": "CAM, or erasing after round 1",
    "round 2": "erasing, after round 2",
    "round 3": "erasing, after round 3",
    "CAM, all epochs": "CAM, trained for all epochs",
    "Hide-and-Seek": "Hide-and-Seek",
    "complementary heads": "complementary heads",
}
CHOICES = {
    "as above": "as above",
    "fill zero": '`fill="zero"`',
    "fill noise": '`fill="noise"`',
    "fill blur": '`fill="blur"`',
    "threshold 0.2": "`threshold=0.2`",
    "threshold 0.5": "`threshold=0.5`",
    "group normalization": "group normalization",
    "no normalization": "no normalization",
    "one network, trained on": '`reset="start"`',
}
STATISTICS = {
    "batch": "moving statistics",
    "statistics of the data": "statistics of the data",
    "group": "group normalization",
}
CUES = {
    "both": "head and body",
    "body": "body alone",
}
ROUNDS = ((0.2, (1, 2, 3)), (0.5, (1, 2, 3, 6)))


def two_cues(figures):
    found = {
        **figures["two_cues"]["both"],
        **figures["two_cue_rivals"]["both"],
    }
    parts = ("IoU", "recall", "precision")
    rows = [
        [
            label,
            found[name]["n"],
            share(found[name]["held-out accuracy"]),
            share(found[name]["threshold"], 2),
            *(within(found[name][part]) for part in parts),
            share(found[name]["recall of heads"][0]),
            share(found[name]["recall of bodies"][0]),
        ]
        for name, label in TWO_CUES.items()
    ]
    parts = ("IoU", "recall", "precision", "of heads", "of bodies")
    return table(["", "n", "accuracy", "threshold", *parts], rows)


def advice(figures):
    rows = []
    for name, label in CUES.items():
        found = figures["two_cues"][name]
        known = max(found["all"]["known without regions"], 0.0)
        accuracy = found["round 2"]["held-out accuracy"]
        cells = [share(known), share(accuracy)]
        for network in ("first", "second"):
            cells.append(share(found["all"][f"rest ranked by {network}"]))
        for number in (1, 2):
            cells.append(within(found[f"round {number}"]["IoU"]))
        rows.append([label, found["round 1"]["n"], *cells])
    return table(
        [
            *("what tells the class", "n", "first network still knows"),
            "held-out accuracy of second",
            *("first ranks the rest", "second does"),
            *("IoU after round 1", "after round 2"),
        ],
        rows,
    )


def two_cue_choices(figures):
    parts = ("IoU", "recall", "precision")
    rows = []
    for name, label in CHOICES.items():
        found = figures["two_cue_choices"][name]
        first, second = found["round 1"], found["round 2"]
        cells = (within(second[part]) for part in parts)
        known = share(second["held-out accuracy"])
        rows.append([label, share(first["IoU"][0]), known, *cells])
    header = ["", "IoU after round 1", "accuracy of second", *parts]
    return table(header, rows)


def statistics(figures):
    columns = {
        "in training": "AUC in training",
        "the same images in inference": "AUC of the same in inference",
        "held-out whole scenes": "AUC held out, whole",
    }
    found = figures["statistics"]["scenes"]
    rows = []
    for name, label in STATISTICS.items():
        for number in (1, 2):
            row = found[f"{name}, round {number}"]
            cells = [share(row[key]) for key in columns.values()]
            rows.append([label, number, *cells])
    return table(["normalized by", "round", *columns], rows)


def fills_of_scenes(figures):
    columns = {
        "AUC in training": "training AUC",
        "held out, erased": "held-out AUC, erased",
        "held out, whole": "whole",
        "recall of the ink": "recall of ink",
        "precision": "precision",
        "mIoU": "mIoU",
    }
    found = figures["fills"]["scenes"]
    return _of_fills(columns, {x: found[x]["round 2"] for x in FILLS})


def fills_of_photos(figures):
    columns = {
        "AP held out, erased": "held-out precision, erased",
        "AP held out, whole": "whole",
        "recall": "recall",
        "precision": "precision",
        "mIoU": "mIoU",
    }
    found = figures["fills"]["msrc"]
    return _of_fills(columns, {x: found[x]["round 3"] for x in FILLS})


def _of_fills(columns, found):
    rows = [
        [fill, *(share(row[key]) for key in columns.values())]
        for fill, row in found.items()
    ]
    return table(["fill", *columns], rows)


def holes_of_scenes(figures):
    columns = {
        "AUC held out, whole": "held-out AUC, whole",
        "AUC in training": "training AUC, erased",
        "recall of the ink": "recall of ink",
        "precision": "precision",
        "one round, cut lower": "precision of round 1 at this recall",
    }
    found = figures["holes"]["scenes at 0.5"]
    rows = [
        [
            label,
            *(
                share(found[name][key][0]) if key in found[name] else ""
                for key in columns.values()
            ),
        ]
        for name, label in {"round 1": "(round 1)", **HOLES}.items()
    ]
    return table(["round 2", *columns], rows)


def holes_of_photos(figures):
    rows = []
    for name, label in OF_PHOTOS.items():
        cells = []
        for dataset in ("msrc", "coco_seg"):
            row = figures["holes"][dataset][name]["round 3"]
            cells += [share(row[x]) for x in ("whole", "mIoU", "precision")]
        rows.append([label, *cells])
    header = ["after round 3"]
    for dataset in ("msrc", "coco_seg"):
        header += [f"{dataset}: AP whole", "mIoU", "precision"]
    return table(header, rows)


def example(figures):
    parts = ("recall", "precision", "IoU")
    found = figures["example"]["scenes"]
    names = sorted(found, key=lambda name: name.startswith("erasing"))
    rows = [[name, *(share(found[name][x]) for x in parts)] for name in names]
    return table(["", *parts], rows)


def of_photos(dataset):
    def make(figures):
        found = figures["photos"][dataset]

        def cells(label, row, precision, threshold):
            scores = (row[x] for x in ("mIoU", "recall", "precision"))
            return [
                label,
                share(row[precision]),
                f"{threshold:.2f}",
                *map(share, scores),
            ]

        rows = []
        for name in ("CAM", "Hide-and-Seek", "complementary heads"):
            row = found[name]
            rows.append(
                cells(name, row, "held-out precision", row["threshold"])
            )
        for threshold, counts in ROUNDS:
            for count in counts:
                row = found[
                    f"erasing, regions of {count} rounds at {threshold}"
                ]
                label = f"erasing, {count} round{'s' if count > 1 else ''}"
                rows.append(cells(label, row, "on whole photos", threshold))
        scores = ["AP whole", "threshold", "mIoU", "recall", "precision"]
        return table([dataset, *scores], rows)

    return make


TABLES = {
    "erasing-two-cues": two_cues,
    "erasing-two-cue-choices": two_cue_choices,
    "erasing-advice": advice,
    "erasing-statistics": statistics,
    "erasing-example": example,
    "erasing-fills-scenes": fills_of_scenes,
    "erasing-fills-photos": fills_of_photos,
    "erasing-holes-scenes": holes_of_scenes,
    "erasing-holes-photos": holes_of_photos,
    "erasing-msrc": of_photos("msrc"),
    "erasing-coco": of_photos("coco_seg"),
}
