"""A report over a data set as one page that loads nothing."""

from keras_xmap import visualization
from keras_xmap.comparison._page import figure
from keras_xmap.comparison._page import page
from keras_xmap.comparison._page import text
from keras_xmap.comparison._pictures import encoded

NUM_EXAMPLES = 6  # pictures of a group
_WORDS = {
    "border": "the border",
    "corners": "the corners",
    "outside": "what is outside of the object",
    "artifact": "the artifact",
}


def data_page(report, pictures):
    """Returns the text of the page.

    Args:
        report: `DataReport`.
        pictures: Dictionary from the numbers of images to pairs of PNG files
            in base64, the image and the map over it.
    """
    parts = [
        f"<p>{_verdict(report)}</p>",
        "<h2>Classes</h2>",
        *_classes(report),
        *_groups(report, pictures),
        *_worst(report, pictures),
    ]
    return page("Where the maps lie", parts, report.about)


def _verdict(report):
    images = report.images
    number = len(images["class"])
    empty, flat = (f"{images[name].mean():.0%}" for name in ("empty", "flat"))
    places = ", ".join(
        f"{images[f'{name}_dominates'].mean():.0%} by {_WORDS[name]}"
        for name in report.places
    )
    suspects = [x for x in report.clusters if x["suspect"]]
    groups = f"{len(suspects)} groups of images whose maps are alike lie"
    if len(suspects) == 1:
        groups = "1 group of images whose maps are alike lies"
    return (
        f"Of {number} maps {empty} are empty and {flat} flat. "
        f"Dominated are {text(places)}. {groups} in a suspicious place."
    )


def _classes(report):
    titles = ["class", "name", "images", "empty", "flat"]
    for name in report.places:
        titles += [f"{name}: energy", "of a flat map", "dominated"]
    yield '<div class="box"><table>'
    head = "".join(f"<th>{text(title)}</th>" for title in titles)
    yield f"<thead><tr>{head}</tr></thead><tbody>"
    for row in report.classes:
        cells = [row["class"], row["name"], row["images"]]
        cells += [f"{row['empty']:.0%}", f"{row['flat']:.0%}"]
        for name in report.places:
            cells += [
                _mean(row[name], row[f"{name}_95"]),
                f"{row[f'{name}_area']:.2f}",
                f"{row[f'{name}_dominated']:.0%}",
            ]
        body = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        yield f"<tr>{body}</tr>"
    yield "</tbody></table></div>"


def _mean(mean, interval):
    if mean is None:
        return ""
    if interval is None:
        return f"{mean:.2f}"
    return f"{mean:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _groups(report, pictures):
    yield "<h2>Groups of images whose maps are alike</h2>"
    if not report.clusters:
        yield "<p>None: no class has images enough.</p>"
    for group in report.clusters:
        where = ", ".join(group["suspect"])
        said = f"lies in a suspicious place: {where}" if where else "no finding"
        yield (
            f"<h3>{text(group['name'])}: {len(group['images'])} images, "
            f"{group['share']:.0%} of the class; {text(said)}</h3>"
        )
        yield f"<p>Alikeness {group['alikeness']:.2f}.</p>"
        yield '<div class="maps">'
        mean = group["mean_map"]
        if mean.ndim == 2:
            shown = visualization.to_uint8(mean, (0, mean.max()))
            yield figure(encoded(shown), "mean map", "cells")
        for number in group["images"][:NUM_EXAMPLES].tolist():
            if number in pictures:
                yield figure(pictures[number][1], f"image {number}")
        yield "</div>"


def _worst(report, pictures):
    yield "<h2>The worst images first</h2>"
    for number in report.worst.tolist():
        finding = report.images["finding"][number] or "no finding"
        yield f"<h3>Image {number}: {text(finding)}</h3>"
        if number not in pictures:
            continue
        yield '<div class="maps">'
        yield figure(pictures[number][0], "image")
        yield figure(pictures[number][1], "map")
        yield "</div>"
