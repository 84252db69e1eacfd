"""What docs/loops.md and CONTRIBUTING.md say of methods runs."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from balancing.at_work import Loop, make_batch
from mmpareto import balancing, recipes
from mmpareto._catalogue import catalogue
from mmpareto.balancing import Balancer, Method, overrides
from mmpareto.models import LateFusionCNN
from mmpareto.training import load_run
from mmpareto.training.run import run

ROOT = Path(__file__).parents[2]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_loops_run_and_their_encoders_learn() -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "page"}
    first, second = blocks("docs/loops.md")
    exec(first, names)
    assert isinstance(names["balancer"], Balancer)
    before = names["encoders"]["audio"].weight.clone()
    exec(second, names)
    assert not torch.equal(before, names["encoders"]["audio"].weight)


def test_every_method_that_has_to_be_at_work_is_in_the_table_of_loops() -> None:
    page = (ROOT / "docs/loops.md").read_text()
    for name, kind in catalogue(balancing, Method).items():
        if overrides(kind(), "adapt", *balancing.AT_WORK) or not kind.trains:
            assert f"`{name}`" in page, name


@pytest.fixture
def damped(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The method of CONTRIBUTING.md, in its file, imported by its line."""
    (block,) = blocks("CONTRIBUTING.md")
    module = ModuleType("mmpareto.balancing._damped")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(block, vars(module))
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (line,) = re.findall(r"`(from mmpareto\.balancing\._damped import .*)`", text)
    exec(line, vars(balancing))
    yield vars(balancing)["Damped"]
    del vars(balancing)["Damped"]


def test_a_method_of_three_hooks_is_one_file_and_one_line(damped: Any, tmp_path: Path) -> None:
    assert sum(overrides(damped(), hook) for hook in ("evidence", "objectives", "scales")) == 3
    assert catalogue(balancing, Method)["damped"] is damped
    config = replace(recipes.cg_digits(), method=damped(), epochs=1, model=LateFusionCNN(width=2))
    metrics = run(config, tmp_path / "run", progress=False)
    assert 0 <= metrics["val"]["joint_accuracy"] <= 1
    assert load_run(tmp_path / "run")[0].method == damped()


def test_it_does_what_it_says(damped: Any) -> None:
    work, batch = Loop(damped(strength=0.5)), make_batch(0)
    seen = work.view(batch)
    losses = dict(seen.losses)
    losses["joint"] = losses["joint"] + 0.5 * seen.logits["joint"].square().mean()
    work.backward(batch)
    for modality, encoder in work.model.encoders.items():
        right = seen.logits[modality].softmax(1)[torch.arange(8), batch["label"]].mean()
        for parameter in encoder.parameters():
            (gradient,) = torch.autograd.grad(sum(losses.values()), parameter, retain_graph=True)
            expected: Tensor = (1 - 0.5 * right) * gradient
            torch.testing.assert_close(parameter.grad, expected.detach())
