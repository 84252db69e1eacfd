"""Files from the web, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        name: Of the file.
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

    pooch.get_logger().setLevel("ERROR")
    failures = []
    resuming = _Resuming(folder / f"{name}.part", name, progress)
    with alone(folder):
        for mirror in mirrors:
            while True:
                continued = resuming.part.exists()
                try:
                    return Path(
                        pooch.retrieve(
                            mirror + name, f"sha256:{sha256}", name, folder, downloader=resuming
                        )
                    )
                except (ValueError, requests.RequestException) as error:
                    reason = _reason(error)
                # Two halves that do not fit say nothing about this mirror: once more from the
                # start.
                if resuming.part.exists() or not continued:
                    break
            failures.append(f"{mirror}: {reason}")
    raise MMParetoError(
        f"{name} should come from one of {len(mirrors)} mirrors. Found {'; '.join(failures)}. Is "
        f"there a connection? The same command continues; or put the file into {folder} yourself."
    )


def _reason(error: Exception) -> str:
    """What went wrong, in a few words; those of requests fill a paragraph."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT} seconds"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return (
        "the connection was lost"
        if isinstance(error, requests.RequestException)
        else "a file of another checksum"
    )


@dataclass(frozen=True)
class _Resuming:
    """A downloader for pooch, which by itself starts every file anew."""

    part: Path
    name: str
    progress: Progress | None

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests

        there = self.part.stat().st_size if self.part.exists() else 0
        # Bytes as they are stored: a server that packs them would count others.
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={there}-"} if there else {})}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if not (there and response.status_code == 416):  # that is: nothing is left to ask for
                response.raise_for_status()
                self._receive(response, there if response.status_code == 206 else 0)
        self.part.replace(output_file)

    def _receive(self, response: Any, there: int) -> None:
        total = there + int(response.headers.get("Content-Length", 0))
        with self.part.open("ab" if there else "wb") as file:
            for chunk in response.iter_content(1 << 16):
                there += file.write(chunk)
                if self.progress:
                    self.progress(f"{self.name}, kB", there // 1000, max(there, total) // 1000)
