"""What a method sees of the data at the beginning of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from mmpareto.balancing import Survey, View
from mmpareto.data import MultimodalDataset
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.partition import Partition
from mmpareto.training._building import build_model
from mmpareto.training._config import RunConfig
from mmpareto.training._device import on_device
from mmpareto.training._loading import evaluation_loader
from mmpareto.training._predictions import view_of


@dataclass(frozen=True, eq=False)
class Surveyor:
    """Reads the data for a method.

    Args:
        config: The training.
        train: The part that is trained on.
        held_out: What is held out of it for the method, if anything is.
        trained: Models of the trainings that came first.
    """

    config: RunConfig
    train: MultimodalDataset
    held_out: MultimodalDataset | None = None
    trained: dict[str, MultimodalModel] = field(default_factory=dict)

    def at(
        self,
        epoch: int,
        model: MultimodalModel,
        encoders: Partition,
        restart: Callable[[], None],
    ) -> Survey:
        """The beginning of an epoch."""
        return Survey(epoch, encoders, partial(self.read, model), self.initial, restart)

    def read(
        self, trained: MultimodalModel, part: str, other: MultimodalModel | None = None
    ) -> Iterator[View]:
        """Passes over ``train`` or ``held-out``, in evaluation mode and without gradients."""
        model = other or trained
        parts = {"train": self.train, "held-out": self.held_out}
        dataset = parts.get(part)
        if dataset is None:
            raise MMParetoError(
                f"A survey should read train, or held-out where the method learns from it. Found "
                f"{part!r}."
            )
        loader = evaluation_loader(dataset, self.config.shapes)
        target = self.config.data.target
        device = next(trained.parameters()).device
        model.to(device)
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            with torch.no_grad():
                for batch in loader:
                    yield view_of(target, model, on_device(batch, target, device))
        finally:  # also if who reads stops early
            for module, mode in modes.items():
                module.training = mode

    def initial(self) -> Mapping[str, Tensor]:
        """The weights that the training began with, drawn again."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            model: nn.Module = build_model(self.config)
        return model.state_dict()
