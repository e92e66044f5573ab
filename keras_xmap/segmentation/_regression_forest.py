"""A forest of regression trees that is nothing but arrays.

scikit-learn grows it. What is kept are the arrays of its trees, so that it is
saved without pickles, which run code of whoever wrote them and are bound to a
version, and predicts where scikit-learn is not installed.
"""

import numpy as np

_LEAF = -1
NAMES = ("left", "right", "feature", "threshold", "value", "roots")


class RegressionForest:
    """Trees one after the other: nodes with their children, and the roots."""

    def __init__(self, left, right, feature, threshold, value, roots):
        self.left, self.right = left, right
        self.feature, self.threshold = feature, threshold
        self.value, self.roots = value, roots

    @classmethod
    def grown(cls, rows, values, weights, num_trees, seed):
        """Returns the forest that scikit-learn grows on weighted rows."""
        from sklearn.ensemble import RandomForestRegressor

        grower = RandomForestRegressor(
            num_trees,
            max_features=15,
            min_samples_leaf=5,
            random_state=seed,
        )
        grower.fit(rows, values, sample_weight=weights)
        trees = [estimator.tree_ for estimator in grower.estimators_]
        sizes = np.array([tree.node_count for tree in trees])
        roots = np.cumsum(sizes) - sizes

        def joined(name, dtype):
            return np.concatenate(
                [getattr(t, name) for t in trees], dtype=dtype
            )

        start = np.repeat(roots, sizes)
        left, right = (
            joined(f"children_{side}", "int64") for side in ("left", "right")
        )
        is_leaf = left == _LEAF
        return cls(
            np.where(is_leaf, _LEAF, left + start).astype("int32"),
            np.where(is_leaf, _LEAF, right + start).astype("int32"),
            np.where(is_leaf, 0, joined("feature", "int64")).astype("int32"),
            joined("threshold", "float64"),
            joined("value", "float64").reshape(-1),
            roots.astype("int32"),
        )

    def predict(self, rows):
        """Returns the mean of the trees' answers to rows of features."""
        rows = np.asarray(rows, "float32")  # as scikit-learn compares them
        node = np.tile(self.roots, (len(rows), 1))
        number = np.arange(len(rows))[:, None]
        while True:
            inner = self.left[node] != _LEAF
            if not inner.any():
                return self.value[node].mean(axis=1)
            feature, threshold = self.feature[node], self.threshold[node]
            goes_left = rows[number, feature] <= threshold
            step = np.where(goes_left, self.left[node], self.right[node])
            node = np.where(inner, step, node)

    def arrays(self):
        return {name: getattr(self, name) for name in NAMES}

    def is_whole(self, num_features):
        """Returns whether every path ends in a leaf and asks what there is."""
        parts = (self.left, self.right, self.feature, self.threshold)
        if any(part.shape != self.value.shape for part in parts):
            return False
        number = np.arange(len(self.value))
        inner = self.left != _LEAF
        children = np.stack([self.left, self.right])[:, inner]
        return bool(
            len(self.roots)
            and (self.roots >= 0).all()
            and (self.roots < len(number)).all()
            and (children > number[inner]).all()
            and (children < len(number)).all()
            and (self.feature >= 0).all()
            and (self.feature < num_features).all()
            and np.isfinite(self.value).all()
        )
