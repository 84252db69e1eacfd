"""Where a training computes, and that its evaluation computes there and as it does."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from made_data import Made, MadeDataset
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmpareto.balancing import MMPareto, Uniform
from mmpareto.data import PendingBatch
from mmpareto.data.samples._augment import Frames
from mmpareto.data.samples._cached import CachedDataset, Column
from mmpareto.distributed import spread
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.specs import Classes, Number
from mmpareto.training import RunConfig, check_same, load_run, magnitudes, predict
from mmpareto.training._device import SCORED, choose_device, on_device
from mmpareto.training._loading import evaluation_loader, training_loader
from mmpareto.training._mean_losses import MeanLosses
from mmpareto.training._module import BalancedModule
from mmpareto.training._switches import computing
from mmpareto.training.run import run

CONFIG = RunConfig(
    Made(), MMPareto(), LateFusionCNN(width=2), epochs=2, batch_size=16, accelerator="cpu"
)
IMAGES = replace(CONFIG, batch_size=4, modalities=("image",))
META = torch.device("meta")


def validated(out: Path, metric: str) -> list[float]:
    text = (out / "logs" / "csv" / "version_0" / "metrics.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return [float(row[metric]) for row in rows if row[metric]]


@pytest.mark.parametrize(
    ("counts", "accelerator", "kind"),
    [((2, 0), "auto", "cuda"), ((0, 1), "auto", "mps"), ((0, 0), "auto", "cpu"),
     ((2, 1), "cpu", "cpu"), ((2, 0), "gpu", "cuda"), ((0, 1), "gpu", "mps"),
     ((0, 1), "mps", "mps")],
)  # fmt: skip
def test_an_accelerator_is_taken_where_there_is_one(
    counts: tuple[int, int], accelerator: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: counts[0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: bool(counts[1]))
    assert choose_device(accelerator).type == kind


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        ((0, 0), {"accelerator": "gpu"}, "`accelerator` should be one that this machine has"),
        ((2, 0), {"accelerator": "mps"}, "`accelerator` should be one that this machine has"),
        ((1, 0), {"devices": 2}, "`devices` should be at most 1, the number of cuda.* Found 2"),
        ((0, 1), {"devices": 2}, "`devices` should be at most 1, the number of mps.* Found 2"),
    ],
)
def test_devices_that_are_not_there_are_refused_before_a_folder_is_made(
    counts: tuple[int, int],
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: counts[0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: bool(counts[1]))
    with pytest.raises(MMParetoError, match=message) as caught:
        run(replace(CONFIG, **{"accelerator": "auto", **settings}), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_device_makes_no_other_training(tmp_path: Path) -> None:
    run(replace(CONFIG, epochs=1), tmp_path, progress=False)
    check_same(replace(CONFIG, epochs=1, accelerator="gpu"), tmp_path)
    with pytest.raises(MMParetoError, match="`accelerator` should be auto, cpu, gpu or mps"):
        replace(CONFIG, accelerator="tpu")


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_the_reported_score_is_the_one_that_chose_the_checkpoint(kind: str, tmp_path: Path) -> None:
    """To the last digit that a logger keeps, of single precision."""
    config = replace(CONFIG, data=Made(kind), threads=2)
    metrics = run(config, tmp_path, progress=False)
    for name, score in metrics["val"].items():
        chosen = int(np.argmax(validated(tmp_path, f"val/joint_{config.data.target.metric}")))
        assert np.float32(score) == np.float32(validated(tmp_path, f"val/{name}")[chosen]), name


def test_evaluation_and_magnitudes_compute_as_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, epochs=1, threads=2)
    run(config, tmp_path, progress=False)
    seen: list[tuple[int, bool]] = []

    def note(*_: Any) -> None:
        switched = torch.are_deterministic_algorithms_enabled()
        seen.append((torch.get_num_threads(), switched))

    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        _, model = load_run(tmp_path)
        predict(model, config.data.load().val, config)
        magnitudes(tmp_path)
    finally:
        hook.remove()
    assert set(seen) == {(2, True)}
    assert torch.get_num_threads() == 1


def test_where_an_accelerator_has_no_deterministic_kernel_torch_warns() -> None:
    for device, warns in ((torch.device("cuda"), True), (torch.device("cpu"), False)):
        with computing(1, device):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled() == warns
        assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()


class NoDoubles(TorchDispatchMode):
    """Refuses float64, as a Mac's GPU does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            assert not isinstance(value, torch.Tensor) or value.dtype != torch.float64, func
        return result


STEPS = ("training_step", "backward", "validation_step")


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_no_step_needs_double_precision(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = MadeDataset.sample

    def precise(self: MadeDataset, *arguments: Any) -> Any:
        inputs, label = sample(self, *arguments)
        return inputs, label.double() if kind == "number" else label

    monkeypatch.setattr(MadeDataset, "sample", precise)
    for name in STEPS:
        hook = getattr(BalancedModule, name)

        def refusing(self: Any, *args: Any, hook: Any = hook, **kwargs: Any) -> Any:
            with NoDoubles():
                return hook(self, *args, **kwargs)

        monkeypatch.setattr(BalancedModule, name, refusing)
    # The min-norm point is found in float64 but on such a device, which it asks for.
    config = replace(CONFIG, data=Made(kind), method=Uniform())
    assert run(config, tmp_path, progress=False)["val"]


def test_labels_are_standardised_before_they_travel() -> None:
    label = 1.7e9 + torch.arange(4, dtype=torch.float64)
    batch = {"inputs": {"a": torch.ones(4, 1)}, "rows": {"a": torch.arange(4)}, "label": label}
    moved = on_device(batch, Number("time", 1.7e9, 2.0), META)
    for value in (moved["inputs"]["a"], moved["rows"]["a"], moved["label"]):
        assert (value.device, value.dtype == torch.float64) == (META, False)
    assert moved[SCORED] is label
    here = on_device(batch, Number("time", 1.7e9, 2.0), torch.device("cpu"))
    assert here["label"].tolist() == [0.0, 0.5, 1.0, 1.5]


def images(count: int) -> CachedDataset:
    drawn = torch.Generator().manual_seed(0)
    bytes_ = torch.randint(256, (count, 3, 12, 12), dtype=torch.uint8, generator=drawn)
    index = torch.arange(count)
    index[1] = -1
    return CachedDataset({"image": Column(bytes_, index, Frames(1, 8))}, index * 0, index)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_batches_travel_as_bytes_and_become_the_same_floats(workers: int) -> None:
    dataset = images(9)
    loader = training_loader(dataset, replace(IMAGES, workers=workers))
    for indices, batch in zip(loader.sampler, loader, strict=True):
        pending, expected = batch["inputs"]["image"], dataset[indices]["inputs"]["image"]
        assert isinstance(pending, PendingBatch)
        assert pending.tensors.dtype == torch.uint8
        target = Classes(("a", "b"))
        moved = on_device(batch, target, torch.device("cpu"))["inputs"]["image"]
        assert moved.equal(expected)
        away = on_device(batch, target, META)["inputs"]["image"]
        assert (away.device, away.dtype, away.shape) == (META, torch.float32, expected.shape)


def test_batches_are_pinned_before_they_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.dtype] = []

    def pin(values: torch.Tensor) -> torch.Tensor:
        pinned.append(values.dtype)
        return values

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    dataset = images(4)
    (batch,) = training_loader(dataset, IMAGES)
    batch["inputs"]["image"].pin_memory().finished()
    assert pinned == [torch.uint8]
    for pins in (True, False):
        assert training_loader(dataset, IMAGES, pin=pins).pin_memory == pins
        assert evaluation_loader(dataset, {"image": (3, 8, 8)}, pin=pins).pin_memory == pins


def test_processes_share_tensors_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    def pickled(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(dist, "broadcast_object_list", pickled)
    sent: list[torch.Tensor] = []
    monkeypatch.setattr(dist, "broadcast", lambda values, source: sent.append(values))
    model = nn.BatchNorm1d(3)
    spread(model.buffers())
    assert all(one is other for one, other in zip(sent, model.buffers(), strict=True))


def test_a_process_without_a_loss_adds_up_on_its_device() -> None:
    seen: list[torch.device] = []

    def total(numbers: torch.Tensor) -> torch.Tensor:
        seen.append(numbers.device)
        return torch.zeros(2, 2)

    assert MeanLosses(["a"], META).means(total) == {}
    assert MeanLosses(["a"], META).first_not_finite().device == META
    assert seen == [META]
