"""
Kinds of source that can be written from weights, by the name that a recipe gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vectors.build import c_dense, c_transformer, c_trees, emit_wat, zig_bench
from vectors.build.weights import Weights

KINDS: Final[dict[str, Callable[[Weights], str]]] = {
    "c-boosting": c_trees.boosting,
    "c-convolution": c_dense.convolution,
    "c-forest": c_trees.forest,
    "c-kernel": c_dense.kernel,
    "c-linear": c_dense.linear,
    "c-perceptron": c_dense.perceptron,
    "c-transformer": c_transformer.transformer,
    "c-tree": c_trees.tree,
    "wat-linear": emit_wat.linear,
    "zig-drawn-perceptron": zig_bench.drawn_perceptron,
}
"""Each turns weights into the text of a source file, the same text for the same weights."""
