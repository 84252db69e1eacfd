"""Caches where there is no fcntl, and where no file can be removed that is open."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mmpareto.data.caching import _place
from mmpareto.data.caching._cache import Cache, Decoder, Source, cached

SCRIPT = """
import sys
from pathlib import Path
sys.modules["fcntl"] = None
from mmpareto.data.caching._download import download
from data.test_cache_on_windows import open_cache, write
folder = Path(sys.argv[1])
assert open_cache(write(folder, "a", "b"))[1].tolist() == [98]
assert open_cache(write(folder, "a", "c"))[1].tolist() == [99]
path = folder / "there"
path.write_text("a")
checksum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
print(download("there", checksum, ["http://localhost:9/"], folder))
"""


@dataclass(frozen=True)
class Bytes(Decoder):
    """The bytes of a file."""

    version = 1

    def __call__(self, path: Path) -> np.ndarray:
        return np.frombuffer(path.read_bytes(), np.uint8)


def write(folder: Path, *contents: str) -> list[Source]:
    sources = []
    for number, content in enumerate(contents):
        path = folder / f"{number}{content}.txt"
        path.write_text(content)
        sources.append(Source(path.name, path))
    return sources


def open_cache(sources: list[Source]) -> Cache:
    return cached("test", sources, Bytes())


def stores(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*") if path.is_dir()]


def test_caches_and_downloads_work_without_fcntl(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "MMPARETO_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{tmp_path / 'there'}\n"
    assert len(stores(tmp_path / "cache")) == 1


def test_a_store_that_somebody_has_open_stays_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_place, "fcntl", None)
    unlink, is_open = Path.unlink, True

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if is_open and path.name == "journal":
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    first = open_cache(write(tmp_path, "a", "b"))
    open_cache(write(tmp_path, "a", "c"))
    assert [item.tolist() for item in first if item is not None] == [[97], [98]]
    assert len(stores(tmp_path / "cache")) == 2
    is_open = False
    open_cache(write(tmp_path, "a", "d"))
    assert len(stores(tmp_path / "cache")) == 1
