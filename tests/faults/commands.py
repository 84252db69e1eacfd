"""The commands that write files, their smallest cases, and what has to come of them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TABLE = "TABLE"
LARGE = ("data prepare",)  # commands with few changes of files
TRAINING = ["--batch_size", "12", "--model.width", "2"]
ARGUMENTS = {
    "train": ["train", "--data", TABLE, *TRAINING, "--epochs", "2", "--out", "out"],
    "compare": [
        *["compare", "--data", TABLE, *TRAINING, "--methods", "uniform,ensemble", "--seeds", "1"],
        *["--jobs", "1", "--epochs", "1", "--out", "out"],
    ],
    "data prepare": ["data", "prepare", TABLE],
}
"""Each runs in a folder of its own; results go to ``out``, caches to ``cache``."""


def write_table(folder: Path, modalities: tuple[str, ...]) -> None:
    """A table of modalities that are vectors."""
    random = np.random.default_rng(0)
    with (folder / "my.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label", "split", *modalities])
        for number in range(40):
            cells = []
            for modality in modalities:
                name = f"{modality}{number}.npy"
                vector = random.normal(size=4) + number % 2
                np.save(folder / name, vector.astype(np.float32))
                cells.append(name)
            split = ("train", "train", "train", "val", "test")[number % 5]
            rows.writerow([f"s{number}", "ab"[number % 2], split, *cells])


class Zygote:
    """The program `zygote`, while it runs."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("zygote.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def begin(self, arguments: list[str], folder: Path, **more: Any) -> None:
        """Starts a command."""
        request = {"arguments": arguments, "folder": str(folder), "fault": None, **more}
        request["environment"] = {"MMPARETO_CACHE": str(folder / "cache")}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def end(self) -> int:
        """Waits for it, and returns its exit code, negative for a signal."""
        assert self._process.stdout is not None
        code: int = json.loads(self._process.stdout.readline())["code"]
        return code

    def run(self, arguments: list[str], folder: Path, **more: Any) -> int:
        """Runs a command, and returns its exit code."""
        self.begin(arguments, folder, **more)
        return self.end()

    def close(self) -> None:
        """Ends the program."""
        self._process.communicate()


def results(folder: Path) -> dict[str, str]:
    """What a command made, without dates, durations and other places' names."""
    made: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name in ("best.ckpt", "geometry.csv", "data", "journal", "magnitudes.csv"):
            made[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "metrics.json":
            metrics = json.loads(path.read_text())
            del metrics["train"]["seconds"]
            made[name] = json.dumps(metrics)
        elif path.name == "results.csv":
            made[name] = "\n".join(
                line for line in path.read_text().splitlines() if ",seconds," not in line
            )
    return made


@dataclass
class Case:
    """A command, with what it makes undisturbed, and in how many changes of files and seconds.

    Args:
        name: Its name, one of `ARGUMENTS`.
        root: A folder with the table, for the folders of the tries.
        zygote: What runs it.
    """

    name: str
    root: Path
    zygote: Zygote

    def __post_init__(self) -> None:
        write_table(self.root, ("left", "right", "up", "down")[: 4 if self.name in LARGE else 2])
        table = str(self.root / "my.csv")
        self.arguments = [table if word == TABLE else word for word in ARGUMENTS[self.name]]
        self.whole = self.root / "whole"
        self.whole.mkdir()
        assert self.run(self.whole, fault={"kind": "count"}) == 0, self.log(self.whole)
        self.changes = int((self.whole / "log.count").read_text())
        self.results = self.made(self.whole)
        assert self.results
        begin = time.monotonic()
        assert self.run(self.folder()) == 0
        self.seconds = time.monotonic() - begin
        sizes = [path.stat().st_size for path in self.whole.rglob("*")]
        self.magnitude = math.log10(max(sizes))

    def folder(self, *, copied: bool = False) -> Path:
        """A new folder for a try; on demand with all that the undisturbed command made."""
        folder = self.root / "try"
        shutil.rmtree(folder, ignore_errors=True)
        if copied:
            shutil.copytree(self.whole, folder)
        else:
            folder.mkdir()
        return folder

    def run(self, folder: Path, **more: Any) -> int:
        """Exit code of the command in a folder."""
        return self.zygote.run(self.arguments, folder, **more)

    def made(self, folder: Path) -> dict[str, str]:
        """The results that a try left: its caches, or what was made of them."""
        return results(folder / ("cache" if self.name == "data prepare" else "out"))

    @staticmethod
    def log(folder: Path) -> str:
        """What it printed last."""
        return (folder / "log").read_text(errors="replace")
