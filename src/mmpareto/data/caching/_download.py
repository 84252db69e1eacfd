"""Files from the web, complete or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpareto._storage._files import open_to_continue
from mmpareto.data._recipe import Progress
from mmpareto.data.caching._place import alone
from mmpareto.errors import MMParetoError

_TIMEOUT = 30
"""Seconds without an answer after which a mirror counts as dead."""


def download(
    name: str, sha256: str, mirrors: Sequence[str], folder: Path, progress: Progress | None = None
) -> Path:
    """Fetches a file unless it is there already.

    What has arrived of a file is kept, so that the next mirror, or the next call, asks for the rest
    alone.

    Args:
        name: Name of the file.
        sha256: Its checksum, in hexadecimal digits.
        mirrors: Addresses of folders that hold the file, ending in a slash; tried in turn.
        folder: Where the file goes; made if needed.
        progress: Told how many kilobytes are there.

    Returns:
        Path of the file, whose checksum is right.

    Raises:
        MMParetoError: If no mirror gives it, or the folder cannot be written to. A file that was
            there stays.
    """
    try:
        import pooch
        import requests
    except ImportError as error:
        raise MMParetoError("A download needs pooch. Run: pip install 'mmpareto[data]'") from error

    failures = []
    downloader = _Resuming(folder / f"{name}.part", name, progress)
    with alone(folder), _quiet(pooch.get_logger()):
        for mirror in mirrors:
            try:
                return _retrieve(mirror + name, sha256, folder, downloader)
            except MMParetoError:  # which is about this machine
                raise
            except (ValueError, requests.RequestException) as error:
                failures.append(f"{mirror}: {_reason(error)}")
    raise MMParetoError(
        f"{name} should come from one of {len(mirrors)} mirrors. Found {'; '.join(failures)}. Is "
        f"there a connection? The same command continues; or put the file into {folder} yourself."
    )


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keeps what is less than an error out of a log, until the block ends."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _retrieve(address: str, sha256: str, folder: Path, downloader: _Resuming) -> Path:
    """Fetches a file from one mirror; a ValueError says that its checksum is wrong."""
    import pooch

    def retrieve() -> Path:
        checksum = f"sha256:{sha256}"
        path = pooch.retrieve(address, checksum, downloader.name, folder, downloader=downloader)
        return Path(path)

    continued = downloader.part.exists()
    try:
        return retrieve()
    except ValueError as error:
        if isinstance(error, MMParetoError) or not continued or downloader.part.exists():
            raise
    # Two halves that do not fit say nothing about this mirror: again, from the start.
    return retrieve()


def _reason(error: Exception) -> str:
    """What went wrong, in a few words; those of requests fill a paragraph."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT} seconds"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.RequestException):
        return "the connection was lost"
    return "a file of another checksum"


@dataclass(frozen=True)
class _Resuming:
    """A downloader for pooch, which by itself starts every file anew.

    Args:
        part: File for what has arrived.
        name: Name of the file that is fetched.
        progress: Told how many kilobytes are there.
    """

    part: Path
    name: str
    progress: Progress | None

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests

        arrived = self.part.stat().st_size if self.part.exists() else 0
        # Bytes as they are stored: a server that packs them would count others.
        headers = {"Accept-Encoding": "identity"}
        if arrived:
            headers["Range"] = f"bytes={arrived}-"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            nothing_left = arrived and response.status_code == requests.codes.range_not_satisfiable
            if not nothing_left:
                response.raise_for_status()
                partial = response.status_code == requests.codes.partial_content
                self._receive(response, arrived if partial else 0)
        self.part.replace(output_file)

    def _receive(self, response: Any, arrived: int) -> None:
        """Appends an answer to what has arrived, or begins anew where that is nothing."""
        total = arrived + int(response.headers.get("Content-Length", 0))
        with open_to_continue(self.part) as file:
            if not arrived:
                file.truncate(0)
                file.seek(0)
            for chunk in response.iter_content(1 << 16):
                arrived += file.write(chunk)
                if self.progress:
                    self.progress(f"{self.name}, kB", arrived // 1000, max(arrived, total) // 1000)
