"""What is demanded of every method at work, whatever it is called."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from balancing.at_work import Loop, make_batch, make_model, share
from mmpareto import recipes
from mmpareto.balancing import AT_WORK, overrides
from mmpareto.errors import MMParetoError
from mmpareto.models import MMTMCNN, LateFusionCNN
from mmpareto.training import RunConfig, load_run
from mmpareto.training._module import BalancedModule
from mmpareto.training.run import run
from networks import EXPORTED, Count
from step.test_no_host_sync import NoWaiting
from training.made_data import Made

every_method = pytest.mark.parametrize("method", [cls() for cls in EXPORTED], ids=lambda m: m.name)
STEPPING = [cls for cls in EXPORTED if cls.trains]
every_stepping_method = pytest.mark.parametrize(
    "method", [cls() for cls in STEPPING], ids=lambda m: m.name
)
PAIR = ("audio", "visual")


def loop(method: mp.Method, dtype: torch.dtype = torch.float64) -> Loop:
    return Loop(method, make_model(modalities(method), dtype))


def modalities(method: mp.Method) -> tuple[str, ...]:
    return PAIR if method.facts.modalities == "two" else (*PAIR, "text")


@every_method
def test_facts_are_given_and_settings_have_ranges_that_hold_their_defaults(
    method: mp.Method,
) -> None:
    facts = method.facts
    assert facts.source
    assert facts.family
    assert facts.needs
    for name, values in facts.ranges.items():
        assert values.low <= getattr(method, name) <= values.high
    assert facts.ranges.keys() <= {setting.name for setting in dataclasses.fields(method)}


@every_stepping_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_learns_and_keeps_types(method: mp.Method, dtype: torch.dtype) -> None:
    work = loop(method, dtype)
    work.train(12)
    assert work.weights().isfinite().all()
    for parameter in work.model.parameters():
        assert parameter.grad is None or parameter.grad.dtype == parameter.dtype == dtype
    before = [
        work.initial[f"encoders.{name}"] for name, _ in work.model.encoders.named_parameters()
    ]
    assert not all(map(torch.equal, work.model.encoders.parameters(), before))


@every_stepping_method
def test_what_it_predicts_gets_better(method: mp.Method) -> None:
    work = Loop(method, make_model(modalities(method)), lessons=15, rate=0.02)
    before = prediction_loss(work)
    work.train(30)
    assert prediction_loss(work) < 0.95 * before


def prediction_loss(work: Loop) -> float:
    """The mean loss, on samples that are not learned from, of what the method combines."""
    seen = work.view(make_batch(5000, 300))
    unimodal = {modality: seen.logits[modality] for modality in seen.features}
    joint = work.method.combine(seen.logits["joint"], unimodal)
    return float(seen.target.loss(joint, seen.label).detach())


@every_stepping_method
def test_two_trainings_are_equal_whatever_else_draws_numbers(
    method: mp.Method,
) -> None:
    first, second = loop(method), loop(method)
    first.train(6)
    torch.manual_seed(99)  # the method draws nothing from the global generator
    second.train(6)
    assert torch.equal(first.weights(), second.weights())


@every_stepping_method
def test_what_is_remembered_goes_through_a_state_dict(method: mp.Method, tmp_path: Path) -> None:
    whole, begun = loop(method), loop(method)
    whole.train(13)
    begun.train(7)
    torch.save([begun.balancer.state_dict(), begun.model.state_dict()], tmp_path / "state.pt")
    optimizer = begun.optimizer.state_dict()
    balancer, model = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = loop(method)
    resumed.model.load_state_dict(model)
    resumed.balancer.load_state_dict(balancer)
    resumed.optimizer.load_state_dict(optimizer)
    resumed.train(6, start=7)
    assert torch.equal(resumed.weights(), whole.weights())


@every_stepping_method
def test_micro_batches_are_one_step(method: mp.Method) -> None:
    """Equal to the large batch where the losses do not depend on who is in the batch."""
    work, micro = loop(method), loop(method)
    for one in (work, micro):
        one.train(5)
        one.begin(1)
    work.backward(make_batch(7), 1)
    accumulation = mp.Accumulation(micro.partition, micro.balancer, geometry=mp.Geometry())
    micro.optimizer.zero_grad()
    for start in (0, 4):
        losses = micro.losses(share(make_batch(7), start, start + 4), 1)
        accumulation.add({name: loss / 2 for name, loss in losses.items()})
    accumulation.backward()
    for got, want in zip(micro.model.parameters(), work.model.parameters(), strict=True):
        assert (got.grad is None) == (want.grad is None)
        if got.grad is None:
            continue
        assert got.grad.isfinite().all()
        if not overrides(method, "objectives"):
            torch.testing.assert_close(got.grad, want.grad, rtol=1e-9, atol=1e-12)


@every_stepping_method
def test_a_missing_modality_is_no_trouble(method: mp.Method) -> None:
    work = loop(method)
    work.train(7)
    batch = make_batch(3)
    batch["rows"] = {"audio": torch.tensor([0, 2, 5])}
    work.backward(batch, 1)
    work.optimizer.step()
    del batch["inputs"]["audio"], batch["rows"]["audio"]
    work.backward(batch, 1)
    assert all(p.grad is None for p in work.model.encoders["audio"].parameters())
    work.optimizer.step()
    work.train(3, start=7)
    assert work.weights().isfinite().all()


@every_stepping_method
def test_a_frozen_encoder_stays(method: mp.Method) -> None:
    work = loop(method)
    frozen = work.model.encoders["visual"].requires_grad_(False)
    before = [parameter.clone() for parameter in frozen.parameters()]
    work.train(6)
    assert all(map(torch.equal, before, frozen.parameters()))
    assert work.weights().isfinite().all()


@every_stepping_method
def test_costs_the_passes_that_it_declares(method: mp.Method) -> None:
    work, counts = loop(method), Counter[str]()
    work.train(5)

    def watch(module: Any, args: Any, output: Tensor) -> Tensor:
        counts["forward"] += 1
        return Count.apply(output, counts, "backward") if output.requires_grad else output

    for model in (work.model, *work.balancer.memory.children()):
        for encoder in getattr(model, "encoders", {}).values():
            encoder.register_forward_hook(watch)
    epochs = {}
    for epoch in range(1, 9):  # the dearest counts
        counts.clear()
        work.step(make_batch(0), epoch)
        work.step(make_batch(1), epoch)
        epochs[epoch] = dict(counts)
    for name, declared in (
        ("forward", method.facts.forwards),
        ("backward", method.facts.backwards),
    ):
        dearest = max(passes[name] for passes in epochs.values())
        assert dearest / (2 * len(work.model.encoders)) == declared


@every_stepping_method
def test_a_step_without_having_seen_the_batch_is_refused(method: mp.Method) -> None:
    work = loop(method)
    losses = work.view(make_batch(0)).losses
    if overrides(method, *AT_WORK):
        with pytest.raises(MMParetoError, match=r"Balancer\(method, encoders\)"):
            mp.backward(losses, work.partition, method)
    if overrides(method, "evidence"):
        with pytest.raises(MMParetoError, match="should have seen the batch"):
            mp.backward(losses, work.partition, work.balancer)
    assert all(parameter.grad is None for parameter in work.model.parameters())


@every_stepping_method
def test_a_step_never_waits_for_the_device(method: mp.Method) -> None:
    work = loop(method)
    work.train(6)
    with NoWaiting():
        work.backward(make_batch(7), 1)


class Killed(Exception):
    """What ends a training in its midst."""


def configuration(method: mp.Method) -> RunConfig:
    base = replace(recipes.cg_digits(), method=method, epochs=2, batch_size=16)
    base = replace(base, data=Made(), model=LateFusionCNN(width=2))
    try:
        method.adapt(base.model.build(base.shapes, 3))
    except MMParetoError:  # of features of several widths
        return replace(base, modalities=("table", "text"))
    return base


@every_method
def test_killed_and_resumed_to_the_bit_on_three_modalities_with_gaps(
    method: mp.Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(method)
    if method.facts.modalities == "two":
        config = replace(config, modalities=("image", "table"))
    whole = run(config, tmp_path / "whole", progress=False)
    step = BalancedModule.training_step

    def stopping(self: Any, batch: Any, number: int) -> Tensor:
        if self.global_step == 8:  # of 6 in an epoch
            raise Killed
        return step(self, batch, number)

    monkeypatch.setattr(BalancedModule, "training_step", stopping)
    with pytest.raises(Killed):  # in a training that comes first, if there are any
        run(config, tmp_path / "resumed", progress=False)
    monkeypatch.undo()
    resumed = run(config, tmp_path / "resumed", progress=False)
    assert (resumed["val"], resumed["test"]) == (whole["val"], whole["test"])
    _, left = load_run(tmp_path / "whole")
    _, right = load_run(tmp_path / "resumed")
    assert left.state_dict().keys() == right.state_dict().keys()
    assert all(map(torch.equal, left.state_dict().values(), right.state_dict().values()))


@every_method
def test_trains_on_two_modalities_of_images(method: mp.Method, tmp_path: Path) -> None:
    config = replace(recipes.cg_digits(), method=method, epochs=1, model=LateFusionCNN(width=2))
    metrics = run(config, tmp_path / "run", progress=False)
    scores = metrics["val"]
    assert scores.keys() == {"joint_accuracy", "gray_accuracy", "colour_accuracy"}
    assert all(0 <= score <= 1 for score in scores.values())


@every_method
def test_what_it_relies_on_is_asked_for_before_anything_is_written(
    method: mp.Method, tmp_path: Path
) -> None:
    refused = []
    if "fuse" in method.relies_on:
        refused.append(replace(recipes.cg_digits(), method=method, model=MMTMCNN(width=2)))
    if "confidence" in method.relies_on:
        refused.append(replace(configuration(method), data=Made("number")))
    if overrides(method, *AT_WORK):
        refused.append(replace(configuration(method), strategy="fsdp"))
    for number, config in enumerate(refused):
        with pytest.raises(MMParetoError, match=method.name):
            run(config, tmp_path / str(number), progress=False)
        assert not (tmp_path / str(number)).exists()
