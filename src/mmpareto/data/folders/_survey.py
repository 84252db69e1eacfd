"""What a folder of files holds, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmpareto.data._recipe import Finding


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
        parts: Numbers of the samples in ``"train"``, ``"val"`` and ``"test"``; a sample may be in none.
        missing: What is left out for want of a file, one finding for each sample.
        remarks: What is there, but not as it should be.
        warning: What somebody who trains on these parts has to know; empty if nothing.
    """

    samples: Sequence[Sample]
    parts: Mapping[str, Sequence[int]]
    missing: Sequence[Finding] = ()
    remarks: Sequence[Finding] = ()
    warning: str = ""
