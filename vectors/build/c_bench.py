"""
C for a perceptron of any size whose weights an integer generator draws, for measuring speed.
"""

from __future__ import annotations

from vectors.build import c_text
from vectors.build.weights import BadWeightsError, Weights

_PREPARE = """\
static double hidden[HIDDEN][INPUTS], hidden_bias[HIDDEN], h[HIDDEN];
static double output[OUTPUTS][HIDDEN], output_bias[OUTPUTS];
static unsigned long long state;

static double draw(void) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((double)(long long)(state >> 11) * 0x1p-52 - 1.0) * BOUND;
}

__attribute__((export_name("prepare"))) void prepare(void) {
    state = SEED;
    for (int j = 0; j < HIDDEN; j++) {
        hidden_bias[j] = draw();
        for (int i = 0; i < INPUTS; i++) hidden[j][i] = draw();
    }
    for (int j = 0; j < OUTPUTS; j++) {
        output_bias[j] = draw();
        for (int i = 0; i < HIDDEN; i++) output[j][i] = draw();
    }
}
"""

_BODY = """\
    for (int j = 0; j < HIDDEN; j++) {
        double s = hidden_bias[j];
        for (int i = 0; i < INPUTS; i++) s = s + hidden[j][i] * in[i];
        h[j] = s > 0.0 ? s : 0.0;
    }
    for (int j = 0; j < OUTPUTS; j++) {
        double s = output_bias[j];
        for (int i = 0; i < HIDDEN; i++) s = s + output[j][i] * h[i];
        out[j] = s;
    }
"""


def drawn_perceptron(weights: Weights) -> str:
    """
    Rectifier layer, then dense layer; `prepare` draws the weights, once per instance.

    A linear congruential generator modulo 2^64 (Knuth's MMIX constants) draws, unit by unit, the
    bias and then the weights: its upper 53 bits as a number of [-1, 1), times the bound. All of
    that is exact when the bound is a power of two. Tensors: `sizes` (1, 3: inputs, hidden,
    outputs) and `seed` (1, 1), integers; `bound` (1, 1).
    """
    sizes, seed, bound = (
        weights.integers("sizes"),
        weights.integers("seed"),
        weights.scalar("bound"),
    )
    if len(sizes) != 3 or len(seed) != 1 or seed[0] < 0:  # noqa: PLR2004 - three layers
        message = "a drawn perceptron needs three `sizes` and one `seed` of 0 or more"
        raise BadWeightsError(message)
    if float(bound).as_integer_ratio()[0] != 1:
        message = f"the bound {bound} is not 2^-n, so drawing would round"
        raise BadWeightsError(message)
    head = f"#define HIDDEN {sizes[1]}\n#define SEED {seed[0]}ULL\n"
    head += f"#define BOUND {c_text.literal(bound)}\n"
    about = "Perceptron with drawn weights."
    return c_text.unit(about, sizes[0], sizes[2], [head, _PREPARE], _BODY)
