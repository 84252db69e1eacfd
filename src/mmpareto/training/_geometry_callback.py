"""What a training keeps of the geometry of its steps."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import lightning

from mmpareto.diagnostics import GeometryLog, GeometryRow
from mmpareto.training._module import BalancedModule


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
        self.geometry.record(trainer.global_step - 1, pl_module.report)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as plain numbers."""
        return {"rows": [astuple(row) for row in self.geometry.rows()]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from the rows of an interrupted training."""
        self.geometry.restore(GeometryRow(*row) for row in state_dict["rows"])
