"""What wraps a model, and whether its gradients can be had one objective at a time."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from mmpareto.distributed._group import flat_sharded, joined, shards, synchronizes
from mmpareto.errors import MMParetoError
from mmpareto.gradients import deepspeed_stage, in_backward_pass


def check_modules(model: nn.Module, sharded: bool) -> None:
    """Checks the modules of a model that several processes train.

    Args:
        model: The model.
        sharded: Whether its partition holds sharded parameters.

    Raises:
        MMParetoError: If gradients would be wrong, or would not arrive.
    """
    modules = list(model.modules())
    if any(map(flat_sharded, modules)):
        raise MMParetoError(
            "A model should be sharded by torch.distributed.fsdp.fully_shard (FSDP2). Found "
            "FullyShardedDataParallel, which keeps no parameter whole. With Lightning use "
            "ModelParallelStrategy, with Accelerate fsdp_version=2."
        )
    if any(map(joined, modules)):
        raise MMParetoError(
            "DistributedDataParallel should not be under Join: a process that has finished answers "
            "its collectives, not those of a balanced step. Found a module that is. Let every "
            "process make the same number of steps, and one that has no batch left call "
            "mp.backward({}, encoders, method)."
        )
    if not sharded and any(map(shards, modules)):
        raise MMParetoError(
            "Parameter `encoders` should hold the sharded parameters. Found a partition made "
            "before fully_shard, or while they were gathered. Make it after fully_shard and before "
            "the forward pass."
        )
    if sharded and any(map(synchronizes, modules)):
        raise MMParetoError(
            "DistributedDataParallel should not synchronize where other parameters of the model "
            "are sharded: it would average the first objective's gradients only. Found a module "
            "that does. Run the forward and the backward pass under its no_sync()."
        )


def check_engine(parameters: Iterable[Tensor]) -> None:
    """Checks parameters that an engine of DeepSpeed may keep.

    Raises:
        MMParetoError: If they are not whole, or if the engine would not notice their gradients.
    """
    stages = set(map(deepspeed_stage, parameters))
    if 3 in stages:
        raise MMParetoError(
            "Parameters should be whole, or sharded by torch.distributed.fsdp.fully_shard. Found "
            "such as DeepSpeed keeps by ZeRO stage 3. Use stage 2 at most."
        )
    if 2 in stages and not in_backward_pass():
        raise MMParetoError(
            "DeepSpeed's engine should make the backward pass, without which it does not notice "
            "gradients under ZeRO. Found a step outside of one. Call engine.backward("
            "mp.BalancedLoss(encoders, method)(losses))."
        )
