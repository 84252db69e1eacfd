"""A training that has its folder to itself, and whose folder is finished or not, never in part."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from mmpareto._storage._seal import SEAL, faults
from mmpareto._storage._workplace import workplace
from mmpareto.training import (
    FINISHED,
    METRICS,
    NOT_IN_RESULT,
    Metrics,
    RunConfig,
    check_same,
    describe,
)

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # as Lightning looks for them


def run_claimed(config: RunConfig, out: Path, *, progress: bool) -> Metrics:
    """Runs a training while its folder is locked.

    Of a training in several processes the first holds the lock.

    Args:
        config: The training.
        out: Its folder.
        progress: Whether to show a progress bar.

    Returns:
        As `mmpareto.training.run.run`.

    Raises:
        MMParetoError: As `run`; or if another training runs in the folder.
    """
    from mmpareto.training.run import run

    if not _is_first_process():
        return run(config, out, progress=progress)
    with workplace(out, work_of(describe(config))):
        check_same(config, out)  # what is of another training stays as it is
        _discard_unsound(out)
        return run(config, out, progress=progress)


def work_of(settings: dict[str, Any]) -> str:
    """What trainings with these settings do: all of them but those that change no result."""
    deciding = {name: value for name, value in settings.items() if name not in NOT_IN_RESULT}
    return json.dumps(deciding, sort_keys=True)


def _discard_unsound(folder: Path) -> None:
    """Makes a folder that says it is finished, and is not, one of a training to be made again."""
    missing = faults(folder, FINISHED)
    if not missing:
        return
    if (folder / METRICS).exists():
        warnings.warn(
            f"The training in {folder} is made again: {', '.join(missing)}.", stacklevel=3
        )
    for name in (METRICS, SEAL):
        (folder / name).unlink(missing_ok=True)


def _is_first_process() -> bool:
    ranks = [os.environ[name] for name in _RANKS if name in os.environ]
    return not ranks or ranks[0] == "0"
