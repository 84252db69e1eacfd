"""What data sets of clips, with sound and picture, share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from mmpareto.data._recipe import Finding
from mmpareto.data.folders._open_folder import Reader
from mmpareto.data.media._front_ends import AudioName, front_end
from mmpareto.data.media._types import FILES
from mmpareto.data.media._video import VideoDecoder
from mmpareto.data.samples._augment import Frames, Plain
from mmpareto.errors import MMParetoError
from mmpareto.specs import Shape


class ClipSettings(Protocol):
    """Settings of a recipe for clips: see `CREMAD`."""

    name: ClassVar[str]

    @property
    def audio(self) -> AudioName: ...
    @property
    def frames(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def size(self) -> int: ...


def check_clips(recipe: ClipSettings) -> None:
    """Raises unless clips can be read with the settings."""
    front_end(recipe.audio)
    for name in ("frames", "size"):
        value = getattr(recipe, name)
        if value < 1:
            raise MMParetoError(f"Parameter `data.{name}` should be at least 1. Found {value!r}.")
    if not 0 < recipe.fps < float("inf"):
        raise MMParetoError(
            f"Parameter `data.fps` should be finite and positive. Found {recipe.fps!r}."
        )


def clip_shapes(recipe: ClipSettings) -> dict[str, Shape]:
    """Shapes of a spectrogram [1, F, T] and of a video [3, frames, size, size]."""
    return {
        "audio": front_end(recipe.audio).shape,
        "video": (3, recipe.frames, recipe.size, recipe.size),
    }


def clip_readers(recipe: ClipSettings) -> dict[str, Reader]:
    """Readers of modalities ``audio`` and ``video``."""
    video, frames = VideoDecoder(recipe.fps, recipe.size), Frames(recipe.frames, recipe.size)
    return {
        "audio": Reader(f"{recipe.name}-audio", front_end(recipe.audio), Plain()),
        "video": Reader(f"{recipe.name}-video", video, frames),
    }


def files_by_name(folder: Path, kind: Literal["audio", "video"]) -> dict[str, Path]:
    """Files of one kind directly in a folder, by their names without ending.

    Args:
        folder: Path of the folder.
        kind: What the files hold; for ``"video"``, a folder of frames counts as a file.

    Raises:
        MMParetoError: If there is no such folder, or a name is there twice.
    """
    if not folder.is_dir():
        raise MMParetoError(f"{folder} should be a folder of {kind} files. Found no such folder.")
    endings = FILES[kind].split()
    by_name: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_frames = kind == "video" and path.is_dir()
        if path.name.startswith(".") or not (is_frames or path.suffix.lower() in endings):
            continue
        name = path.name if is_frames else path.stem
        if name in by_name:
            raise MMParetoError(
                f"{folder} should hold each clip once. Found {by_name[name].name} and {path.name}."
            )
        by_name[name] = path
    return by_name


def without_files(
    wanted: Mapping[str, str], files: Mapping[str, Mapping[str, Path]]
) -> list[Finding]:
    """Clips that lack a file.

    Args:
        wanted: Where each clip is asked for, by its name.
        files: For each modality the files there are, by the clip's name.

    Returns:
        A finding for each of the clips.
    """
    findings = []
    for name, where in wanted.items():
        lacking = [modality for modality, by_name in files.items() if name not in by_name]
        if lacking:
            findings.append(Finding(where, f"{name} has no {' and no '.join(lacking)} file"))
    return findings
