"""One file decoded, or the reason why it cannot be."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mmpareto.data.caching._impostors import impostor
from mmpareto.errors import MMParetoError


class Unreadable(MMParetoError):  # noqa: N818  # what is wrong with a file, not with a call
    """A file cannot be decoded. The message is the reason, in one line, without the file's path."""


@dataclass(frozen=True)
class Decoder(ABC):
    """From a file to an array.

    Subclasses are frozen dataclasses that can be pickled; their fields are the settings.

    Attributes:
        version: Number to be raised when the same file and settings give another array than before.
    """

    version: ClassVar[int]

    @abstractmethod
    def __call__(self, path: Path) -> np.ndarray:
        """Decodes one file.

        Args:
            path: Path of the file.

        Returns:
            An array of any shape.

        Raises:
            Unreadable: If the file's content is not what can be decoded.
        """


@dataclass(frozen=True)
class Source:
    """A file, or a folder that stands for one.

    Args:
        name: What users call it, such as its path relative to the data's root.
        path: Where it is.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class DecodingFailure:
    """Why there is no array.

    Args:
        reason: One line, without the file's path.
        temporary: Whether the reason may be gone the next time: the file could not be opened or
            read.
    """

    reason: str
    temporary: bool = False


Outcome = np.ndarray | DecodingFailure
"""The array of a file, or why there is none."""


def attempt(decoder: Decoder, path: Path) -> Outcome:
    """Decodes one file.

    Args:
        decoder: What decodes it.
        path: Path of the file.

    Returns:
        The array; a failure where the file is missing or damaged. Other errors are raised.
    """
    # Unlike Path.exists, this takes names that no file can have.
    if not os.path.exists(path):  # noqa: PTH110
        return DecodingFailure("no such file", temporary=True)
    try:
        return decoder(path)
    except Unreadable as error:
        if _is_temporary(error):
            return DecodingFailure(str(error), temporary=True)
        return DecodingFailure(impostor(path) or str(error))
    except OSError as error:
        return DecodingFailure(f"cannot be read: {error.strerror}", temporary=True)
    except Exception as error:
        error.add_note(f"This happened while {path} was decoded.")
        raise


def _is_temporary(error: BaseException) -> bool:
    """Whether the system refused to open or read a file, or had no memory for it."""
    return any(_is_from_system(cause) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__


def _is_from_system(error: BaseException) -> bool:
    """Whether an error speaks of the system, and not of what a file holds."""
    if type(error).__module__ != "builtins":  # FFmpeg reports damage by classes of its own
        return False
    if isinstance(error, OSError):
        return error.errno is not None  # Pillow reports damage without a number
    return isinstance(error, MemoryError)
