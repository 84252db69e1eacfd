"""Everything that rests on PyTorch's internals or on the texts of its errors. No other file does.

Checked with torch 2.13. What is missing in another version turns a service off, never the step.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils.checkpoint import CheckpointFunction

from mmpareto.errors import MMParetoError
from mmpareto.gradients._select import outside

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_REMEDIES = {
    "donated buffer": (
        "A compiled module should keep its buffers for several backward passes. Found donated "
        "ones. Put `import torch._functorch.config` and "
        "`torch._functorch.config.donated_buffer = False` before the module is first called."
    ),
    "selective activation checkpoint": (
        "Activation checkpoints should allow several backward passes. Found a selective one "
        "(`context_fn`), which allows a single one. Call torch.utils.checkpoint.checkpoint(..., "
        "use_reentrant=False) without `context_fn` on what several losses pass."
    ),
}
"""What to do about an error of PyTorch, by a part of its text."""


def leaf_of(node: Node) -> Tensor | None:
    """The leaf into which a node accumulates; None for other nodes."""
    # What a custom autograd.Function keeps on its context shadows the node's attributes, hence the
    # `name` of its type.
    if type(node).name(node) != "torch::autograd::AccumulateGrad":
        return None
    leaf: Tensor = node.variable  # type: ignore[attr-defined]
    return leaf


def is_reentrant_checkpoint(node: Node) -> bool:
    """Whether a node is a reentrant activation checkpoint of PyTorch."""
    return getattr(type(node), "_forward_cls", None) is CheckpointFunction


def is_custom(node: Node) -> bool:
    """Whether a node is an ``autograd.Function`` written in Python, which may do anything."""
    return hasattr(type(node), "_forward_cls")


def is_compiled(node: Node) -> bool:
    """Whether a node is the backward pass of a compiled module."""
    return hasattr(getattr(type(node), "_forward_cls", None), "compiled_bw")


def makes_up_zeros(node: Node) -> bool:
    """Whether a node gives zero gradients to parameters that an objective does not depend on.

    Such are compiled modules, and DistributedDataParallel that looks for unused parameters: they
    tie all outputs of a model together.
    """
    return is_compiled(node) or type(node).__name__ == "_DDPSinkBackward"


def copy_saved_tensors(node: Node) -> None:
    """Makes a compiled node take a copy of what it saved in every pass, since it may overwrite it.

    Parameters stay what and where they are: a compiled backward pass overwrites no input.

    PyTorch refuses to run a node with donated buffers on a graph that is to be kept, unless
    ``torch._functorch.config.donated_buffer`` is off; yet the node may come from before that, or
    from inductor's cache on disk, which does not ask for the option. Further passes would be wrong
    then, without a word.
    """
    _check_no_cuda_graph(node)
    leaves: list[Tensor] = []
    for child, _ in node.next_functions:
        leaf = None if child is None else leaf_of(child)
        if leaf is not None:
            leaves.append(leaf)
    kept = _addresses(leaves)

    def copy_unless_kept(saved: Tensor) -> Tensor:
        return _copy_with_strides(saved) if kept.isdisjoint(_addresses([saved])) else saved

    with suppress(RuntimeError):  # done already for another objective, or freed
        for saved in node._raw_saved_tensors:  # type: ignore[attr-defined]
            saved.register_hooks(_itself, copy_unless_kept)


def _check_no_cuda_graph(node: Node) -> None:
    """Raises if a compiled node belongs to a CUDA graph of the compiler's.

    The graph of its backward pass expects what was saved where the forward pass left it, and would
    be recorded anew for each copy, without end.
    """
    trees: Any = sys.modules.get("torch._inductor.cudagraph_trees")
    if trees is None:  # no module was compiled to CUDA graphs
        return
    saved: tuple[Tensor, ...] = ()
    with suppress(RuntimeError):  # freed
        saved = node.saved_tensors  # type: ignore[attr-defined]
    for index in {tensor.device.index or 0 for tensor in saved}:
        manager = trees.get_manager(index, create_if_none_exists=False)
        recorded = None if manager is None else manager.current_node
        live = [] if recorded is None else recorded.path_live_weakrefs()
        if not _addresses(saved).isdisjoint(storage.data_ptr() for storage in live):
            raise MMParetoError(
                "A compiled module should allow several backward passes. Found one in a CUDA graph "
                '(mode="reduce-overhead" or "max-autotune"), which would be recorded anew in every '
                'pass. Compile it with the default mode, or mode="max-autotune-no-cudagraphs".'
            )


def _addresses(tensors: Iterable[Tensor]) -> set[int]:
    """Where the storages of those that have one begin."""
    addresses = set()
    for tensor in tensors:
        if tensor.layout == torch.strided:
            addresses.add(tensor.untyped_storage().data_ptr())
    return addresses


def _itself(saved: Tensor) -> Tensor:
    return saved


def _copy_with_strides(saved: Tensor) -> Tensor:
    """A copy that is laid out alike, gaps and repetitions included: compiled code asserts it."""
    if saved.numel() == 0 or saved.layout != torch.strided:
        return saved.clone()
    sizes, strides = saved.shape, saved.stride()
    span = 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    return saved.as_strided((span,), (1,)).clone().as_strided(sizes, strides)


@contextmanager
def explained() -> Iterator[None]:
    """Turns errors of PyTorch that ask for another setting into ones that name it."""
    try:
        yield
    except RuntimeError as error:
        for part, remedy in _REMEDIES.items():
            if part in str(error):
                raise MMParetoError(remedy) from error
        raise


@contextmanager
def past_hooks(cotangents: Mapping[GradientEdge, Tensor]) -> Iterator[None]:
    """Lets passes that start at `cotangents` take them as they are, whatever hooks do.

    Autograd calls a value's hooks (``Tensor.register_hook``) where it hands out the gradient at the
    value, and again where a pass starts there; the second time would count twice.
    """
    by_node: defaultdict[Node, dict[int, Tensor]] = defaultdict(dict)
    for edge, gradient in cotangents.items():
        by_node[edge.node][edge.output_nr] = gradient
    handles = []
    try:
        for node, given in by_node.items():
            handle: Any = node.register_prehook(_giver(given))
            handles.append(handle)
            hooks = handle.hooks_dict_ref()
            for other in outside(list(hooks), {handle.id}):
                hooks[other] = hooks.pop(other)  # hooks of the node itself follow
        yield
    finally:
        for handle in handles:
            handle.remove()


def _giver(given: Mapping[int, Tensor]) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def give(gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(map(given.get, range(len(gradients)), gradients))

    return give


def keeps_graph() -> bool:
    """Whether the backward pass in whose midst this is called was asked to keep the graph."""
    asked = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return bool(asked and asked())


def is_passed_too(leaf: Tensor) -> bool:
    """Whether the backward pass in whose midst this is called goes on to accumulate into `leaf`."""
    will_execute: Any = getattr(torch._C, "_will_engine_execute_node", None)
    if will_execute is None:
        return False
    try:
        return bool(will_execute(get_gradient_edge(leaf).node))
    except RuntimeError:  # of torch.autograd.grad, which accumulates nowhere
        return False


def run_accumulation_hooks(parameter: Tensor) -> None:
    """Calls what waits for a gradient in ``.grad``, such as an optimizer in the backward pass."""
    hooks: Any = getattr(parameter, "_post_accumulate_grad_hooks", None)
    for hook in list((hooks or {}).values()):
        hook(parameter)


def has_accumulation_hooks(parameter: Tensor) -> bool:
    """Whether something waits for a gradient in the parameter's ``.grad``."""
    return bool(getattr(parameter, "_post_accumulate_grad_hooks", None))


def in_backward_pass() -> bool:
    """Whether this is called in the midst of a backward pass."""
    current: Any = getattr(torch._C, "_current_graph_task_id", None)
    return current is None or current() != -1


def deepspeed_stage(parameter: Tensor) -> int:
    """The ZeRO stage by which DeepSpeed keeps a parameter: 3; 2 for the first two; 0 for none."""
    if hasattr(parameter, "ds_id"):
        return 3
    hooks: Any = getattr(parameter, "_post_accumulate_grad_hooks", None) or {}
    for hook in hooks.values():
        if str(getattr(hook, "__module__", "")).startswith("deepspeed."):
            return 2
    return 0


def not_compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Lets a compiler that traces a caller leave `function` as it is.

    ``torch.compiler.disable`` does that too, yet loads the compiler on import. This loads it in the
    first call, if the first optimizer has not done so.
    """
    disable: Any = getattr(torch, "_disable_dynamo", None)
    if disable is None:
        return function
    uncompiled: Callable[Parameters, Result] = disable(function)
    return uncompiled
