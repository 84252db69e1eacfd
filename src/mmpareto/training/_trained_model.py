"""A trained model in use, without Lightning and without the data that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmpareto.data import Batch
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.partition import JOINT
from mmpareto.specs import Shape, Target
from mmpareto.training._config import RunConfig
from mmpareto.training._device import choose_device
from mmpareto.training._evaluation import autocast, predict
from mmpareto.training._interface import Interface
from mmpareto.training._loading import batch_size
from mmpareto.training._predicted_rows import PredictedRows, expectations, in_rows, missing_in
from mmpareto.training._switches import computing

if TYPE_CHECKING:  # it needs pyarrow
    from mmpareto.data.tables._reader import Reader


class TrainedModel:
    """A trained model with its preprocessing; `mmpareto.load` makes one.

    Args:
        config: The training, with the accelerator that the model computes on now.
        interface: What the model takes and gives.
        module: The model.
        reader: How it reads the rows of a table; None where its data are no table.

    Attributes:
        config: The training.
        interface: What the model takes and gives.
        module: The model, in evaluation mode, on its device.
    """

    def __init__(
        self,
        config: RunConfig,
        interface: Interface,
        module: MultimodalModel,
        reader: Reader | None,
    ) -> None:
        self.config, self.interface, self._reader = config, interface, reader
        self._device = choose_device(config.accelerator)
        self.module = module.eval().to(self._device)

    @property
    def target(self) -> Target:
        """What is predicted."""
        return self.interface.target

    @property
    def shapes(self) -> dict[str, Shape]:
        """For each modality the shape of one sample."""
        return self.interface.shapes

    def predict(
        self,
        rows: Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        root: Path | str | None = None,
    ) -> PredictedRows:
        """Predictions for new rows of a table, as many and in the same order.

        What cannot be used of a row is left out of its prediction, and named.

        Args:
            rows: A CSV or Parquet file with the columns of the training's table, but for label and
                split; or a row, or a list of rows, as mappings from columns to cells.
            root: Folder that holds all files, where relative paths begin; None for that of the
                table, and for rows in Python the working folder.

        Raises:
            MMParetoError: If the model was trained on no table; if the file cannot be read, or its
                columns are not what they were.
        """
        if self._reader is None:
            raise MMParetoError(
                "Parameter `rows` should be given for a model that was trained on a table. Found "
                f"one of {self.config.data.name}: use `expect`, with tensors."
            )
        new = self._reader.read(rows, root)
        expected = self._blank(len(new))
        missing: list[list[str]] = []
        size = batch_size(self.shapes)
        for start in range(0, len(new), size):
            chunk = range(start, min(start + size, len(new)))
            batch = new.batch(chunk)
            missing += missing_in(batch, self.shapes)
            for name, values in self._expect_each(batch).items():
                expected[name][chunk.start : chunk.stop] = values
        is_lost = ~expected[JOINT].isfinite().all(1)
        for row in is_lost.nonzero()[:, 0].tolist():
            if len(missing[row]) < len(self.shapes):
                new.problems[row].append("the prediction is not finite")
        return PredictedRows(self.target, new.names, expected, missing, new.problems)

    def predict_test(self) -> PredictedRows:
        """Predictions for the test part of the training's data, which are read for it."""
        test = self.config.data.load().test
        return in_rows(predict(self.module, test, self.config), self.target)

    @torch.no_grad()
    def expect(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the model expects of a batch of tensors.

        Args:
            inputs: For each modality a tensor [B, ...] of samples of `shapes`; a modality may be
                missing.

        Returns:
            For the joint prediction and that of each modality present probabilities [B, classes],
            or numbers [B, 1].
        """
        with computing(self.config.threads, self._device), autocast(self.config, self._device):
            moved = {name: values.to(self._device) for name, values in inputs.items()}
            logits = self.module(moved).logits
        predictions = {name: prediction.float().cpu() for name, prediction in logits.items()}
        return expectations(predictions, self.target, self.module.joint_is_expected)

    def _expect_each(self, batch: Batch) -> dict[str, Tensor]:
        """What is expected of the samples of a batch, each of which may lack other modalities.

        Samples that have the same modalities are computed together, for not all models take others.
        """
        count, inputs, rows = len(batch["label"]), batch["inputs"], batch.get("rows", {})
        has = torch.zeros(count, len(inputs), dtype=torch.bool)
        for place, name in enumerate(inputs):
            has[rows.get(name, slice(None)), place] = True
        expected = self._blank(count)
        for pattern in torch.unique(has, dim=0):
            alike = (has == pattern).all(1).nonzero()[:, 0]
            names = [name for name, is_there in zip(inputs, pattern, strict=True) if is_there]
            if names:
                together = self.expect({name: inputs[name][alike] for name in names})
                for name, values in together.items():
                    expected[name][alike] = values.double()
        return expected

    def _blank(self, count: int) -> dict[str, Tensor]:
        """Expectations of so many samples of which nothing is known."""
        names = (JOINT, *self.shapes)
        shape = (count, self.target.outputs)
        return {name: torch.full(shape, torch.nan, dtype=torch.float64) for name in names}
