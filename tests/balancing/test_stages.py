"""In a training, an optimizer begins anew where a stage does, also after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from balancing.test_at_work import Killed, configuration
from mmpareto.balancing import ReconBoost
from mmpareto.training import load_run
from mmpareto.training._module import BalancedModule
from mmpareto.training.run import run


def test_each_stage_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration(ReconBoost(alone=1, together=2))
    config = replace(config, epochs=4)
    remembered: list[tuple[int, bool]] = []
    step = BalancedModule.training_step
    stop_at = [-1]

    def watched(self: Any, batch: Any, number: int) -> Tensor:
        if self.global_step == stop_at[0]:
            raise Killed
        if number == 0:
            state = self.trainer.optimizers[0].state
            remembered.append((self.current_epoch, bool(state)))
        return step(self, batch, number)

    monkeypatch.setattr(BalancedModule, "training_step", watched)
    run(config, tmp_path / "whole", progress=False)
    assert remembered == [(0, False), (1, False), (2, True), (3, False)]
    for number in (8, 20):  # of 6 steps in an epoch
        stop_at[0] = number
        with pytest.raises(Killed):
            run(config, tmp_path / "resumed", progress=False)
    stop_at[0] = -1
    run(config, tmp_path / "resumed", progress=False)
    _, left = load_run(tmp_path / "whole")
    _, right = load_run(tmp_path / "resumed")
    assert all(map(torch.equal, left.state_dict().values(), right.state_dict().values()))
