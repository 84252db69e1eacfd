"""The training step, as Lightning sees it."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from mmpareto.balancing import Balancer, Setup, overrides
from mmpareto.data import Batch
from mmpareto.diagnostics import GeometryLog, GeometryRow
from mmpareto.distributed import shard
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.partition import JOINT, Partition
from mmpareto.step._balanced_loss import BalancedLoss
from mmpareto.training._config import RunConfig
from mmpareto.training._loading import select_modalities
from mmpareto.training._mean_losses import MeanLosses
from mmpareto.training._predictions import REMEDY, Collector, predicted, view_of
from mmpareto.training._survey import Surveyor


class BalancedModule(lightning.LightningModule):
    """Trains a multimodal model with any balancing method.

    Args:
        config: The training.
        model: Its model.
        surveyor: Reads its data for the method.
    """

    balanced: BalancedLoss

    def __init__(self, config: RunConfig, model: MultimodalModel, surveyor: Surveyor) -> None:
        super().__init__()
        self.model, self.config, self.surveyor = model, config, surveyor
        self.target = config.data.target

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
        self.turns = method.turns(tuple(self.model.encoders))
        widths = getattr(self.model, "widths", {})
        setup = Setup(partition, self.target, widths, self.surveyor.trained)
        self.balanced = BalancedLoss(
            partition,
            Balancer(method, partition, seed=self.config.seed, setup=setup),
            geometry=self.config.geometry.make(method, self.model),
        )

    @property
    def balancer(self) -> Balancer:
        """The method at work; no submodule, since it is no part of the model."""
        assert isinstance(self.balanced.method, Balancer)
        return self.balanced.method

    def on_fit_start(self) -> None:
        """Moves what the method remembers to where the model is."""
        self.balancer.to(self.device)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD over all parameters."""
        sgd = self.config.optimizer
        return torch.optim.SGD(
            self.model.parameters(), sgd.lr, sgd.momentum, weight_decay=sgd.weight_decay
        )

    def on_train_epoch_start(self) -> None:
        """Forgets the losses of the epoch before."""
        self.losses = MeanLosses(self.model.encoders)
        self.first_step = self.global_step
        if overrides(self.config.method, "survey"):
            self._share_statistics()  # or processes would see different features
            survey = self.surveyor.at(self.current_epoch, self.model, self.balanced.partition)
            self.balancer.survey(survey)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """A loss whose backward pass is one balanced gradient, averaged over all processes."""
        self._check_share(batch)
        batch = select_modalities(batch, self.turns[batch_idx % len(self.turns)])
        view = view_of(self.target, self.model, batch, self.current_epoch)
        losses = self.balancer.observe(view)
        self.losses.add(losses, batch)
        if not losses:  # the other processes make a step all the same
            sums = [parameter.sum() for parameter in self.model.parameters()]
            losses = {JOINT: 0 * torch.stack(sums).sum()}
        return self.balanced(losses)

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
            number = self.losses.first_not_finite(next(self.model.parameters()))
            first = self.trainer.strategy.reduce(number, reduce_op="min")
            raise MMParetoError(
                f"A training should have finite losses. Found that of '{infinite[0]}' not to be, "
                f"first in step {self.first_step + int(first)}, of epoch {self.current_epoch}. "
                f"{REMEDY}"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what geometry and method remember, on which the next steps depend."""
        assert self.balanced.geometry is not None
        checkpoint["geometry"] = self.balanced.geometry.state_dict()
        checkpoint["balancer"] = self.balancer.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continues with what geometry and method remembered."""
        assert self.balanced.geometry is not None
        self.balanced.geometry.load_state_dict(checkpoint["geometry"])
        self.balancer.load_state_dict(checkpoint["balancer"])

    def on_validation_start(self) -> None:
        """Checks the losses, and shares the first process's statistics of batch norm, as DDP."""
        self._check_losses()
        if self.sharded:
            self._share_statistics()

    def _share_statistics(self) -> None:
        for buffer in self.model.buffers() if self.trainer.world_size > 1 else ():
            buffer.copy_(self.trainer.strategy.broadcast(buffer))

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


class GeometryCallback(lightning.Callback):
    """Keeps the geometry of all measured steps, through interruptions too."""

    def __init__(self) -> None:
        self.geometry = GeometryLog()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Records the step that was just made."""
        assert isinstance(pl_module, BalancedModule)
        self.geometry.record(trainer.global_step - 1, pl_module.balanced.report)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as plain numbers."""
        return {"rows": [astuple(row) for row in self.geometry.rows()]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from the rows of an interrupted training."""
        self.geometry.restore(GeometryRow(*row) for row in state_dict["rows"])
