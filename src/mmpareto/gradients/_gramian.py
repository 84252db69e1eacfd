r"""Inner products of objectives' gradients, and what they tell.

Everything a method decides on is a function of the Gramian :math:`G_{ij} = g_i \cdot g_j` of the
objectives' gradients on one encoder. Nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor

from mmpareto.gradients._buckets import as_matrix, flat, present


def gramians(gradients: Sequence[Sequence[Tensor | None]]) -> Tensor:
    """Gramians of several objectives' gradients on the parts of one encoder.

    Args:
        gradients: For each of the m objectives, its gradient for each of T parts of the encoder,
            parameter tensors or buckets of them; None stands for zero.

    Returns:
        Tensor [T, m, m], in float32 or the gradients' highest precision, whichever is higher.
        Summed over T it is the Gramian of the whole encoder.

    Example:
        >>> import torch
        >>> gramians([[torch.tensor([3.0, 4.0])], [torch.tensor([1.0, 0.0])]])
        tensor([[[25.,  3.],
                 [ 3.,  1.]]])
    """
    dtype = torch.float32
    for row in gradients:
        for gradient in row:
            if gradient is not None:
                dtype = torch.promote_types(dtype, gradient.dtype)
                device = gradient.device
    products: list[Tensor | None] = []
    for tensors in zip(*gradients, strict=True):
        products.extend(_products(tensors, dtype))
    complete = present(products)
    if len(complete) < len(products):
        zero = torch.zeros((), device=device, dtype=dtype)
        complete = [zero if product is None else product for product in products]
    return torch.stack(complete).view(-1, len(gradients), len(gradients))


def _products(gradients: Sequence[Tensor | None], dtype: torch.dtype) -> list[Tensor | None]:
    """All m x m inner products on one part, row by row, each computed once; None for zero."""
    m, matrix = len(gradients), as_matrix(gradients)
    products: list[Tensor | None] = [None] * (m * m)
    if matrix is not None:
        wide = matrix.to(dtype)
        for i in range(m):
            for j, product in enumerate(torch.mv(wide[: i + 1], wide[i]).unbind()):
                products[i * m + j] = products[j * m + i] = product
        return products
    vectors = map(Tensor.to, flat(present(gradients)), repeat(dtype))
    numbered = {i: next(vectors) for i, gradient in enumerate(gradients) if gradient is not None}
    for i, a in numbered.items():
        for j, b in numbered.items():
            if j <= i:
                products[i * m + j] = products[j * m + i] = torch.dot(b, a)
    return products


def whole(gramians: Tensor) -> Tensor:
    """The Gramian [m, m] of an encoder from those of its parts, [T, m, m]."""
    return gramians[0] if len(gramians) == 1 else gramians.sum(0)


def widened(gramian: Tensor) -> Tensor:
    """In a precision that adds no rounding to that of the Gramian, which limits every result."""
    return gramian if gramian.device.type == "mps" else gramian.double()


def norms(gramian: Tensor) -> Tensor:
    """Euclidean norms [m] of the objectives' gradients, from their Gramian [m, m]."""
    return gramian.diagonal().sqrt()


def nonzero(gramian: Tensor) -> Tensor:
    """Which of m gradients differ from zero, as a boolean tensor [m]; a non-finite one does."""
    return gramian.diagonal() != 0


def conflict(gramian: Tensor) -> Tensor:
    """Whether any two objectives conflict: their gradients' inner product is not positive.

    A zero gradient conflicts with nothing, nor does one that is not finite.

    Args:
        gramian: Tensor [m, m].

    Returns:
        Boolean 0-d tensor.
    """
    # Of a zero gradient, and of one that is not finite, these are no numbers.
    shares = gramian / gramian.diagonal()
    pairs = torch.maximum(shares, shares.T) <= 0
    return pairs[0, 1] if len(pairs) == 2 else pairs.any()


def cosine(gramian: Tensor) -> Tensor:
    """Smallest cosine between two objectives' gradients; for two objectives simply their cosine.

    Args:
        gramian: Tensor [m, m].

    Returns:
        0-d tensor in [-1, 1]; 0 where no two gradients differ from zero, NaN where one is not
        finite.
    """
    length, pairs = norms(gramian), _pairs(gramian)
    cosines = (gramian / length[:, None] / length).clamp(-1, 1)
    return torch.where(pairs.any(), cosines.masked_fill(~pairs, torch.inf).amin(), 0.0)


def _pairs(gramian: Tensor) -> Tensor:
    """Mask [m, m] of the pairs i < j of objectives whose gradients both differ from zero."""
    alive = nonzero(gramian)
    return (alive[:, None] & alive).triu(1)
