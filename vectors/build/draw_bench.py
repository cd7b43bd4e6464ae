"""
Writes sizes, seed and input rows of the benchmark models: `python -m vectors.build.draw_bench`.
"""

from __future__ import annotations

import numpy as np

from vectors.build import training

ROWS = 16
MODELS = {"bench-mlp-16-52-10": (16, 52, 10, 2**-2), "bench-mlp-784-128-10": (784, 128, 10, 2**-4)}
"""Inputs, hidden units, outputs, bound of the weights."""


def draw(name: str) -> None:
    """
    Write `weights.json` and `held_out.json` of a benchmark model; it was never trained.
    """
    inputs, hidden, outputs, bound = MODELS[name]
    weights: dict[str, tuple[str, object]] = {
        "sizes": ("i32", [inputs, hidden, outputs]),
        "seed": ("i32", [training.SEED]),
        "bound": ("f64", [bound]),
    }
    training.save_weights(name, weights, room="bench")
    generator = np.random.Generator(np.random.PCG64(training.SEED))
    rows = generator.uniform(-1.0, 1.0, (ROWS, inputs))
    training.save_held_out(name, rows, None, "f64", room="bench")


if __name__ == "__main__":
    for model in MODELS:
        draw(model)
