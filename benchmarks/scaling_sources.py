"""
C of two families that only grow: products of matrices, and deep perceptrons in one function.

Weights are drawn from a seed; the gas of neither depends on them.
"""

from __future__ import annotations

import random
from typing import Final

UNITS: Final = 48
"""Of each layer of a perceptron."""


def product(size: int) -> str:
    """
    `infer` multiplies the input by a matrix of the module, both *size* x *size*, in binary32.
    """
    return f"""\
#define N {size}
static float in[N * N], w[N * N], out[N * N];
__attribute__((export_name("input"))) float *input(void) {{ return in; }}
__attribute__((export_name("infer"))) float infer(void) {{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {{
            float s = 0;
            for (int k = 0; k < N; k++) s += in[i * N + k] * w[k * N + j];
            out[i * N + j] = s;
        }}
    float t = 0;
    for (int i = 0; i < N * N; i++) t += out[i];
    return t;
}}
__attribute__((export_name("weights"))) float *weights(void) {{ return w; }}
"""


def perceptron(layers: int, seed: int) -> str:
    """
    `infer` carries {UNITS} numbers through *layers* dense layers with max(0, x), then adds up.
    """
    draw = random.Random(f"layers {seed}")  # noqa: S311 - weights, not secrets
    tables, steps = [], []
    for layer in range(layers):
        numbers = ",".join(f"{draw.randint(-999, 999)}e-4f" for _ in range(UNITS * UNITS))
        tables.append(f"static const float w{layer}[U * U] = {{{numbers}}};\n")
        source, target = ("b", "a") if layer % 2 else ("a", "b")
        steps.append(f"    LAYER(w{layer}, {source}, {target})\n")
    last = "b" if layers % 2 else "a"
    return f"""\
#define U {UNITS}
static float a[U], b[U];
{"".join(tables)}
#define LAYER(W, FROM, TO) \\
    for (int j = 0; j < U; j++) {{ \\
        float s = 0; \\
        for (int i = 0; i < U; i++) s += W[j * U + i] * FROM[i]; \\
        TO[j] = s > 0 ? s : 0; \\
    }}
__attribute__((export_name("input"))) float *input(void) {{ return a; }}
__attribute__((export_name("infer"))) float infer(void) {{
{"".join(steps)}\
    float t = 0;
    for (int i = 0; i < U; i++) t += {last}[i];
    return t;
}}
"""
