"""
C for models whose work is dot products: linear, multilayer perceptron, convolution, kernel.

Every sum starts from its bias, or from zero, and goes strictly left to right.
"""

from __future__ import annotations

from vectors.build import c_text
from vectors.build.weights import Weights


def _dense(weights: str, bias: str, source: str, target: str, indent: str = "    ") -> str:
    """
    A loop over all rows of *weights*: target[j] = bias[j] + sum of weights[j][i] * source[i].
    """
    rows = f"(int)(sizeof {weights} / sizeof {weights}[0])"
    columns = f"(int)(sizeof {weights}[0] / sizeof {weights}[0][0])"
    lines = [
        f"for (int j = 0; j < {rows}; j++) {{",
        f"    double s = {bias}[j];",
        f"    for (int i = 0; i < {columns}; i++) s = s + {weights}[j][i] * {source}[i];",
        f"    {target}[j] = s;",
        "}",
    ]
    return "".join(f"{indent}{line}\n" for line in lines)


def linear(weights: Weights) -> str:
    """
    One dense layer: tensors `coefficients` (outputs, inputs) and `bias` (1, outputs).
    """
    coefficients, bias = weights.matrix("coefficients"), weights.vector("bias")
    outputs, inputs = coefficients.shape
    parts = [c_text.matrix("coefficients", coefficients), c_text.vector("bias", bias)]
    body = _dense("coefficients", "bias", "in", "out")
    return c_text.unit("Linear model.", inputs, outputs, parts, body)


def perceptron(weights: Weights) -> str:
    """
    Tanh layer, then softmax of a dense layer.

    Tensors `hidden` (h, inputs), `hidden_bias`, `output` (outputs, h), `output_bias`,
    `exp_taylor`, `tanh_taylor`.
    """
    hidden, output = weights.matrix("hidden"), weights.matrix("output")
    parts = [
        c_text.matrix("hidden", hidden),
        c_text.vector("hidden_bias", weights.vector("hidden_bias")),
        c_text.matrix("output", output),
        c_text.vector("output_bias", weights.vector("output_bias")),
        c_text.exp_text(weights.vector("exp_taylor")),
        c_text.tanh_text(weights.vector("tanh_taylor")),
        c_text.SOFTMAX,
        f"static double h[{len(hidden)}];\n",
    ]
    body = (
        _dense("hidden", "hidden_bias", "in", "h")
        + f"    for (int j = 0; j < {len(hidden)}; j++) h[j] = own_tanh(h[j]);\n"
        + _dense("output", "output_bias", "h", "out")
        + "    softmax(out, OUTPUTS);\n"
    )
    about = "Multilayer perceptron: tanh, softmax."
    return c_text.unit(about, hidden.shape[1], len(output), parts, body)


_CONVOLUTION = """\
static double map[FILTERS][36];
static double pooled[FILTERS * 9];

static void convolve(void) {
    for (int f = 0; f < FILTERS; f++)
        for (int r = 0; r < 6; r++)
            for (int c = 0; c < 6; c++) {
                double s = filter_bias[f];
                for (int a = 0; a < 3; a++)
                    for (int b = 0; b < 3; b++)
                        s = s + filters[f][3 * a + b] * in[8 * (r + a) + c + b];
                map[f][6 * r + c] = s > 0.0 ? s : 0.0;
            }
}

static void pool(void) {
    for (int f = 0; f < FILTERS; f++)
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 3; c++) {
                const double *corner = &map[f][12 * r + 2 * c];
                double most = corner[0];
                if (corner[1] > most) most = corner[1];
                if (corner[6] > most) most = corner[6];
                if (corner[7] > most) most = corner[7];
                pooled[9 * f + 3 * r + c] = most;
            }
}
"""


def convolution(weights: Weights) -> str:
    """
    3x3 convolution of an 8x8 image, rectifier, 2x2 maximum, dense layer.

    Tensors `filters` (f, 9), `filter_bias` (1, f), `dense_weights` (outputs, 9 f), `dense_bias`.
    """
    filters, dense = weights.matrix("filters"), weights.matrix("dense_weights")
    parts = [
        f"#define FILTERS {len(filters)}\n" + c_text.matrix("filters", filters),
        c_text.vector("filter_bias", weights.vector("filter_bias")),
        c_text.matrix("dense_weights", dense),
        c_text.vector("dense_bias", weights.vector("dense_bias")),
        _CONVOLUTION,
    ]
    body = "    convolve();\n    pool();\n" + _dense("dense_weights", "dense_bias", "pooled", "out")
    return c_text.unit("Convolutional network.", 64, len(dense), parts, body)


def kernel(weights: Weights) -> str:
    """
    Support vector regression with the radial kernel exp(-gamma |x - v|^2).

    Tensors `vectors` (v, inputs), `dual` (1, v), `gamma` (1, 1), `bias` (1, 1), `exp_taylor`.
    """
    vectors = weights.matrix("vectors")
    parts = [
        c_text.matrix("vectors", vectors),
        c_text.vector("dual", weights.vector("dual")),
        c_text.exp_text(weights.vector("exp_taylor")),
    ]
    gamma = c_text.literal(-weights.scalar("gamma"))
    body = (
        f"    double s = {c_text.literal(weights.scalar('bias'))};\n"
        f"    for (int j = 0; j < {len(vectors)}; j++) {{\n"
        "        double distance = 0.0;\n"
        "        for (int i = 0; i < INPUTS; i++) {\n"
        "            double d = in[i] - vectors[j][i];\n"
        "            distance = distance + d * d;\n"
        "        }\n"
        f"        s = s + dual[j] * own_exp({gamma} * distance);\n"
        "    }\n"
        "    out[0] = s;\n"
    )
    return c_text.unit("Support vectors, radial kernel.", vectors.shape[1], 1, parts, body)
