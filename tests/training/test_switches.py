"""What a training sets for the whole process is put back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import deterministic

from mmpareto import recipes
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training.run import run

CONFIG = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=1)
VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "PL_GLOBAL_SEED", "PL_SEED_WORKERS")


def switches() -> dict[str, Any]:
    return {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "fill": deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "benchmark": torch.backends.cudnn.benchmark,
        "threads": torch.get_num_threads(),
        **{name: os.environ.get(name) for name in VARIABLES},
    }


@pytest.mark.parametrize("batch_size", [64, 5000])
def test_after_a_training_and_after_a_failure(tmp_path: Path, batch_size: int) -> None:
    before = switches()
    assert before["fill"] is True
    try:
        run(replace(CONFIG, batch_size=batch_size), tmp_path / "out", progress=False)
    except MMParetoError:
        assert batch_size == 5000
    assert switches() == before
