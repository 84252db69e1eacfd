"""The training step, as Lightning sees it."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from mmpareto.balancing import Balancer, Setup, overrides
from mmpareto.data import Batch
from mmpareto.distributed import shard, spread
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.partition import JOINT, Partition
from mmpareto.specs import Target
from mmpareto.step import Accumulation, BalancedLoss, StepReport
from mmpareto.training._config import RunConfig
from mmpareto.training._device import on_device
from mmpareto.training._loading import select_modalities
from mmpareto.training._mean_losses import MeanLosses
from mmpareto.training._optimization import optimization
from mmpareto.training._predictions import REMEDY, Collector, predicted, view_of
from mmpareto.training._step_loss import AccumulatedLoss
from mmpareto.training._survey import Surveyor


class BalancedModule(lightning.LightningModule):
    """Trains a multimodal model with any balancing method.

    Args:
        model: The model.
        target: What it predicts, with the loss that it learns by.
        config: The training.
        surveyor: Reads its data for the method.
    """

    balanced: BalancedLoss
    accumulated: AccumulatedLoss | None

    def __init__(
        self, model: MultimodalModel, target: Target, config: RunConfig, surveyor: Surveyor
    ) -> None:
        super().__init__()
        self.model, self.target, self.config, self.surveyor = model, target, config, surveyor

    @property
    def sharded(self) -> bool:
        """Whether every process holds a part of each parameter."""
        return isinstance(self.trainer.strategy, ModelParallelStrategy)

    def configure_model(self) -> None:
        """Shards the model, if that is the strategy, and says whose encoder a parameter is in."""
        if self.sharded:
            # As one unit: not every part of every model is run by its own forward pass, where FSDP2
            # gathers parameters.
            assert self.device_mesh is not None
            shard(self.model, self.device_mesh["data_parallel"])
        partition, method = Partition(self.model, **self.model.encoders), self.config.method
        self.geometry = self.config.geometry.make(method, self.model)
        self.turns = method.turns(tuple(self.model.encoders))
        widths = getattr(self.model, "widths", {})
        setup = Setup(partition, self.target, widths, self.surveyor.trained)
        balancer = Balancer(method, partition, seed=self.config.seed, setup=setup)
        self.balanced = BalancedLoss(partition, balancer, geometry=self.geometry)
        self.accumulated = None
        if self.config.accumulate > 1:
            accumulation = Accumulation(partition, balancer, geometry=self.geometry)
            self.accumulated = AccumulatedLoss(accumulation, self.config.accumulate)

    @property
    def balancer(self) -> Balancer:
        """The method at work; no submodule, since it is no part of the model."""
        assert isinstance(self.balanced.method, Balancer)
        return self.balanced.method

    def on_fit_start(self) -> None:
        """Moves what the method remembers to where the model is."""
        self.balancer.to(self.device)

    @property
    def report(self) -> StepReport:
        """The geometry of the step that was just made."""
        return self.balanced.report if self.accumulated is None else self.accumulated.report

    def configure_optimizers(self) -> Any:
        """The optimizer of all parameters, and how their learning rates change."""
        return optimization(self.config, self.model, self.trainer)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """The batch where the model computes; Lightning calls it."""
        return on_device(batch, self.target, device)

    def on_train_epoch_start(self) -> None:
        """Forgets the losses of the epoch before."""
        self.losses = MeanLosses(self.model.encoders, self.device)
        self.first_step = self.global_step
        if overrides(self.config.method, "survey"):
            if self.trainer.world_size > 1:  # or processes would see different features
                spread(self.model.buffers())
            partition, restart = self.balanced.partition, self.trainer.optimizers[0].state.clear
            survey = self.surveyor.at(self.current_epoch, self.model, partition, restart)
            self.balancer.survey(survey)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """A loss whose backward pass is one balanced gradient, averaged over all processes."""
        self._check_share(batch)
        if len(self.turns) > 1:
            number = batch_idx // self.config.accumulate
            batch = select_modalities(batch, self.turns[number % len(self.turns)])
        view = view_of(self.target, self.model, batch, self.current_epoch)
        losses = self.balancer.observe(view)
        self.losses.add(losses, batch)
        if not losses:  # the other processes make a step all the same
            sums = [parameter.sum() for parameter in self.model.parameters()]
            losses = {JOINT: 0 * torch.stack(sums).sum()}
        if self.accumulated is None:
            return self.balanced(losses)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return self.accumulated.add(losses, scaler.scale if scaler else lambda loss: loss)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """The backward pass; that of a batch's parts is made already."""
        if self.accumulated is None:
            super().backward(loss, *args, **kwargs)
        else:
            self.accumulated.backward()

    def _check_share(self, batch: Batch) -> None:
        missing = self.model.encoders.keys() - batch["inputs"].keys()
        if self.sharded and missing:
            raise MMParetoError(
                "Parameter `strategy` should be ddp where the share that a process has of a batch "
                "may lack a modality: with fsdp all run the same modules in every step. Found a "
                f"share without {', '.join(sorted(missing))}."
            )

    def on_train_epoch_end(self) -> None:
        """Logs the mean losses of the epoch, over all processes."""
        means = self._mean_losses()
        self.log_dict({f"train/{name}_loss": mean for name, mean in means.items()}, prog_bar=True)

    def _mean_losses(self) -> dict[str, float]:
        return self.losses.means(
            lambda numbers: self.trainer.strategy.reduce(numbers, reduce_op="sum")
        )

    def _check_losses(self) -> None:
        """Raises, on all processes, if a loss of the epoch was not finite."""
        infinite = [name for name, mean in self._mean_losses().items() if not math.isfinite(mean)]
        if infinite:
            number = self.losses.first_not_finite()
            first = int(self.trainer.strategy.reduce(number, reduce_op="min"))
            step = self.first_step + first // self.config.accumulate
            raise MMParetoError(
                f"A training should have finite losses. Found that of '{infinite[0]}' not to be, "
                f"first in step {step}, of epoch {self.current_epoch}. "
                f"{REMEDY}"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what geometry and method remember, on which the next steps depend."""
        checkpoint["geometry"] = self.geometry.state_dict()
        checkpoint["balancer"] = self.balancer.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continues with what geometry and method remembered."""
        self.geometry.load_state_dict(checkpoint["geometry"])
        self.balancer.load_state_dict(checkpoint["balancer"])

    def on_validation_start(self) -> None:
        """Checks the losses, and shares the first process's statistics of batch norm, as DDP."""
        self._check_losses()
        if self.sharded:
            spread(self.model.buffers())

    def on_validation_epoch_start(self) -> None:
        """Forgets the predictions of the epoch before."""
        self.predictions = Collector(self.model.encoders, self.target.outputs)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keeps the predictions."""
        self.predictions.add(predicted(self.model, batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Scores the whole validation part: a score need not be a mean over batches."""
        predictions = self.predictions.result()
        predictions.check_finite(
            f"after step {self.global_step - 1}, of epoch {self.current_epoch},"
        )
        scores = predictions.scores(self.target)
        self.log_dict(
            {f"val/{name}": value for name, value in scores.items()}, prog_bar=True, sync_dist=True
        )
