"""Counts what is dispatched to a device: kernels, and the bytes that they read and write."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Dispatched(TorchDispatchMode):
    """Counts calls, apart from those that make a view or memory without touching a value.

    Attributes:
        calls: How many of each function.
        moved: Bytes of all operands, inputs and results; those of a function's own kind apart.
    """

    NO_KERNEL = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "promote_types"})

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in self.NO_KERNEL:
            self.calls[name] += 1
            operands = {id(x): x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
            results = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
            for operand in [*operands.values(), *results]:
                self.moved[name] += operand.nbytes
        return result


def count(call: object) -> Dispatched:
    """What `call` dispatches."""
    with Dispatched() as dispatched:
        call()
    return dispatched


def on_meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor without values."""
    return torch.empty(shape, dtype=dtype, device="meta")
