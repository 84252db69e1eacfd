"""Settings of training: what each does, and that a killed training continues to the same result."""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from made_data import Made
from torch import nn
from torch.nn import functional

from mmpareto import recipes
from mmpareto.balancing import MMPareto, ScaledUniform, Uniform
from mmpareto.data import Manifest
from mmpareto.data._dataset import EpochIndices
from mmpareto.data.samples._augment import Frames
from mmpareto.data.samples._cached import CachedDataset, Column
from mmpareto.errors import MMParetoError
from mmpareto.models import MMTMCNN, BottleneckTransformer, LateFusionCNN
from mmpareto.optimizers import SGD, AdamW, Schedule, TorchOptimizer
from mmpareto.specs import Classes
from mmpareto.training import RunConfig, describe, evaluate, load_config, load_run, save_config
from mmpareto.training._class_weights import learned_target
from mmpareto.training._config import LATER
from mmpareto.training._config_file import identity
from mmpareto.training._epoch_batches import EpochBatches
from mmpareto.training._module import BalancedModule
from mmpareto.training.run import run

run_module = importlib.import_module(run.__module__)

CONFIG = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=3, accelerator="cpu")
STEPS = 19  # of an epoch
SETTINGS: dict[str, dict[str, Any]] = {
    "adamw": {"optimizer": AdamW(weight_decay=0.1)},
    "torch": {"optimizer": TorchOptimizer("torch.optim.RAdam", {"lr": 0.01})},
    "cosine": {"schedule": Schedule("cosine", warmup=0.5)},
    "linear": {"schedule": Schedule("linear", warmup=1)},
    "step": {"schedule": Schedule("step", every=1)},
    "factors": {"lr_factors": {"gray": 0.1}, "schedule": Schedule(warmup=1)},
    "bf16": {"precision": "bf16-mixed"},
    "clip": {"clip": 0.5},
    "accumulate": {"accumulate": 4},
    "weights": {"class_weights": "balanced", "label_smoothing": 0.1},
    "patience": {"patience": 1, "optimizer": SGD(0.0)},
    "augmented": {"augmented": ()},
    "compile": {"compile": True},
}
settings = pytest.mark.parametrize("changes", SETTINGS.values(), ids=list(SETTINGS))


@pytest.fixture(autouse=True)
def _compile_quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    yield
    torch.compiler.reset()


class Interrupted(Exception): ...


def fail(*_: Any) -> None:
    raise Interrupted


def interrupt(config: RunConfig, out: Path, step: int) -> None:
    """Leaves a training as a kill in a step does."""
    train = BalancedModule.training_step

    def failing(self: BalancedModule, batch: Any, batch_idx: int) -> Any:
        if self.global_step == step:
            raise Interrupted
        return train(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BalancedModule, "training_step", failing)
        with pytest.raises(Interrupted):
            run(config, out, progress=False)


def logged(out: Path, name: str) -> list[float]:
    text = (out / "logs" / "csv" / "version_0" / "metrics.csv").read_text()
    return [float(row[name]) for row in csv.DictReader(text.splitlines()) if row.get(name)]


@settings
def test_an_interrupted_training_continues_to_the_same_result(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    config = replace(CONFIG, **changes)
    metrics = run(config, tmp_path / "whole", progress=False)
    interrupt(config, tmp_path / "out", STEPS + 3)
    again = run(config, tmp_path / "out", progress=False)
    assert (again["val"], again["test"]) == (metrics["val"], metrics["test"])
    for name in ("best.ckpt", "geometry.csv"):
        ours, theirs = ((tmp_path / folder / name).read_bytes() for folder in ("out", "whole"))
        assert ours == theirs, name
    stored, model = load_run(tmp_path / "out")
    assert stored == config
    assert evaluate(model, config.data.load(), config)["val"] == metrics["val"]


@settings
def test_a_setting_survives_its_file_and_makes_another_training(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    config = replace(CONFIG, **changes)
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert identity(config) != identity(CONFIG)


def test_trainings_stored_before_there_were_these_settings_are_known(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    settings = describe(CONFIG)
    for name in (*LATER, "accelerator"):
        del settings[name]
    assert settings["optimizer"] == {"lr": 2e-3, "momentum": 0.9, "weight_decay": 1e-4}
    path.write_text(yaml.safe_dump(settings))
    assert identity(load_config(path)) == identity(CONFIG)
    del settings["workers"]  # nor has their identity another form
    known = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    assert identity(CONFIG) == known


def test_making_a_configuration_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> Any:
        raise AssertionError

    table = tmp_path / "none.csv"
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "table", property(read))
        config = RunConfig(Manifest(table), Uniform(), LateFusionCNN(), modalities=("face",))
        assert len(pickle.dumps(replace(config, seed=1))) < 4000
        save_config(config, tmp_path / "config.yaml")
        assert load_config(tmp_path / "config.yaml") == config
    with pytest.raises(MMParetoError, match=r"none\.csv"):
        config.check_data()
    with pytest.raises(MMParetoError, match=r"none\.csv"):
        run(config, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_what_was_read_is_no_part_of_a_pickled_configuration(tmp_path: Path) -> None:
    rows = [f"{'ab'[n % 2]},{n},{('train', 'val', 'test')[n % 3]}" for n in range(3000)]
    (tmp_path / "a.csv").write_text("\n".join(["label,x,split", *rows]))
    config = RunConfig(Manifest(tmp_path / "a.csv"), Uniform(), LateFusionCNN())
    config.check_data()
    assert len(pickle.dumps(config)) < 4000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip": 0.0}, "`clip` should be positive and finite, or None. Found 0.0"),
        ({"label_smoothing": 1.0}, "`label_smoothing` should be at least 0 and less than 1"),
        ({"patience": 0}, "`patience` should be at least 1, or None. Found 0"),
        ({"accumulate": 48}, "`accumulate` should divide .* 64, into equal parts .* Found 48"),
        ({"accumulate": 64}, "`accumulate` should divide .* 64, into equal parts .* Found 64"),
        ({"precision": "8"}, "`precision` should be 32-true, bf16-mixed or 16-mixed. Found '8'"),
        ({"lr_factors": {"gray": -1.0}}, "`lr_factors` should have finite values .* Found -1.0"),
        ({"lr_factors": {"text": 1.0}}, r"`lr_factors` should be some of \('gray', 'colour'\)"),
        ({"class_weights": {"x": 1.0}}, r"`class_weights` should be some of \('0', .* Found \('x'"),
        (
            {"augmented": ("x",)},
            r"`augmented` should be some of .* Found \('x'",
        ),
        (
            {"data": Made("number"), "label_smoothing": 0.1},
            "`class_weights` and `label_smoothing` should be left out where no single class",
        ),
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MMParetoError, match=message):
        replace(CONFIG, **changes).check_data()


def test_half_precision_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(MMParetoError, match=r"32-true or bf16-mixed on cpu\. Found 16-mixed"):
        run(replace(CONFIG, precision="16-mixed"), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_parts_of_a_batch_make_one_step_of_the_whole_batch(tmp_path: Path) -> None:
    """But for batch norm, which the bottleneck model does not have."""
    base = replace(CONFIG, model=BottleneckTransformer(dim=16, layers=2), epochs=1)
    for parts in (1, 4):
        run(replace(base, accumulate=parts), tmp_path / str(parts), progress=False)
    whole, apart = (
        torch.load(tmp_path / name / "best.ckpt", weights_only=True) for name in ("1", "4")
    )
    assert whole["global_step"] == apart["global_step"] == STEPS
    torch.testing.assert_close(apart["state_dict"], whole["state_dict"], rtol=1e-4, atol=1e-6)
    rows = [(tmp_path / name / "geometry.csv").read_text().splitlines() for name in ("1", "4")]
    assert [row.split(",")[:2] for row in rows[0]] == [row.split(",")[:2] for row in rows[1]]
    losses = [logged(tmp_path / name, "train/joint_loss") for name in ("1", "4")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_parts_of_a_share_are_the_share() -> None:
    whole = list(EpochBatches(26, 12, seed=3, rank=1, processes=2))
    apart = list(EpochBatches(26, 12, seed=3, rank=1, processes=2, parts=3))
    assert [list(part) for part in apart] == [
        list(batch)[start : start + 2] for batch in whole for start in (0, 2, 4)
    ]


def test_a_constant_gamma_does_nothing_under_adamw(tmp_path: Path) -> None:
    base = replace(CONFIG, epochs=1, optimizer=AdamW(eps=1e-12))
    weights = []
    for method in (Uniform(), ScaledUniform(4.0)):
        out = tmp_path / method.name
        run(replace(base, method=method), out, progress=False)
        weights.append(torch.load(out / "best.ckpt", weights_only=True)["state_dict"])
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


def rates(config: RunConfig, tmp_path: Path) -> list[list[float]]:
    """Learning rates of the groups in each step."""
    seen: list[list[float]] = []
    train = BalancedModule.training_step

    def noting(self: BalancedModule, batch: Any, batch_idx: int) -> Any:
        seen.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])
        return train(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BalancedModule, "training_step", noting)
        run(config, tmp_path, progress=False)
    return seen


def test_rates_follow_the_schedule_and_the_encoders_factor(tmp_path: Path) -> None:
    schedule = Schedule("cosine", warmup=1)
    config = replace(CONFIG, epochs=2, schedule=schedule, lr_factors={"colour": 0.5})
    seen = rates(config, tmp_path)
    assert len(seen) == 2 * STEPS
    for step, (first, second) in enumerate(seen):
        factor = schedule.factor_at(step, epoch=STEPS, total=2 * STEPS)
        assert sorted((first, second)) == pytest.approx([0.001 * factor, 0.002 * factor])
    assert seen[STEPS - 1] == seen[STEPS]  # full, before it falls


def test_a_gradient_is_clipped_to_the_norm(tmp_path: Path) -> None:
    norms: list[float] = []

    class Noting(torch.optim.SGD):
        def step(self, *arguments: Any, **settings: Any) -> Any:
            result = super().step(*arguments, **settings)
            parameters = [p for group in self.param_groups for p in group["params"]]
            norms.append(float(torch.cat([p.grad.flatten() for p in parameters]).norm()))
            return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "SGD", Noting)
        run(replace(CONFIG, epochs=1, clip=0.25), tmp_path, progress=False)
    assert max(norms) == pytest.approx(0.25, rel=1e-4)


def test_mixed_precision_computes_in_16_bits_and_keeps_32(tmp_path: Path) -> None:
    seen: set[torch.dtype] = set()

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, nn.Linear | nn.Conv2d):
            seen.add(output.dtype)

    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        run(replace(CONFIG, epochs=1, precision="bf16-mixed"), tmp_path, progress=False)
    finally:
        hook.remove()
    assert seen == {torch.bfloat16}
    _, model = load_run(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_training_that_does_not_get_better_ends(tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=SGD(0.0), model=LateFusionCNN(width=2), epochs=9, patience=2)
    run(config, tmp_path / "out", progress=False)
    scores = logged(tmp_path / "out", "val/joint_accuracy")
    best = scores.index(max(scores))
    assert len(scores) == best + 1 + 2 < 9


def test_a_training_that_was_killed_when_it_had_ended_does_not_go_on(tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=SGD(0.0), patience=1)
    run(config, tmp_path / "whole", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "_results", fail)
        with pytest.raises(Interrupted):
            run(config, tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "last.ckpt").exists()
    run(config, tmp_path / "out", progress=False)
    for name in ("best.ckpt", "geometry.csv"):
        ours, theirs = ((tmp_path / folder / name).read_bytes() for folder in ("out", "whole"))
        assert ours == theirs, name


def test_encoders_are_compiled_where_they_train_and_where_they_are_evaluated(
    tmp_path: Path,
) -> None:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    config = replace(CONFIG, epochs=1, compile=True)
    metrics = run(config, tmp_path, progress=False)
    counts = torch._dynamo.utils.counters["stats"]
    assert counts["unique_graphs"] >= 4  # of two encoders, to train and to validate
    torch.compiler.reset()
    counts.clear()
    _, model = load_run(tmp_path)
    assert evaluate(model, config.data.load(), config)["val"] == metrics["val"]
    assert counts["unique_graphs"] >= 2


def test_encoders_that_are_run_part_by_part_are_not_compiled(tmp_path: Path) -> None:
    config = replace(CONFIG, model=MMTMCNN(width=2), compile=True)
    with pytest.raises(MMParetoError, match=r"`compile` should be false .* Found MMTM"):
        run(config, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_weights_of_classes_make_rare_ones_count_as_much() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    column = Column(torch.zeros(4, 1), torch.arange(4), Frames(1, 8))
    train = CachedDataset({"a": column}, labels, list("abcd"))

    class Two(Made):
        @property
        def target(self) -> Classes:
            return Classes(("often", "seldom", "never"))

    base = RunConfig(Two(), MMPareto(), LateFusionCNN())
    prediction = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    balanced = learned_target(replace(base, class_weights="balanced"), train)
    each = functional.cross_entropy(prediction, labels, reduction="none")
    assert balanced.loss(prediction, labels) == pytest.approx((each[:3].mean() + each[3]) / 2)
    named = learned_target(replace(base, class_weights={"seldom": 2.0}), train)
    expected = (each[:3].sum() + 2 * each[3]) / 5
    assert named.loss(prediction, labels) == pytest.approx(expected)
    smooth = learned_target(replace(base, label_smoothing=0.3), train)
    uniform = -prediction.log_softmax(1).mean(1)
    assert smooth.loss(prediction, labels) == pytest.approx((0.7 * each + 0.3 * uniform).mean())
    assert learned_target(base, train).loss(prediction, labels) == each.mean()


def test_modalities_that_are_not_to_be_changed_are_not() -> None:
    drawn = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (3, 3, 12, 12), dtype=torch.uint8, generator=drawn)
    column = Column(pixels, torch.arange(3), Frames(1, 8))
    dataset = CachedDataset({"face": column, "scan": column}, torch.zeros(3), list("abc"))
    plain = dataset[[0, 1, 2]]["inputs"]
    every = dataset[EpochIndices([0, 1, 2])]["inputs"]
    faces = dataset[EpochIndices([0, 1, 2], modalities=("face",))]["inputs"]
    assert not every["scan"].equal(plain["scan"])
    assert faces["scan"].equal(plain["scan"])
    assert faces["face"].equal(every["face"])
    none = dataset[EpochIndices([0, 1, 2], modalities=())]["inputs"]
    assert none["face"].equal(plain["face"])
