"""The complete description of one training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmpareto.balancing import Method
from mmpareto.data import DatasetRecipe
from mmpareto.models import ModelRecipe
from mmpareto.optimizers import SGD, Optimizer, Schedule
from mmpareto.specs import Shape
from mmpareto.training._config_checks import check_with_data, check_without_data
from mmpareto.training._device import Accelerator
from mmpareto.training._geometry_settings import GeometrySettings

NOT_IN_RESULT = ("workers", "accelerator")
"""Settings that say where a training runs and not what it computes, but for the last digits of
another device: it may be continued with others."""

LATER = (
    "schedule",
    "lr_factors",
    "precision",
    "clip",
    "accumulate",
    "compile",
    "class_weights",
    "label_smoothing",
    "patience",
    "augmented",
)
"""Settings that stored trainings of earlier versions do not have: they ran with the defaults."""

_OPTIMIZER, _SCHEDULE, _GEOMETRY = SGD(), Schedule(), GeometrySettings()


@dataclass(frozen=True)
class RunConfig:
    """One training: everything its result depends on, and how it is run.

    Making one reads no file; `check_data` does.

    Args:
        data: The data set.
        method: How the objectives are balanced.
        model: The model to train from scratch.
        optimizer: The optimizer and its settings.
        epochs: Passes over the training part.
        batch_size: Samples per step, over all processes; what is left at the end of an epoch is
            dropped.
        seed: Seed of the weights and of the order of samples.
        modalities: The modalities to train on; None for all of the data set.
        threads: Threads of the processor. Sums are ordered by them, so another number can give
            other last digits.
        geometry: How the geometry of the gradients is measured.
        devices: Processes per node that train together; each takes its share of every batch.
        num_nodes: Nodes that train together.
        workers: Processes that load the data for each process that trains, for either part; 0 loads
            in that process. The batches are the same whatever their number.
        strategy: Whether every process holds the whole model (ddp) or a part of each parameter
            (fsdp, FSDP2); auto is ddp where there are several processes.
        accelerator: Where the model computes: on the processor (cpu), on CUDA or a Mac's GPU (gpu),
            on a Mac's (mps); auto is gpu where there is one.
        schedule: How the learning rate changes.
        lr_factors: For some modalities, what the learning rate of their encoder is multiplied by.
        precision: Numbers that a model computes with; mixed keeps weights in 32 bits. Losses of
            16-mixed are scaled, and it needs a GPU.
        clip: Greatest norm of the balanced gradient, over all parameters; longer ones are scaled
            down to it. None leaves them.
        accumulate: Equal parts that each process computes its share of a batch in, one after the
            other, to save memory. The step decides once, as on the whole batch; batch norm sees
            the parts.
        compile: Whether encoders are compiled by torch.compile, in models of late fusion.
        class_weights: What a class counts for in the loss: alike (none), inversely to its frequency
            in the training part (balanced), or by name, 1 for those that are not named.
        label_smoothing: Part of a label that is spread over all classes in the loss.
        patience: Epochs without a better validation score after which a training ends; None trains
            all `epochs`. Methods then differ in the steps that they get: not for a comparison of
            equal budgets.
        augmented: The modalities that are changed at random in training; None for all that the
            data set changes, an empty list for none.
        hold_out: Whether a tenth of the training part is held out, as for methods that learn from
            it: for other trainings to be compared with theirs.
    """

    data: DatasetRecipe
    method: Method
    model: ModelRecipe
    optimizer: Optimizer = _OPTIMIZER
    epochs: int = 30
    batch_size: int = 64
    seed: int = 0
    modalities: tuple[str, ...] | None = None
    threads: int = 1
    geometry: GeometrySettings = _GEOMETRY
    devices: int = 1
    num_nodes: int = 1
    workers: int = 0
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    accelerator: Accelerator = "auto"
    schedule: Schedule = _SCHEDULE
    lr_factors: dict[str, float] | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    clip: float | None = None
    accumulate: int = 1
    compile: bool = False
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    label_smoothing: float = 0.0
    patience: int | None = None
    augmented: tuple[str, ...] | None = None
    hold_out: bool = False

    def __post_init__(self) -> None:
        check_without_data(self)

    def check_data(self) -> None:
        """Checks what depends on the data set, which is read for it if it must be.

        Raises:
            MMParetoError: If a setting names modalities or classes that the data set does not have;
                if its files are not there.
        """
        check_with_data(self)

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.num_nodes

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shape of one sample of each modality that is trained on."""
        return {name: self.data.shapes[name] for name in self.modalities or self.data.shapes}
