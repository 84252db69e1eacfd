"""Data sets that are folders of files, each sample one file (or folder of frames) per modality."""

# Annotations are not postponed: CONTRIBUTING.md says why.

import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mmpareto.data._dataset import Splits
from mmpareto.data._recipe import DatasetRecipe, Finding, Findings, Progress
from mmpareto.data.folders._open_folder import OpenFolder, open_folder
from mmpareto.data.folders._open_folder import Reader as Reader
from mmpareto.data.folders._survey import Survey, without_links_out
from mmpareto.data.samples._cached import CachedDataset
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes


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
        opened = self._open()
        survey = opened.survey
        splits = Splits(**self._datasets(opened))
        if survey.warning:
            warnings.warn(f"{self.name}: {survey.warning}", stacklevel=2)
        lost = len(survey.missing) + len(opened.damaged)
        total = len(survey.missing) + sum(map(len, survey.parts.values()))
        if lost:
            warnings.warn(
                f"{self.name}: {lost:,} of {total:,} samples are left out: `mmpareto data check "
                f"{self.name}` says why.",
                stacklevel=2,
            )
        return splits

    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:
        self._open(workers, progress)

    def check(self) -> Findings:
        try:
            opened = self._open()
            datasets = self._datasets(opened)
        except MMParetoError as error:
            return Findings((), (Finding(self.name, str(error), fatal=True),))
        survey = opened.survey
        problems = [Finding(self.name, survey.warning)] if survey.warning else []
        problems += [*self._untaught(datasets), *survey.remarks, *survey.missing]
        for findings in opened.damaged.values():
            problems += findings
        return Findings(self._facts(datasets), problems)

    def _facts(self, datasets: Mapping[str, CachedDataset]) -> list[tuple[str, str]]:
        """Sizes of the parts and of the classes, and the shapes."""
        facts = []
        counts: Counter[int] = Counter()
        for part, dataset in datasets.items():
            facts.append((part, f"{len(dataset):,} samples"))
            counts.update(dataset.labels.tolist())
        names = enumerate(self.target.names)
        facts.append(("classes", ", ".join(f"{name} {counts[label]:,}" for label, name in names)))
        return [*facts, *((name, str(shape)) for name, shape in self.shapes.items())]

    def _open(self, workers: int = 0, progress: Progress | None = None) -> OpenFolder:
        """Finds the files, and decodes what has not been decoded yet."""
        if self.root is None or not Path(self.root).is_dir():
            found = "none: add --data.root" if self.root is None else f"no folder {self.root}"
            raise MMParetoError(
                f"Parameter `data.root` should be the folder of {self.name}. Found {found}; "
                f"`mmpareto data info {self.name}` shows what is in it."
            )
        root = Path(self.root)
        survey = without_links_out(self._survey(root), root)
        if not survey.samples:
            message = (
                f"{root} should hold samples of {self.name}. Found none whose files are all there."
            )
            if survey.missing:
                first = survey.missing[0]
                message += f" The first: {first.where}: {first.reason}"
            raise MMParetoError(message)
        return open_folder(survey, root, self._readers(), workers, progress)

    def _datasets(self, opened: OpenFolder) -> dict[str, CachedDataset]:
        """The samples of each part that are not damaged."""
        datasets = {}
        for part, numbers in opened.survey.parts.items():
            kept = [number for number in numbers if number not in opened.damaged]
            if not kept:
                raise MMParetoError(
                    f"{self.root} should hold samples for the {part} part. Found none."
                )
            datasets[part] = opened.dataset(kept)
        return datasets

    def _untaught(self, datasets: Mapping[str, CachedDataset]) -> list[Finding]:
        """Classes that are tested but not trained on."""
        taught = set(datasets["train"].labels.tolist())
        untaught = sorted(set(datasets["test"].labels.tolist()) - taught)
        findings = []
        for label in untaught:
            name = self.target.names[label]
            reason = f"class {name} has test samples, but none to train on"
            findings.append(Finding(self.name, reason))
        return findings
