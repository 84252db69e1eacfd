"""A training that was killed between two measured steps ends as one that was not, to the bit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmpareto import recipes
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import GeometrySettings, save_config
from mmpareto.training.run import run
from processes import run_together

TOP = {"gray": "encoders.gray.6", "colour": "encoders.colour.6"}  # the last convolution
SETTINGS = {
    "every": GeometrySettings(every=10),
    "probe": GeometrySettings(probe=TOP),
    "every and probe": GeometrySettings(every=10, probe=TOP),
}
OPTIONS = {
    "every": ["--geometry.every", "10"],
    "probe": [f"--geometry.probe={TOP}"],
    "every and probe": ["--geometry.every", "10", f"--geometry.probe={TOP}"],
}
CONFIG = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=3)

# Of 19 steps in an epoch: the geometry is measured in steps 0, 10, 20, 30, 40.
KILLED = """
import os, signal
from mmpareto.training._module import BalancedModule

step = BalancedModule.training_step

def training_step(self, batch, batch_idx):
    if self.global_step == 45 and self.global_rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)

BalancedModule.training_step = training_step
"""
ALONE = """
import sys
from pathlib import Path
from mmpareto.training import load_config
from mmpareto.training.run import run

run(load_config(Path(sys.argv[1])), Path(sys.argv[2]), progress=False)
"""
TOGETHER = """
import sys
from mmpareto.cli import main

sys.exit(main())
"""


def assert_same(out: Path, finished: Path) -> None:
    for name in ("best.ckpt", "geometry.csv"):
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.parametrize("kind", SETTINGS)
def test_one_process(kind: str, tmp_path: Path) -> None:
    config = replace(CONFIG, geometry=SETTINGS[kind])
    run(config, tmp_path / "finished", progress=False)
    save_config(config, tmp_path / "given.yaml")
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED + ALONE, tmp_path / "given.yaml", out]
    assert subprocess.run(command, check=False).returncode == -9
    saved = torch.load(out / "last.ckpt", weights_only=True)["geometry"]
    # The checkpoint stands after step 37, the seventh since the last measured one.
    assert (saved["age"], set(saved["weights"])) == (
        (7, {"gray", "colour"}) if "every" in kind else (0, set())
    )
    run(config, out, progress=False)
    assert_same(out, tmp_path / "finished")


@pytest.mark.distributed
@pytest.mark.parametrize("kind", SETTINGS)
def test_two_processes(kind: str, tmp_path: Path) -> None:
    settings = ["--model.width", "2", "--epochs", "3", "--devices", "2", *OPTIONS[kind]]
    train = ["train", "--model", "late-fusion", *settings, "--out"]
    whole = [sys.executable, "-m", "mmpareto", *train, str(tmp_path / "finished")]
    ended = run_together(whole)
    assert ended.returncode == 0, ended.stderr
    script = tmp_path / "killed.py"
    script.write_text(KILLED + TOGETHER)
    out = str(tmp_path / "out")
    assert run_together([sys.executable, str(script), *train, out]).returncode == -9
    ended = run_together([sys.executable, "-m", "mmpareto", *train, out])
    assert ended.returncode == 0, ended.stderr
    assert_same(tmp_path / "out", tmp_path / "finished")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, r"`every` should be a whole number, at least 1\. Found 0"),
        ({"sides": "two"}, r"`sides` should be one of .* Found 'two'"),
    ],
)
def test_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(MMParetoError, match=message):
        GeometrySettings(**settings)


def test_a_probe_is_a_module_of_the_model(tmp_path: Path) -> None:
    config = replace(CONFIG, geometry=GeometrySettings(probe={"gray": "encoders.gray.99"}))
    with pytest.raises(
        MMParetoError, match=r"`geometry\.probe` should name modules .* Found 'encoders\.gray\.99'"
    ):
        run(config, tmp_path / "out", progress=False)
