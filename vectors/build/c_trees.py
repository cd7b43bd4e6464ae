"""
C for decision trees: nested conditions for the small ones, walked tables for a forest.

Tensors of all kinds, over the nodes of all trees in one row: `feature`, `left`, `right` (i32; left
is -1 at a leaf) and `threshold` (f64): go left when in[feature] <= threshold.
"""

from __future__ import annotations

from vectors.build import c_text
from vectors.build.weights import BadWeightsError, Weights


class _Nodes:
    """
    Nodes of one or more trees, by number.
    """

    def __init__(self, weights: Weights) -> None:
        """
        Read the four rows and check that they describe trees.
        """
        self.feature = weights.integers("feature")
        self.left = weights.integers("left")
        self.right = weights.integers("right")
        self.threshold = [float(v) for v in weights.vector("threshold")]
        counts = {len(self.feature), len(self.left), len(self.right), len(self.threshold)}
        if len(counts) != 1:
            message = "`feature`, `left`, `right` and `threshold` differ in length"
            raise BadWeightsError(message)
        for node, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            if left >= 0 and not node < left < right < len(self.left):
                message = f"node {node} must come before its children"
                raise BadWeightsError(message)

    def conditions(self, node: int, leaf: dict[int, str], depth: int) -> str:
        """
        Nested conditions of the subtree at *node*; *leaf* gives each leaf's statement.
        """
        indent = "    " * depth
        if self.left[node] < 0:
            return f"{indent}{leaf[node]}\n"
        test = f"x[{self.feature[node]}] <= {c_text.literal(self.threshold[node])}"
        return (
            f"{indent}if ({test}) {{\n"
            + self.conditions(self.left[node], leaf, depth + 1)
            + f"{indent}}} else {{\n"
            + self.conditions(self.right[node], leaf, depth + 1)
            + f"{indent}}}\n"
        )

    def leaves(self) -> list[int]:
        """
        Numbers of the leaves, ascending.
        """
        return [node for node, left in enumerate(self.left) if left < 0]


def tree(weights: Weights) -> str:
    """
    One classification tree; tensor `shares` (nodes, classes) holds what a leaf answers.
    """
    nodes, shares = _Nodes(weights), weights.matrix("shares")
    leaf = {
        node: "".join(f"out[{j}] = {c_text.literal(v)}; " for j, v in enumerate(shares[node]))
        + "return;"
        for node in nodes.leaves()
    }
    walk = "static void walk(const double *x) {\n" + nodes.conditions(0, leaf, 1) + "}\n"
    inputs = int(weights.integers("inputs")[0])
    return c_text.unit("Decision tree.", inputs, shares.shape[1], [walk], "    walk(in);\n")


def boosting(weights: Weights) -> str:
    """
    Gradient boosting: base + rate * leaf of each tree, in order.

    Further tensors: `root` (1, trees), `value` (1, nodes), `base` and `rate` (1, 1).
    """
    nodes, value = _Nodes(weights), weights.vector("value")
    leaf = {node: f"return {c_text.literal(value[node])};" for node in nodes.leaves()}
    roots = weights.integers("root")
    parts = [
        f"static double tree_{k}(const double *x) {{\n{nodes.conditions(root, leaf, 1)}}}\n"
        for k, root in enumerate(roots)
    ]
    rate = c_text.literal(weights.scalar("rate"))
    body = f"    double s = {c_text.literal(weights.scalar('base'))};\n"
    body += "".join(f"    s = s + {rate} * tree_{k}(in);\n" for k in range(len(roots)))
    inputs = int(weights.integers("inputs")[0])
    return c_text.unit("Gradient boosting.", inputs, 1, parts, body + "    out[0] = s;\n")


_WALK = """\
static int walk(int node) {
    while (left[node] >= 0)
        node = in[feature[node]] <= threshold[node] ? left[node] : right[node];
    return leaf[node];
}
"""


def forest(weights: Weights) -> str:
    """
    Random forest: the mean of what the trees' leaves answer, summed tree by tree.

    Further tensors: `root` (1, trees), `leaf` (1, nodes: row of `shares`, or -1), `shares`
    (leaves, classes).
    """
    nodes, shares, roots = _Nodes(weights), weights.matrix("shares"), weights.integers("root")
    parts = [
        c_text.integers("feature", nodes.feature, "signed char"),
        c_text.integers("left", nodes.left, "short"),
        c_text.integers("right", nodes.right, "short"),
        c_text.integers("leaf", weights.integers("leaf"), "short"),
        c_text.vector("threshold", nodes.threshold),
        c_text.integers("root", roots, "short"),
        c_text.matrix("shares", shares),
        _WALK,
    ]
    body = (
        "    for (int j = 0; j < OUTPUTS; j++) out[j] = 0.0;\n"
        f"    for (int k = 0; k < {len(roots)}; k++) {{\n"
        "        const double *answer = shares[walk(root[k])];\n"
        "        for (int j = 0; j < OUTPUTS; j++) out[j] = out[j] + answer[j];\n"
        "    }\n"
        f"    for (int j = 0; j < OUTPUTS; j++) out[j] = out[j] / {len(roots)}.0;\n"
    )
    inputs = int(weights.integers("inputs")[0])
    return c_text.unit("Random forest.", inputs, shares.shape[1], parts, body)
