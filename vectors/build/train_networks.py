"""
Trains the networks on the digits: `python -m vectors.build.train_networks`.

The perceptron is scikit-learn's; the others are numpy functions with gradients by autograd, fitted
by Adam with a seeded order of batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp  # type: ignore[import-not-found, import-untyped, unused-ignore]
import numpy as np
from autograd import grad  # type: ignore[import-not-found, import-untyped, unused-ignore]
from sklearn.datasets import load_digits  # type: ignore[import-not-found, import-untyped, unused-ignore]
from sklearn.neural_network import MLPClassifier  # type: ignore[import-not-found, import-untyped, unused-ignore]

from vectors.build import training

HELD_OUT = 150
WIDTH, INNER, HEADS = 16, 32, 2
Parameters = dict[str, Any]


def digits_mlp_tanh() -> None:
    """
    64-32-10 with tanh, trained on pixels divided by 16; the division is folded in, exactly.
    """
    images, labels = load_digits(return_X_y=True)
    fit, held = training.split(len(images), HELD_OUT)
    model = MLPClassifier(
        (32,), activation="tanh", alpha=0.01, max_iter=400, random_state=training.SEED
    ).fit(images[fit] / 16, labels[fit])
    weights = {
        "hidden": ("f64", model.coefs_[0].T / 16),
        "hidden_bias": ("f64", model.intercepts_[0]),
        "output": ("f64", model.coefs_[1].T),
        "output_bias": ("f64", model.intercepts_[1]),
        "exp_taylor": ("f64", training.exp_taylor()),
        "tanh_taylor": ("f64", training.tanh_taylor()),
    }
    training.save_weights("digits-mlp-tanh", weights)
    training.save_held_out("digits-mlp-tanh", images[held], labels[held], "i64")


def log_likelihood(logits: Any, labels: Any) -> Any:
    """
    Mean log-likelihood of the labels.
    """
    shifted = logits - anp.max(logits, axis=1, keepdims=True)
    logs = shifted - anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))
    return anp.mean(logs[anp.arange(len(labels)), labels])


def adam(
    model: Callable[[Parameters, Any], Any],
    start: Parameters,
    images: Any,
    labels: Any,
    epochs: int,
    *,
    rate: float,
    decay: float,
) -> Parameters:
    """
    Fit *start* by Adam; batches of 64 in a seeded order, the rate falling linearly to zero.
    """
    draw = np.random.Generator(np.random.PCG64(training.SEED))
    slope = grad(lambda p, x, y: -log_likelihood(model(p, x), y))
    values = {key: np.array(value) for key, value in start.items()}
    first = {key: np.zeros_like(value) for key, value in values.items()}
    second = {key: np.zeros_like(value) for key, value in values.items()}
    step, last = 0, epochs * (len(images) // 64)
    for _ in range(epochs):
        order = draw.permutation(len(images))
        for batch in np.array_split(order, len(images) // 64):
            step += 1
            gradient = slope(values, images[batch], labels[batch])
            for key, g in gradient.items():
                first[key] = 0.9 * first[key] + 0.1 * g
                second[key] = 0.999 * second[key] + 0.001 * g * g
                moment = first[key] / (1 - 0.9**step)
                spread = np.sqrt(second[key] / (1 - 0.999**step)) + 1e-8
                falling = rate * (1 - (step - 1) / last)
                values[key] = values[key] - falling * (moment / spread + decay * values[key])
    return values


def convolve(parameters: Parameters, images: Any) -> Any:
    """
    3x3 convolution, rectifier, 2x2 maximum, dense layer; images of shape (n, 64).
    """
    square = anp.reshape(images, (-1, 8, 8))
    patches = anp.stack([square[:, a : a + 6, b : b + 6] for a in range(3) for b in range(3)], 3)
    maps = anp.dot(patches, parameters["filters"].T) + parameters["filter_bias"]
    maps = anp.maximum(maps, 0.0)
    blocks = anp.reshape(maps, (-1, 3, 2, 3, 2, maps.shape[3]))
    pooled = anp.max(anp.max(blocks, axis=4), axis=2)
    flat = anp.reshape(anp.transpose(pooled, (0, 3, 1, 2)), (len(images), -1))
    return anp.dot(flat, parameters["dense_weights"].T) + parameters["dense_bias"]


def digits_cnn() -> None:
    """
    Eight filters; pixels divided by 16 in training, folded into the filters.
    """
    images, labels = load_digits(return_X_y=True)
    fit, held = training.split(len(images), HELD_OUT)
    draw = np.random.Generator(np.random.PCG64(training.SEED + 1))
    start = {
        "filters": draw.normal(0, 0.4, (8, 9)),
        "filter_bias": np.zeros(8),
        "dense_weights": draw.normal(0, 0.15, (10, 72)),
        "dense_bias": np.zeros(10),
    }
    fitted = adam(convolve, start, images[fit] / 16, labels[fit], 60, rate=0.01, decay=1e-3)
    share = np.mean(np.argmax(convolve(fitted, images[held] / 16), 1) == labels[held])
    print(f"digits-cnn: {share:.3f} of the held-out rows")
    fitted["filters"] = fitted["filters"] / 16
    weights = {key: ("f64", value) for key, value in fitted.items()}
    training.save_weights("digits-cnn", weights)
    training.save_held_out("digits-cnn", images[held], labels[held], "i64")


def normalise(x: Any, gain: Any, shift: Any) -> Any:
    """
    Layer normalisation over the last axis.
    """
    mean = anp.mean(x, axis=-1, keepdims=True)
    variance = anp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) / anp.sqrt(variance + 1e-5) * gain + shift


def attend(p: Parameters, images: Any) -> Any:
    """
    One transformer block over the eight rows of an image, each row a token of eight pixels.
    """
    tokens = anp.reshape(images, (-1, 8, 8))
    x = anp.dot(tokens, p["embed"].T) + p["place"]
    y = normalise(x, p["gain_1"], p["shift_1"])
    query, key, value = (anp.dot(y, p[name].T) for name in ("query", "key", "value"))
    mixed = []
    size = WIDTH // HEADS
    for head in range(HEADS):
        part = slice(size * head, size * (head + 1))
        scores = anp.einsum("nic,njc->nij", query[:, :, part], key[:, :, part]) / np.sqrt(size)
        scores = anp.exp(scores - anp.max(scores, axis=2, keepdims=True))
        scores = scores / anp.sum(scores, axis=2, keepdims=True)
        mixed.append(anp.einsum("nij,njc->nic", scores, value[:, :, part]))
    x = x + anp.dot(anp.concatenate(mixed, axis=2), p["mix"].T)
    y = normalise(x, p["gain_2"], p["shift_2"])
    inner = anp.tanh(anp.dot(y, p["inner"].T) + p["inner_bias"])
    x = x + anp.dot(inner, p["outer"].T) + p["outer_bias"]
    pooled = anp.mean(normalise(x, p["gain_3"], p["shift_3"]), axis=1)
    return anp.dot(pooled, p["head"].T) + p["head_bias"]


def digits_transformer() -> None:
    """
    Width 16, two heads, inner width 32; pixels divided by 16, folded into the embedding.
    """
    images, labels = load_digits(return_X_y=True)
    fit, held = training.split(len(images), HELD_OUT)
    draw = np.random.Generator(np.random.PCG64(training.SEED + 2))
    square = (WIDTH, WIDTH)
    shapes = {"embed": (WIDTH, 8), "query": square, "key": square, "value": square}
    shapes |= {"mix": square, "inner": (INNER, WIDTH), "outer": (WIDTH, INNER), "head": (10, WIDTH)}
    start = {k: draw.normal(0, shape[1] ** -0.5, shape) for k, shape in shapes.items()}
    start["place"] = draw.normal(0, 0.3, (8, WIDTH))
    start |= {f"gain_{n}": np.ones(WIDTH) for n in (1, 2, 3)}
    start |= {f"shift_{n}": np.zeros(WIDTH) for n in (1, 2, 3)}
    start |= {"inner_bias": np.zeros(INNER), "outer_bias": np.zeros(WIDTH)}
    start["head_bias"] = np.zeros(10)
    fitted = adam(attend, start, images[fit] / 16, labels[fit], 60, rate=0.005, decay=1e-3)
    share = np.mean(np.argmax(attend(fitted, images[held] / 16), 1) == labels[held])
    print(f"digits-transformer: {share:.3f} of the held-out rows")
    fitted["embed"] = fitted["embed"] / 16
    weights: dict[str, tuple[str, object]] = {key: ("f64", v) for key, v in fitted.items()}
    weights |= {"epsilon": ("f64", [1e-5]), "root_of_size": ("f64", [(WIDTH // HEADS) ** 0.5])}
    weights["exp_taylor"] = ("f64", training.exp_taylor())
    weights["tanh_taylor"] = ("f64", training.tanh_taylor())
    training.save_weights("digits-transformer", weights)
    training.save_held_out("digits-transformer", images[held], labels[held], "i64")


if __name__ == "__main__":
    digits_mlp_tanh()
    digits_cnn()
    digits_transformer()
