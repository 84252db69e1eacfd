"""What a folder of files holds, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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


def without_links_out(survey: Survey, root: Path) -> Survey:
    """Leaves out samples with a file that is a link out of the data set; its folder may be a link to elsewhere."""
    out = {
        number: said
        for number, sample in enumerate(survey.samples)
        if (said := _leads_out(sample, root))
    }
    kept = [number for number in range(len(survey.samples)) if number not in out]
    new = {number: place for place, number in enumerate(kept)}
    used = {number for numbers in survey.parts.values() for number in numbers}
    return replace(
        survey,
        samples=[survey.samples[number] for number in kept],
        parts={
            part: [new[number] for number in numbers if number in new]
            for part, numbers in survey.parts.items()
        },
        missing=[*survey.missing, *(finding for number, finding in out.items() if number in used)],
    )


def _leads_out(sample: Sample, root: Path) -> Finding | None:
    for path in sample.files.values():
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
                inside(root, path)
        except (MMParetoError, OSError, RuntimeError) as error:  # a circle of links
            return Finding(
                str(path), f"leads out of the data set: {error} Put the file itself there."
            )
    return None
