"""What a folder of files holds, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from mmpareto.data._recipe import Finding
from mmpareto.data.media._inside import inside
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class Sample:
    """One sample, all of whose files are there.

    Args:
        name: Its id.
        label: Number of its class.
        files: For each modality its file, or folder of frames.
    """

    name: str
    label: int
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Args:
        samples: Those whose files are all there.
        parts: Numbers of the samples in ``"train"``, ``"val"`` and ``"test"``; a sample may be in
            none.
        missing: What is left out for want of a file, one finding for each sample.
        remarks: What is there, but not as it should be.
        warning: What somebody who trains on these parts has to know; empty if nothing.
    """

    samples: Sequence[Sample]
    parts: Mapping[str, Sequence[int]]
    missing: Sequence[Finding] = ()
    remarks: Sequence[Finding] = ()
    warning: str = ""

    @property
    def used(self) -> set[int]:
        """Numbers of the samples that are in some part."""
        return set(chain.from_iterable(self.parts.values()))


def without_links_out(survey: Survey, root: Path) -> Survey:
    """Leaves out samples with a file that is a link out of the data set.

    The folder of such a file may be a link to elsewhere.
    """
    samples: list[Sample] = []
    places: dict[int, int] = {}
    linked: dict[int, Finding] = {}
    for number, sample in enumerate(survey.samples):
        finding = _leads_out(sample, root)
        if finding is None:
            places[number] = len(samples)
            samples.append(sample)
        else:
            linked[number] = finding
    parts = {}
    for part, numbers in survey.parts.items():
        parts[part] = [places[number] for number in numbers if number in places]
    missing = [*survey.missing, *(linked[number] for number in sorted(linked.keys() & survey.used))]
    return replace(survey, samples=samples, parts=parts, missing=missing)


def _leads_out(sample: Sample, root: Path) -> Finding | None:
    """What is wrong with the first of a sample's files that leads out of the data set."""
    for path in sample.files.values():
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
                inside(root, path)
        except (MMParetoError, OSError, RuntimeError) as error:  # the latter for a circle of links
            reason = f"leads out of the data set: {error} Put the file itself there."
            return Finding(str(path), reason)
    return None
