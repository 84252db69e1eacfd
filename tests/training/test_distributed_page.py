"""The scripts of docs/distributed.md run, and do the same on two processes as on one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from processes import run_together

PAGE = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text()
REPLICAS, SHARDS, UNEQUAL = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def sharded() -> str:
    """The first script, changed as the page says."""
    script = re.sub(r"encoders = .*\n", "", REPLICAS)
    return script.replace("wrapped = DistributedDataParallel(model)\n", SHARDS)


def printed(script: str, processes: int, folder: Path) -> float:
    path = folder / "script.py"
    path.write_text(script)
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
    ]
    ended = run_together([*launcher, str(path)])
    assert ended.returncode == 0, ended.stderr
    return float(re.findall(r"^-?\d\.\d{5}$", ended.stdout, re.MULTILINE)[-1])


@pytest.mark.distributed
def test_replicas_and_shards_equal_one_process(tmp_path: Path) -> None:
    assert "fully_shard(part" in sharded()
    assert sharded().count("mp.Partition(") == 1
    alone = printed(REPLICAS, 1, tmp_path)
    assert alone == pytest.approx(printed(REPLICAS, 2, tmp_path), abs=2e-5)
    assert alone == pytest.approx(printed(sharded(), 2, tmp_path), abs=2e-5)


@pytest.mark.distributed
def test_unequal_numbers_of_batches(tmp_path: Path) -> None:
    loop = re.search(r"for _ in range\(3\):\n(?:    .*\n)*", REPLICAS).group()
    script = REPLICAS.replace(loop, UNEQUAL)
    assert -1 <= printed(script, 2, tmp_path) <= 1
