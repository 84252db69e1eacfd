"""The Free Spoken Digit Dataset, read from its archive or its folder."""

from __future__ import annotations

import io
import re
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from mmpareto.data._recipe import Finding
from mmpareto.errors import MMParetoError

RATE = 8_000
"""Samples per second."""

COUNT = 3_000
"""Number of recordings."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")

_NAME = re.compile(rf"(\d)_({'|'.join(SPEAKERS)})_(\d+)\.wav", re.ASCII)

_LARGEST = 1_000_000
"""Bytes of the largest file that is unpacked: more than half a minute."""

_UNREADABLE = (
    wave.Error,
    EOFError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Recording:
    """One spoken digit.

    Args:
        name: Name of the file, as ``7_theo_12``.
        digit: From 0 to 9.
        speaker: One of `SPEAKERS`.
        number: Which of the speaker's recordings of the digit; 0 to 4 are the official test part.
        samples: int16 [samples].
    """

    name: str
    digit: int
    speaker: str
    number: int
    samples: np.ndarray = field(repr=False)


def read_recordings(root: Path) -> tuple[list[Recording], list[Finding]]:
    """Reads all recordings.

    Args:
        root: A folder with ``fsdd.zip``, which is not unpacked, or with the folder ``recordings``.

    Returns:
        The recordings, sorted by name, and what was left out for what reason.

    Raises:
        MMParetoError: If there is neither, or the archive is none.
    """
    recordings, problems = [], []
    places: dict[str, str] = {}
    with ExitStack() as stack:
        for file in sorted(_files(root, stack), key=lambda file: (file.name, file.where)):
            if file.name in places:
                reason = f"has the name of {places[file.name]}, which is read instead"
                problems.append(Finding(file.where, reason))
                continue
            try:
                recordings.append(_decode(file.name, file.read()))
                places[file.name] = file.where
            except (*_UNREADABLE, ValueError) as error:
                problems.append(Finding(file.where, str(error) or "it ends too early"))
    return recordings, problems


@dataclass(frozen=True)
class _File:
    """A .wav file: its name, its place for messages, and how its bytes are read."""

    name: str
    where: str
    read: Callable[[], bytes]


def _files(root: Path, stack: ExitStack) -> Iterator[_File]:
    """Each .wav file in a folder called recordings; `stack` closes the archive."""
    archive, folder = root / "fsdd.zip", root / "recordings"
    if archive.is_file():
        try:
            opened = stack.enter_context(zipfile.ZipFile(archive))
        except (zipfile.BadZipFile, OSError) as error:
            raise MMParetoError(
                f"{archive} should be a zip archive of recordings. Found: {error}"
            ) from error
        for member in opened.infolist():
            path = PurePosixPath(member.filename)
            if path.parent.name == "recordings" and path.suffix == ".wav":
                yield _File(path.name, f"{archive}:{path}", partial(_unpack, opened, member))
    elif folder.is_dir():
        for file in folder.glob("*.wav"):
            yield _File(file.name, str(file), file.read_bytes)
    else:
        raise MMParetoError(
            "Parameter `data.root` should be a folder with the Free Spoken Digit Dataset, as "
            f"fsdd.zip or as the folder recordings. Found neither in {root}."
        )


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a file in the archive; a ValueError if it should not be unpacked."""
    if ".." in PurePosixPath(member.filename).parts or member.filename.startswith("/"):
        raise ValueError("the path leads out of the archive's folder")
    if member.file_size > _LARGEST:
        raise ValueError(f"should be a few seconds, found {member.file_size:,} bytes")
    return archive.read(member)


def _decode(name: str, content: bytes) -> Recording:
    """The recording in a file.

    Raises:
        ValueError: If the file holds something else; so do the errors in `_UNREADABLE`.
    """
    parts = _NAME.fullmatch(name)
    if not parts:
        raise ValueError(
            "should be named digit_speaker_number.wav with one of the speakers "
            f"{', '.join(SPEAKERS)}"
        )
    with wave.open(io.BytesIO(content)) as file:
        channels, bits, rate = file.getnchannels(), 8 * file.getsampwidth(), file.getframerate()
        if (channels, bits, rate) != (1, 16, RATE):
            raise ValueError(
                f"should be 1 channel of 16 bits at {RATE} Hz, found {channels}, {bits}, {rate}"
            )
        expected = 2 * file.getnframes()
        frames = file.readframes(file.getnframes())
        if not 0 < len(frames) == expected:
            raise ValueError(
                f"should hold {expected} bytes of samples, more than 0; found {len(frames)}"
            )
    samples = np.frombuffer(frames, "<i2")
    return Recording(name.removesuffix(".wav"), int(parts[1]), parts[2], int(parts[3]), samples)
