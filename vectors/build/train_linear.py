"""
Trains the linear models and the support vectors: `python -m vectors.build.train_linear`.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_diabetes, load_digits  # type: ignore[import-not-found, import-untyped, unused-ignore]
from sklearn.linear_model import LogisticRegression, Ridge  # type: ignore[import-not-found, import-untyped, unused-ignore]
from sklearn.svm import SVR  # type: ignore[import-not-found, import-untyped, unused-ignore]

from vectors.build import training


def digits_logistic() -> None:
    """
    Multinomial logistic regression of the digits, trained on pixels divided by 16.

    That division is folded into the weights, exactly: 16 is a power of two.
    """
    images, labels = load_digits(return_X_y=True)
    fit, held = training.split(len(images), 150)
    model = LogisticRegression(C=0.5, max_iter=2000).fit(images[fit] / 16, labels[fit])
    weights = {"coefficients": ("f64", model.coef_ / 16), "bias": ("f64", model.intercept_)}
    training.save_weights("digits-logistic", weights)
    training.save_held_out("digits-logistic", images[held], labels[held], "i64")


def diabetes_ridge() -> None:
    """
    Ridge regression of disease progression.
    """
    rows, targets = load_diabetes(return_X_y=True)
    fit, held = training.split(len(rows), 100)
    model = Ridge(alpha=0.1).fit(rows[fit], targets[fit])
    weights = {"coefficients": ("f64", model.coef_), "bias": ("f64", [model.intercept_])}
    training.save_weights("diabetes-ridge", weights)
    training.save_held_out("diabetes-ridge", rows[held], targets[held], "f64")


def diabetes_svr_rbf() -> None:
    """
    Support vector regression; a wide tube keeps the support vectors few.
    """
    rows, targets = load_diabetes(return_X_y=True)
    fit, held = training.split(len(rows), 100)
    gamma = 8.0
    model = SVR(kernel="rbf", gamma=gamma, C=300.0, epsilon=60.0).fit(rows[fit], targets[fit])
    weights = {
        "vectors": ("f64", model.support_vectors_),
        "dual": ("f64", model.dual_coef_[0]),
        "gamma": ("f64", [gamma]),
        "bias": ("f64", model.intercept_),
        "exp_taylor": ("f64", training.exp_taylor()),
    }
    training.save_weights("diabetes-svr-rbf", weights)
    training.save_held_out("diabetes-svr-rbf", rows[held], targets[held], "f64")
    error = np.sqrt(np.mean((model.predict(rows[held]) - targets[held]) ** 2))
    print(f"diabetes-svr-rbf: {len(model.support_vectors_)} vectors, rmse {error:.2f}")


if __name__ == "__main__":
    digits_logistic()
    diabetes_ridge()
    diabetes_svr_rbf()
