"""Loaders of batches, for training and for evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmpareto.data import Batch, MultimodalDataset
from mmpareto.data.caching._workers import end_with_parent
from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT
from mmpareto.specs import Shape, Text
from mmpareto.training._config import RunConfig
from mmpareto.training._epoch_batches import EpochBatches

# Of a batch in evaluation, at most: samples, and numbers in its inputs.
_SAMPLES, _NUMBERS = 500, 2**24


_ERROR = f"{MMParetoError.__module__}.{MMParetoError.__qualname__}"


class _Loader(DataLoader[Batch]):
    """Begins an epoch when its first batch is asked for.

    Lightning makes the iterator of a resumed epoch before it sets that epoch's number, and workers
    would have begun by then.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except MMParetoError as error:  # of a worker, behind the lines of its traceback
            raise MMParetoError(str(error).rpartition(f"{_ERROR}: ")[2].strip()) from error
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise MMParetoError(
                f"Parameter `workers` should be processes that stay alive. Found {self.num_workers}"
                f" of which one died: {' '.join(str(error).split())}. Memory, or the shared memory "
                "in /dev/shm, may be too small: take fewer workers, smaller batches, or 0 workers."
            ) from error


class _Pending(Dataset[Batch]):
    """The batches of a data set as it sends them, see `MultimodalDataset.pending`."""

    def __init__(self, dataset: MultimodalDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        return self._dataset.pending(indices)


def _loader(
    dataset: MultimodalDataset,
    batches: Iterable[Sequence[int]],
    modalities: Iterable[str],
    workers: int,
    pin: bool,
) -> DataLoader[Batch]:
    """Each batch is one look-up in the data set.

    Workers compute with one thread each, as torch has it.
    """
    settings: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    settings["pin_memory"] = pin
    settings["worker_init_fn"] = _start_worker
    # Torch would draw from its global generator, which would then depend on the workers.
    generator = torch.Generator().manual_seed(0)
    select = partial(select_modalities, modalities=tuple(modalities))
    return _Loader(
        _Pending(dataset),
        batch_size=None,
        sampler=batches,
        collate_fn=select,
        generator=generator,
        **settings,
    )


def _start_worker(number: int) -> None:
    end_with_parent()


def training_loader(
    dataset: MultimodalDataset,
    config: RunConfig,
    *,
    rank: int = 0,
    processes: int = 1,
    pin: bool = False,
    turns: int = 1,
) -> DataLoader[Batch]:
    """Shuffled batches as `select_modalities` leaves them, in `config.accumulate` parts each.

    Inputs may be pending; `on_device` finishes them.

    Args:
        dataset: The samples.
        config: The training.
        rank: Number of the process, from 0, whose share of each batch is loaded.
        processes: Number of processes that share each batch.
        pin: Whether batches are in pinned memory, from which a device of CUDA takes them without
            waiting.
        turns: How many times in a row each batch is given.
    """
    batches = EpochBatches(
        len(dataset),
        config.batch_size,
        config.seed,
        rank=rank,
        processes=processes,
        parts=config.accumulate,
        modalities=config.augmented,
        turns=turns,
    )
    return _loader(dataset, batches, config.shapes, config.workers, pin)


def batch_size(shapes: Mapping[str, Shape]) -> int:
    """Samples of a batch in evaluation, which fits into memory."""
    numbers = 0
    for shape in shapes.values():
        numbers += shape.length if isinstance(shape, Text) else math.prod(shape)
    return max(1, min(_SAMPLES, _NUMBERS // numbers))


def evaluation_loader(
    dataset: MultimodalDataset, shapes: Mapping[str, Shape], *, workers: int = 0, pin: bool = False
) -> DataLoader[Batch]:
    """All samples, in order, in batches that fit into memory, as `select_modalities` leaves them.

    Inputs may be pending; `on_device` finishes them.

    Args:
        dataset: The samples.
        shapes: For each modality that is asked for, the shape of one sample.
        workers: Processes that load.
        pin: Whether batches are in pinned memory.
    """
    size = batch_size(shapes)
    indices = list(range(len(dataset)))
    batches = [indices[start : start + size] for start in range(0, len(dataset), size)]
    return _loader(dataset, batches, shapes, workers, pin)


def select_modalities(batch: Batch, modalities: Iterable[str]) -> Batch:
    """The batch with the inputs of some modalities alone.

    Args:
        batch: A batch of a data set.
        modalities: The modalities to keep.

    Returns:
        The batch, always with ``"rows"``. Where a sample has none of the modalities, ``"rows"`` has
        under ``"joint"`` the samples that have any: nothing tells the others apart.

    Example:
        >>> inputs = {"a": torch.ones(3, 1), "b": torch.ones(3, 1)}
        >>> batch = {"inputs": inputs, "label": torch.ones(3), "rows": {"a": torch.tensor([0, 2])}}
        >>> select_modalities(batch, ["a"])["rows"]
        {'a': tensor([0, 2]), 'joint': tensor([0, 2])}
    """
    names = [modality for modality in modalities if modality in batch["inputs"]]
    inputs = {modality: batch["inputs"][modality] for modality in names}
    all_rows: dict[str, Tensor] = batch.get("rows", {})
    rows = {modality: samples for modality, samples in all_rows.items() if modality in inputs}
    if inputs and rows.keys() == inputs.keys():
        usable = torch.unique(torch.cat(list(rows.values())))
        if len(usable) < len(batch["label"]):
            rows[JOINT] = usable
    return {**batch, "inputs": inputs, "rows": rows}
