"""Data sets that are folders of files, each sample one file (or folder of frames) per modality."""

# No postponed annotations: jsonargparse evaluates those of a base class in the module of the
# derived one.

import os
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mmpareto.data._recipe import DatasetRecipe, Finding, Findings, Progress, Splits
from mmpareto.data.caching._cache import Cache, Decoder, Source, cached
from mmpareto.data.folders._survey import Survey, without_links_out
from mmpareto.data.samples._cached import CachedDataset, Column, Transform
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes


@dataclass(frozen=True)
class Reader:
    """How a modality's files become tensors.

    Args:
        cache: Name of the cache of what is decoded.
        decoder: From a file to an array.
        transform: From the array to a tensor.
    """

    cache: str
    decoder: Decoder
    transform: Transform


class FolderRecipe(DatasetRecipe):
    """A data set in a folder; derived classes find its files and say how to read them."""

    root: Path | str | None

    @property
    @abstractmethod
    def target(self) -> Classes:
        """The classes."""

    @abstractmethod
    def _survey(self, root: Path) -> Survey:
        """What there is in `root`, an existing folder."""

    @abstractmethod
    def _readers(self) -> dict[str, Reader]:
        """For each modality its reader."""

    def load(self) -> Splits:
        survey, caches = self._open()
        damaged = _damaged(survey, caches)
        splits = Splits(**self._datasets(survey, caches))
        out, total = (
            len(survey.missing) + len(damaged),
            len(survey.missing) + sum(map(len, survey.parts.values())),
        )
        lost = f"{out:,} of {total:,} samples are left out: `mmpareto data check {self.name}` says why."
        for warning in filter(None, (survey.warning, lost if out else "")):
            warnings.warn(f"{self.name}: {warning}", stacklevel=2)
        return splits

    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:
        self._open(workers, progress)

    def check(self) -> Findings:
        try:
            survey, caches = self._open()
            datasets = self._datasets(survey, caches)
        except MMParetoError as error:
            return Findings((), (Finding(self.name, str(error), fatal=True),))
        sizes = [(part, f"{len(dataset):,} samples") for part, dataset in datasets.items()]
        counts = sum((Counter(dataset.labels.tolist()) for dataset in datasets.values()), Counter())
        classes = [
            (
                "classes",
                ", ".join(f"{name} {counts[n]:,}" for n, name in enumerate(self.target.names)),
            )
        ]
        shapes = [(name, str(shape)) for name, shape in self.shapes.items()]
        warning = [Finding(self.name, survey.warning)] if survey.warning else []
        damaged = [
            finding for findings in _damaged(survey, caches).values() for finding in findings
        ]
        problems = [*warning, *self._untaught(datasets), *survey.remarks, *survey.missing, *damaged]
        return Findings([*sizes, *classes, *shapes], problems)

    def _open(
        self, workers: int = 0, progress: Progress | None = None
    ) -> tuple[Survey, dict[str, Cache]]:
        """Finds the files, and decodes what has not been decoded yet."""
        if self.root is None or not Path(self.root).is_dir():
            found = "none: add --data.root" if self.root is None else f"no folder {self.root}"
            raise MMParetoError(
                f"Parameter `data.root` should be the folder of {self.name}. Found {found}; "
                f"`mmpareto data info {self.name}` shows what is in it."
            )
        root = Path(self.root)
        survey, caches = without_links_out(self._survey(root), root), {}
        if not survey.samples:
            first = [
                f" The first: {finding.where}: {finding.reason}" for finding in survey.missing[:1]
            ]
            found = "Found none whose files are all there."
            raise MMParetoError(
                "".join([f"{root} should hold samples of {self.name}. {found}", *first])
            )
        for modality, reader in self._readers().items():
            paths = [sample.files[modality] for sample in survey.samples]
            sources = [Source(os.path.relpath(path, root), path) for path in paths]
            caches[modality] = cached(
                reader.cache, sources, reader.decoder, workers=workers, progress=progress
            )
        return survey, caches

    def _datasets(self, survey: Survey, caches: Mapping[str, Cache]) -> dict[str, CachedDataset]:
        damaged, readers, datasets = _damaged(survey, caches), self._readers(), {}
        for part, numbers in survey.parts.items():
            kept = [number for number in numbers if number not in damaged]
            if not kept:
                raise MMParetoError(
                    f"{self.root} should hold samples for the {part} part. Found none."
                )
            index = torch.tensor(kept)
            columns = {
                name: Column(caches[name], index, reader.transform)
                for name, reader in readers.items()
            }
            labels = torch.tensor([survey.samples[number].label for number in kept])
            datasets[part] = CachedDataset(
                columns, labels, [survey.samples[number].name for number in kept]
            )
        return datasets

    def _untaught(self, datasets: Mapping[str, CachedDataset]) -> list[Finding]:
        """Classes that are tested but not trained on."""
        taught, asked = (set(datasets[part].labels.tolist()) for part in ("train", "test"))
        return [
            Finding(
                self.name,
                f"class {self.target.names[label]} has test samples, but none to train on",
            )
            for label in sorted(asked - taught)
        ]


def _damaged(survey: Survey, caches: Mapping[str, Cache]) -> dict[int, list[Finding]]:
    """Why samples of some part cannot be decoded, by their numbers."""
    used = {number for numbers in survey.parts.values() for number in numbers}
    found: dict[int, list[Finding]] = {}
    for modality, cache in caches.items():
        for number, reason in cache.damaged.items():
            if number in used:
                path = survey.samples[number].files[modality]
                found.setdefault(number, []).append(Finding(str(path), reason))
    return found
