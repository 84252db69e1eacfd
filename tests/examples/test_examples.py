"""Every file in examples/ runs as a user runs it, and what it prints is so."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from processes import run_together

EXAMPLES = Path(__file__).parents[2] / "examples"

# What third-party packages warn of by themselves; everything else is an error. Literal beginnings
# of messages.
LIGHTNING = [
    "`isinstance(treespec, LeafSpec)` is deprecated",  # Lightning 2.6 under torch 2.13
    "The 'train_dataloader' does not have many workers",
    "The 'val_dataloader' does not have many workers",
]
TRAINER = ["'pin_memory' argument is set as true but no accelerator"]
PEFT = ["`is_gradient_checkpointing` is deprecated"]  # PEFT 0.21 under Transformers 5.23


def run(
    script: str, *arguments: str, ignore: Sequence[str] = (), processes: int | None = None
) -> str:
    """What the example prints."""
    warnings = ["-Werror", *(f"-Wignore:{message}" for message in ignore)]
    launch = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        if processes
        else []
    )
    environment = {"HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    environment |= {"PYTHONWARNINGS": "error"} if processes else {}
    command = [sys.executable, *warnings, *launch, str(EXAMPLES / script), *arguments]
    done = run_together(command, environment, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def epochs(output: str) -> tuple[list[float], list[float]]:
    """Loss and accuracy, epoch by epoch."""
    lines = re.findall(r"^epoch \d+: loss (\S+), accuracy ([\d.]+)", output, re.MULTILINE)
    return [float(loss) for loss, _ in lines], [float(accuracy) for _, accuracy in lines]


def counts(output: str, what: str) -> list[int]:
    return [int(number) for number in re.findall(rf"{what} (\d+)", output)]


def assert_learns(output: str, *, loss: float, accuracy: float) -> None:
    """The training loss falls by this factor, the test accuracy rises to this value; NaN does
    neither.
    """
    losses, accuracies = epochs(output)
    assert len(losses) >= 2
    assert losses[-1] < loss * losses[0], output
    assert accuracies[-1] > accuracy, output


def test_plain_loop() -> None:
    output = run("plain_loop.py", "--epochs=3")
    assert_learns(output, loss=0.3, accuracy=0.8)
    assert sum(counts(output, "conflicts")) > 0
    scalars = dict(re.findall(r"^([a-z]+/\S+) (\S+)$", output, re.MULTILINE))
    assert len(scalars) == 12
    assert min(float(value) for name, value in scalars.items() if name.startswith("norm/")) > 0


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_accumulate_and_amp(precision: str) -> None:
    output = run("accumulate_and_amp.py", "--epochs=3", f"--precision={precision}")
    assert_learns(output, loss=0.5, accuracy=0.8)


def test_lightning_module() -> None:
    output = run("lightning_module.py", "--epochs=3", ignore=LIGHTNING)
    assert_learns(output, loss=0.3, accuracy=0.8)
    assert re.search(r"conflicts in (?!0\.0)\d+\.\d%", output), (
        "the logged report says that steps were balanced"
    )


def test_accelerate_loop() -> None:
    output = run("accelerate_loop.py", "--epochs=3")
    assert_learns(output, loss=0.3, accuracy=0.8)
    assert sum(counts(output, "conflicts")) > 0


@pytest.mark.distributed
def test_accelerate_loop_on_two_processes() -> None:
    output = run("accelerate_loop.py", "--epochs=3", processes=2)
    assert_learns(output, loss=0.5, accuracy=0.8)
    assert len(epochs(output)[0]) == 3, "the main process alone reports"


def test_hf_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the Trainer makes its folder
    output = run("hf_trainer.py", "--epochs=2", ignore=TRAINER)
    *logs, report = map(ast.literal_eval, re.findall(r"^\{.*\}$", output, re.MULTILINE))
    losses = [float(log["loss"]) for log in logs if "loss" in log]
    accuracies = [float(log["eval_accuracy"]) for log in logs if "eval_accuracy" in log]
    assert losses[-1] < 0.95 * losses[0]
    assert accuracies[-1] > 0.25  # of ten classes, after 90 steps
    assert report["norm/image/joint"] > 0
    assert report["weight/text/text"] > 0


@pytest.mark.distributed
@pytest.mark.parametrize("script", ["ddp_torchrun.py", "fsdp2_torchrun.py"])
def test_two_processes_do_what_one_does(script: str) -> None:
    one, two = (run(script, "--epochs=2", processes=processes) for processes in (1, 2))
    assert_learns(one, loss=0.5, accuracy=0.8)
    assert sum(counts(one, "conflicts")) > 0
    assert epochs(one) == epochs(two)
    assert counts(one, "conflicts") == counts(two, "conflicts")
    (alone,) = re.findall(r"rank 0: checksum ([\d.]+)", one)
    first, second = (re.findall(rf"rank {rank}: checksum ([\d.]+)", two) for rank in (0, 1))
    assert first == second != []
    assert float(first[0]) == pytest.approx(float(alone), rel=1e-6)


def test_lora_shared_trunk() -> None:
    output = run("lora_shared_trunk.py", "--epochs=3", ignore=PEFT)
    assert_learns(output, loss=0.8, accuracy=0.5)
    assert sum(counts(output, "conflicts")) > 0
    # Two layers, adapters of rank 4 on queries and values of width 32.
    assert counts(output, "trained in the trunk:") == [2 * 2 * 4 * (32 + 32)]


def test_three_modalities_missing() -> None:
    output = run("three_modalities_missing.py", "--epochs=3")
    assert_learns(output, loss=0.5, accuracy=0.7)
    assert counts(output, "steps without bottom") == [12] * 3  # every fourth of 45


def test_multi_label_nan() -> None:
    assert_learns(run("multi_label_nan.py", "--epochs=4"), loss=0.6, accuracy=0.75)


def test_a_batch_without_known_labels_has_a_zero_gradient() -> None:
    example = runpy.run_path(str(EXAMPLES / "multi_label_nan.py"))
    torch.manual_seed(0)
    assert example["load"]()[0].tensors[2][:32].isnan().all()
    logits = torch.randn(3, 4, requires_grad=True)
    example["known_loss"](logits, torch.full((3, 4), torch.nan)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_every_example_is_run_by_some_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("*.py"))
    examples = {path.name for path in EXAMPLES.glob("*.py")}
    assert len(examples) >= 10
    assert not {name for name in examples if f'"{name}"' not in tests}


EXPERIMENTS = {"multi_task.py"}
"""To be run and read rather than copied."""


@pytest.mark.parametrize(
    "name", sorted({path.name for path in EXAMPLES.glob("*.py")} - EXPERIMENTS)
)
def test_short_enough_to_copy(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert len(text.splitlines()) <= 120, "two screens"
    assert f"examples/{name} --epochs" in (ast.get_docstring(ast.parse(text)) or ""), (
        "says how to run it"
    )
