"""Compiled modules under several backward passes."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from mmpareto.gradients._graph import nodes


def keep_buffers(loss: Tensor) -> None:
    """Gives every pass through a compiled module a copy of its own of what the module saved.

    A compiled backward pass may overwrite that. PyTorch refuses to run it on a graph that is to be
    kept, unless ``torch._functorch.config.donated_buffer`` is off; yet it may come from before
    that, or from inductor's cache on disk, which does not ask for the option (torch 2.13). Further
    passes would be wrong then, without a word.

    Args:
        loss: Scalar that requires gradient.
    """
    for node in nodes(loss):
        if hasattr(getattr(type(node), "_forward_cls", None), "compiled_bw"):
            with suppress(RuntimeError):  # done already for another objective, or freed
                for saved in node._raw_saved_tensors:  # type: ignore[attr-defined]
                    saved.register_hooks(_itself, torch.clone)


def _itself(saved: Tensor) -> Tensor:
    return saved
