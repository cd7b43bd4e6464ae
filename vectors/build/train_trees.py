"""
Trains the models that are made of trees: `python -m vectors.build.train_trees`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits  # type: ignore[import-not-found, import-untyped, unused-ignore]
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier  # type: ignore[import-not-found, import-untyped, unused-ignore]
from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-not-found, import-untyped, unused-ignore]

from vectors.build import training


class Nodes:
    """
    Nodes of one tree after another, with children numbered through.
    """

    def __init__(self) -> None:
        """
        Start without a tree.
        """
        self.columns: dict[str, list[Any]] = {
            name: [] for name in ("feature", "left", "right", "threshold")
        }
        self.roots: list[int] = []

    def add(self, tree: Any) -> None:
        """
        Append the nodes of a fitted tree.
        """
        root = len(self.columns["left"])
        self.roots.append(root)
        leaf = tree.children_left < 0
        self.columns["feature"] += np.where(leaf, 0, tree.feature).tolist()
        self.columns["left"] += np.where(leaf, -1, tree.children_left + root).tolist()
        self.columns["right"] += np.where(leaf, -1, tree.children_right + root).tolist()
        self.columns["threshold"] += np.where(leaf, 0.0, tree.threshold).tolist()

    def tensors(self, inputs: int) -> dict[str, tuple[str, object]]:
        """
        The tensors that every kind of tree has.
        """
        dtypes = {"threshold": "f64"}
        columns: dict[str, tuple[str, object]] = {
            name: (dtypes.get(name, "i32"), values) for name, values in self.columns.items()
        }
        return columns | {"inputs": ("i32", [inputs])}


def cancer_tree() -> None:
    """
    One decision tree; its leaves answer the shares of both classes.
    """
    rows, labels = load_breast_cancer(return_X_y=True)
    fit, held = training.split(len(rows), 120)
    model = DecisionTreeClassifier(max_leaf_nodes=16, random_state=training.SEED)
    model.fit(rows[fit], labels[fit])
    nodes = Nodes()
    nodes.add(model.tree_)
    weights = nodes.tensors(rows.shape[1]) | {"shares": ("f64", model.tree_.value[:, 0, :])}
    training.save_weights("cancer-tree", weights)
    training.save_held_out("cancer-tree", rows[held], labels[held], "i64")


def digits_forest() -> None:
    """
    Twenty trees of at most 48 leaves.
    """
    images, labels = load_digits(return_X_y=True)
    fit, held = training.split(len(images), 150)
    model = RandomForestClassifier(20, max_leaf_nodes=48, random_state=training.SEED)
    model.fit(images[fit], labels[fit])
    nodes = Nodes()
    leaf: list[int] = []
    shares: list[Any] = []
    for estimator in model.estimators_:
        tree = estimator.tree_
        nodes.add(tree)
        for node in range(tree.node_count):
            is_leaf = tree.children_left[node] < 0
            leaf.append(len(shares) if is_leaf else -1)
            if is_leaf:
                shares.append(tree.value[node, 0, :])
    weights = nodes.tensors(images.shape[1]) | {
        "root": ("i32", nodes.roots),
        "leaf": ("i32", leaf),
        "shares": ("f64", np.array(shares)),
    }
    training.save_weights("digits-forest", weights)
    training.save_held_out("digits-forest", images[held], labels[held], "i64")


def diabetes_gradient_boosting() -> None:
    """
    Sixty trees of depth 2.
    """
    rows, targets = load_diabetes(return_X_y=True)
    fit, held = training.split(len(rows), 100)
    model = GradientBoostingRegressor(
        n_estimators=60, max_depth=2, learning_rate=0.1, random_state=training.SEED
    ).fit(rows[fit], targets[fit])
    nodes = Nodes()
    value: list[float] = []
    for estimator in model.estimators_[:, 0]:
        nodes.add(estimator.tree_)
        value += estimator.tree_.value[:, 0, 0].tolist()
    weights = nodes.tensors(rows.shape[1]) | {
        "root": ("i32", nodes.roots),
        "value": ("f64", value),
        "base": ("f64", [float(model.init_.constant_[0, 0])]),
        "rate": ("f64", [model.learning_rate]),
    }
    training.save_weights("diabetes-gradient-boosting", weights)
    training.save_held_out("diabetes-gradient-boosting", rows[held], targets[held], "f64")


if __name__ == "__main__":
    cancer_tree()
    digits_forest()
    diabetes_gradient_boosting()
