"""The training step, as Lightning sees it."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from mmpareto.balanced_loss import BalancedLoss
from mmpareto.balancing import Method
from mmpareto.data import Batch
from mmpareto.diagnostics import GeometryLog, GeometryRow
from mmpareto.distribution import shard
from mmpareto.models import MultimodalModel
from mmpareto.partition import Partition
from mmpareto.training._config import SGD
from mmpareto.training._evaluation import accuracies, objectives


class BalancedModule(lightning.LightningModule):
    """Trains a multimodal classifier with any balancing method.

    Args:
        model: The model.
        method: The balancing method.
        optimizer: Settings of SGD.
        geometry_every: Measure the geometry in every so-many-th step where the method does not need it.
    """

    balanced: BalancedLoss

    def __init__(self, model: MultimodalModel, method: Method, optimizer: SGD, geometry_every: int) -> None:
        super().__init__()
        self.model, self.method, self.settings, self.geometry_every = model, method, optimizer, geometry_every

    @property
    def sharded(self) -> bool:
        """Whether every process holds a part of each parameter."""
        return isinstance(self.trainer.strategy, ModelParallelStrategy)

    def configure_model(self) -> None:
        """Shards the model, if that is the strategy, before it is said which parameters are whose encoder."""
        if self.sharded:
            # As one unit: not every part of every model is run by its own forward pass, where FSDP2 gathers parameters.
            assert self.device_mesh is not None
            shard(self.model, self.device_mesh["data_parallel"])
        self.balanced = BalancedLoss(Partition(self.model, **self.model.encoders), self.method)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD over all parameters."""
        s = self.settings
        return torch.optim.SGD(self.model.parameters(), s.lr, s.momentum, weight_decay=s.weight_decay)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """A loss whose backward pass is one balanced gradient, averaged over all processes."""
        losses = objectives(self.model(batch["inputs"]), batch["label"])
        self._log({f"train/{name}_loss": loss.detach() for name, loss in losses.items()}, batch["label"])
        self.balanced.geometry = self.global_step % self.geometry_every == 0
        return self.balanced(losses)

    def on_validation_start(self) -> None:
        """Gives all processes the batch norms' statistics of the first, as DistributedDataParallel does."""
        if self.sharded:
            for buffer in self.model.buffers():
                buffer.copy_(self.trainer.strategy.broadcast(buffer))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accuracy of each prediction."""
        logits = self.model(batch["inputs"]).logits
        self._log({f"val/{name}": value for name, value in accuracies(logits, batch["label"]).items()}, batch["label"])

    def _log(self, values: dict[str, Any], label: Tensor) -> None:
        """Logs means over the epoch and the processes, which have shares of one size."""
        settings: dict[str, Any] = {"prog_bar": True, "on_step": False, "on_epoch": True, "sync_dist": True}
        self.log_dict(values, batch_size=len(label), **settings)


class GeometryCallback(lightning.Callback):
    """Keeps the geometry of all measured steps, through interruptions too."""

    def __init__(self) -> None:
        self.geometry = GeometryLog()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
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
