"""
C for one transformer block over the rows of an 8x8 image.
"""

from __future__ import annotations

from vectors.build import c_text
from vectors.build.weights import BadWeightsError, Weights

_TOKENS, _PIXELS, _HEADS = 8, 8, 2
_MATRICES = ("embed", "place", "query", "key", "value", "mix", "inner", "outer", "head")
_VECTORS = (
    "gain_1", "shift_1", "gain_2", "shift_2", "gain_3", "shift_3", "inner_bias", "outer_bias",
    "head_bias",
)  # fmt: skip

_STEPS = """\
static double x[TOKENS][WIDTH], y[TOKENS][WIDTH], mixed[TOKENS][WIDTH];
static double queries[TOKENS][WIDTH], keys[TOKENS][WIDTH], values[TOKENS][WIDTH];
static double scores[TOKENS], hidden[INNER], pooled[WIDTH];

static void dense(const double *w, const double *from, double *to, int rows, int columns) {
    for (int j = 0; j < rows; j++) {
        double s = 0.0;
        for (int i = 0; i < columns; i++) s = s + w[columns * j + i] * from[i];
        to[j] = s;
    }
}

static void normalise(const double *from, double *to, const double *gain, const double *shift) {
    double mean = 0.0, variance = 0.0;
    for (int i = 0; i < WIDTH; i++) mean = mean + from[i];
    mean = mean / WIDTH;
    for (int i = 0; i < WIDTH; i++) {
        double d = from[i] - mean;
        variance = variance + d * d;
    }
    double deviation = __builtin_sqrt(variance / WIDTH + EPSILON);
    for (int i = 0; i < WIDTH; i++) to[i] = (from[i] - mean) / deviation * gain[i] + shift[i];
}

static void embed_rows(void) {
    for (int t = 0; t < TOKENS; t++)
        for (int j = 0; j < WIDTH; j++) {
            double s = place[t][j];
            for (int i = 0; i < PIXELS; i++) s = s + embed[j][i] * in[PIXELS * t + i];
            x[t][j] = s;
        }
}

static void attend(void) {
    for (int t = 0; t < TOKENS; t++) {
        normalise(x[t], y[t], gain_1, shift_1);
        dense(&query[0][0], y[t], queries[t], WIDTH, WIDTH);
        dense(&key[0][0], y[t], keys[t], WIDTH, WIDTH);
        dense(&value[0][0], y[t], values[t], WIDTH, WIDTH);
    }
    for (int start = 0; start < WIDTH; start += SIZE)
        for (int t = 0; t < TOKENS; t++) {
            for (int u = 0; u < TOKENS; u++) {
                double s = 0.0;
                for (int c = start; c < start + SIZE; c++) s = s + queries[t][c] * keys[u][c];
                scores[u] = s / ROOT_OF_SIZE;
            }
            softmax(scores, TOKENS);
            for (int c = start; c < start + SIZE; c++) {
                double s = 0.0;
                for (int u = 0; u < TOKENS; u++) s = s + scores[u] * values[u][c];
                mixed[t][c] = s;
            }
        }
}

static void finish_row(int t) {
    double moved[WIDTH];
    dense(&mix[0][0], mixed[t], moved, WIDTH, WIDTH);
    for (int j = 0; j < WIDTH; j++) x[t][j] = x[t][j] + moved[j];
    normalise(x[t], y[t], gain_2, shift_2);
    dense(&inner[0][0], y[t], hidden, INNER, WIDTH);
    for (int j = 0; j < INNER; j++) hidden[j] = own_tanh(hidden[j] + inner_bias[j]);
    dense(&outer[0][0], hidden, moved, WIDTH, INNER);
    for (int j = 0; j < WIDTH; j++) x[t][j] = x[t][j] + (moved[j] + outer_bias[j]);
    normalise(x[t], y[t], gain_3, shift_3);
}
"""

_BODY = """\
    embed_rows();
    attend();
    for (int j = 0; j < WIDTH; j++) pooled[j] = 0.0;
    for (int t = 0; t < TOKENS; t++) {
        finish_row(t);
        for (int j = 0; j < WIDTH; j++) pooled[j] = pooled[j] + y[t][j];
    }
    for (int j = 0; j < WIDTH; j++) pooled[j] = pooled[j] / TOKENS;
    dense(&head[0][0], pooled, out, OUTPUTS, WIDTH);
    for (int j = 0; j < OUTPUTS; j++) out[j] = out[j] + head_bias[j];
"""


def transformer(weights: Weights) -> str:
    """
    Embedding, two-headed attention, tanh layer, mean over the rows, dense layer.

    Normalisation before each part and before the mean. Tensors: `embed` (w, 8), `place` (8, w),
    `query`, `key`, `value`, `mix` (w, w), `inner` (h, w), `outer` (w, h), `head` (classes, w),
    gains, shifts and biases; `epsilon` (1, 1), `root_of_size` (1, 1) of w / 2, `exp_taylor`,
    `tanh_taylor`.
    """
    width, inner = weights.matrix("embed").shape[0], weights.matrix("inner").shape[0]
    if width % _HEADS:
        message = f"a width of {width} does not divide into {_HEADS} heads"
        raise BadWeightsError(message)
    classes = weights.matrix("head").shape[0]
    numbers = {
        "TOKENS": str(_TOKENS),
        "PIXELS": str(_PIXELS),
        "WIDTH": str(width),
        "INNER": str(inner),
        "SIZE": str(width // _HEADS),
        "EPSILON": c_text.literal(weights.scalar("epsilon")),
        "ROOT_OF_SIZE": c_text.literal(weights.scalar("root_of_size")),
    }
    parts = ["".join(f"#define {name} {value}\n" for name, value in numbers.items())]
    parts += [c_text.matrix(name, weights.matrix(name)) for name in _MATRICES]
    parts += [c_text.vector(name, weights.vector(name)) for name in _VECTORS]
    parts += [
        c_text.exp_text(weights.vector("exp_taylor")),
        c_text.tanh_text(weights.vector("tanh_taylor")),
        c_text.SOFTMAX,
        _STEPS,
    ]
    return c_text.unit("Transformer block.", _TOKENS * _PIXELS, classes, parts, _BODY)
