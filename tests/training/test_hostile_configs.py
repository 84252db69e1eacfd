"""A configuration is data: whatever is in it, nothing is imported, run or written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults.tally import record

SCRIPT = Path(__file__).with_name("hostile_configs.py")
CANARY = """
from pathlib import Path

Path(__file__).with_name("CANARY").touch()

class Canary: ...
"""


def read_hostile(folder: Path, seed: int, count: int, reader: str) -> dict[str, int]:
    (folder / "canary.py").write_text(CANARY)
    command = [sys.executable, SCRIPT, folder, str(seed), str(count), reader]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout)
    assert seen["failures"] == []
    assert seen["ran"] == []
    outcomes: dict[str, int] = seen["outcomes"]
    assert sum(outcomes.values()) == count
    return outcomes


@pytest.mark.parametrize(
    ("reader", "count"), [("stored", 60), ("command", 20), ("served", 100), ("tuned", 60)]
)
def test_a_short_draw_runs_nothing(tmp_path: Path, reader: str, count: int) -> None:
    outcomes = read_hostile(tmp_path, 0, count, reader)
    assert outcomes["refused"] > count // 3
    assert outcomes["read"] > 0


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("reader", "count"), [("stored", 1000), ("command", 100), ("served", 1000), ("tuned", 1000)]
)
def test_a_long_draw_runs_nothing(tmp_path: Path, reader: str, count: int) -> None:
    outcomes = read_hostile(tmp_path, 1, count, reader)
    assert outcomes["refused"] > count // 3
    assert outcomes["read"] > count // 20
    figures = {"fault": f"a configuration mutated, {reader}", "command": "train"}
    record({**figures, "tries": count, "lost": 0, "silent": 0, "said": outcomes["refused"]})
