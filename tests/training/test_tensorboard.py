"""What a training writes for TensorBoard: its numbers, and nothing about where it ran."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmpareto import recipes
from mmpareto.models import LateFusionCNN
from mmpareto.training._tensorboard import TensorBoardFile
from mmpareto.training.run import run

CONFIG = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=2, batch_size=256)


def test_numbers_can_be_read(tmp_path: Path) -> None:
    for start in range(2):
        logger = TensorBoardFile(tmp_path)
        for step in range(3):
            logger.log_metrics({"loss": step + 0.5, "other/rate": float(start)}, step)
        logger.finalize("success")
        read = EventAccumulator(str(tmp_path / f"version_{start}")).Reload()
        assert [(event.step, event.value) for event in read.Scalars("loss")] == [
            (0, 0.5),
            (1, 1.5),
            (2, 2.5),
        ]
        assert {event.value for event in read.Scalars("other/rate")} == {start}
    assert not TensorBoardFile(tmp_path / "none").version


def test_logs_name_no_machine_and_no_path(tmp_path: Path) -> None:
    run(CONFIG, tmp_path / "out", progress=False)
    logs = [path for path in (tmp_path / "out" / "logs").rglob("*") if path.is_file()]
    read = EventAccumulator(str(logs[0].parent if "events" in logs[0].name else logs[1].parent))
    assert "val/joint_accuracy" in read.Reload().Tags()["scalars"]
    told = [socket.gethostname(), str(tmp_path), os.path.expanduser("~"), str(os.getpid())]  # noqa: PTH111
    for path in logs:
        name = str(path.relative_to(tmp_path)).encode()
        for secret in told[:3]:
            assert secret.encode() not in path.read_bytes()
            assert secret.encode() not in name
        assert told[3].encode() not in name
