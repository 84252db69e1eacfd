"""Multi-task methods as their papers state them, slowly, on the gradients themselves.

Each takes gradients [m, n], independent of each other, and returns the combination h [n], in the
length that the library gives it: of weights that add up to m where the paper's add up to 1.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, nnls

Array = NDArray[np.float64]


def pcgrad(g: Array) -> Array:
    """The mean over all orders in which each gradient can meet the others."""
    total = np.zeros(g.shape[1])
    for i in range(len(g)):
        orders = list(permutations([j for j in range(len(g)) if j != i]))
        for order in orders:
            projected = g[i].copy()
            for j in order:
                if projected @ g[j] < 0:
                    projected -= projected @ g[j] / (g[j] @ g[j]) * g[j]
            total += projected / len(orders)
    return total


def cagrad(g: Array, c: float = 0.5) -> Array:
    """By the paper's dual problem over the simplex."""
    mean = g.mean(0)
    radius = c * np.linalg.norm(mean)

    def dual(w: Array) -> float:
        return float(w @ g @ mean + radius * np.linalg.norm(w @ g))

    best = min(
        (
            minimize(
                dual,
                start,
                bounds=[(0, 1)] * len(g),
                constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
                method="SLSQP",
                options={"ftol": 1e-15, "maxiter": 1000},
            )
            for start in [np.full(len(g), 1 / len(g)), *(0.9 * np.eye(len(g)) + 0.1 / len(g))]
        ),
        key=lambda result: result.fun,
    )
    shortest = best.x @ g
    return len(g) * (mean + radius * shortest / np.linalg.norm(shortest))


def imtlg(g: Array) -> Array:
    """By the paper's closed form of the weights from the second on."""
    unit = g / np.linalg.norm(g, axis=1, keepdims=True)
    differences, directions = g[0] - g[1:], unit[0] - unit[1:]
    others = g[0] @ directions.T @ np.linalg.inv(differences @ directions.T)
    alpha = np.concatenate([[1 - others.sum()], others])
    return len(g) * alpha @ g


def nash_mtl(g: Array) -> Array:
    """By minimizing the convex function whose gradient is G a - 1 / a."""
    gramian = g @ g.T
    found = minimize(
        lambda log: 0.5 * np.exp(log) @ gramian @ np.exp(log) - log.sum(),
        -np.log(np.linalg.norm(g, axis=1)),
        jac=lambda log: np.exp(log) * (gramian @ np.exp(log)) - 1,
        method="BFGS",
        options={"gtol": 1e-12},
    )
    alpha = np.exp(found.x)
    return len(g) * alpha / alpha.sum() @ g


def aligned_mtl(g: Array, scale: str = "min") -> Array:
    """By the singular values of the matrix of gradients."""
    left, sigma, right = np.linalg.svd(g, full_matrices=False)
    length = sigma.min() if scale == "min" else np.sqrt((sigma**2).mean())
    return length * np.ones(len(g)) @ left @ right


def upgrad(g: Array) -> Array:
    """Each gradient projected on the dual cone, by non-negative least squares."""
    return np.sum([_projected(row, g) for row in g], axis=0)


def dualproj(g: Array) -> Array:
    return _projected(g.sum(0), g)


def _projected(vector: Array, g: Array) -> Array:
    return vector + nnls(g.T, -vector, maxiter=1000)[0] @ g


def conflict_free(g: Array) -> Array:
    """By the pseudo-inverse of the matrix of unit gradients."""
    unit = g / np.linalg.norm(g, axis=1, keepdims=True)
    direction = np.linalg.pinv(unit) @ np.ones(len(g))
    direction /= np.linalg.norm(direction)
    return (g @ direction).sum() * direction
