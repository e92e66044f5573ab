"""Images of a class whose maps lie in the same places."""

import numpy as np

# What is found in fewer images may be chance.
FEWEST = 8
_MOST = 6  # groups of a class
# A grouping that is worse than this by its silhouette is none.
_SILHOUETTE = 0.25
_SAMPLE = 2000  # maps that groups are looked for in


class Cluster:
    """Images of one class whose maps are alike.

    Attributes:
        class_id: Integer.
        images: Array of the numbers of the images, the most typical first.
        mean_map: Array of the mean of their maps on a coarse grid.
        alikeness: Float from 0 to 1: the mean cosine between a map and
            `mean_map`, of square roots.
    """

    def __init__(self, class_id, images, maps):
        self.class_id = class_id
        self.mean_map = maps.mean(axis=0)
        cosines = _directions(maps) @ _directions(self.mean_map[None])[0]
        self.images = images[np.argsort(-cosines, kind="stable")]
        self.alikeness = float(cosines.mean())


def clusters_of(class_id, images, maps, seed):
    """Returns a list of `Cluster`s, the largest first.

    k-means of square roots, so that one bright pixel is not all there is;
    the number of groups is the one of the best silhouette, and 1 where none
    is good.

    Args:
        class_id: Integer.
        images: Array of the numbers of the images of the class.
        maps: Array `(images, cells, ...)`, none of them zero.
        seed: Integer.
    """
    labels = _labels(_directions(maps), seed)
    found = [
        Cluster(class_id, images[labels == k], maps[labels == k])
        for k in np.unique(labels)
    ]
    return sorted(found, key=lambda x: -len(x.images))


def _labels(directions, seed):
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    draws = np.random.default_rng(seed)
    number = len(directions)
    few = directions
    if number > _SAMPLE:
        few = directions[draws.choice(number, _SAMPLE, replace=False)]
    # Maps that are equal up to rounding are no two groups.
    distinct = len(np.unique(few.round(6), axis=0))
    best, labels = _SILHOUETTE, np.zeros(number, "int32")
    for count in range(2, min(_MOST, distinct, number // FEWEST) + 1):
        means = KMeans(count, n_init=4, random_state=seed).fit(few)
        score = silhouette_score(few, means.labels_)
        if score > best:
            best, labels = score, means.predict(directions)
    return labels


def _directions(maps):
    roots = np.sqrt(maps.reshape(len(maps), -1))
    return roots / np.linalg.norm(roots, axis=1, keepdims=True)
