"""Faults, what came of them, and the figures of it."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults.commands import Case

FIGURES = "MMPARETO_FAULTS"
"""The environment variable that names a folder for the figures."""


@dataclass
class Tally:
    """What came of the faults of a kind.

    Args:
        fault: The kind.
        command: The command that met them.
        tries: Number of faults.
        said: How many the command itself named, in one line and with exit code 2.
        completed: How many times the command, run again, came to its end.
        equal: How many times its results were then those without a fault, to the bit.
        lost: How many times it did not come to its end.
        silent: How many times it ended with 0 and other results.
        notes: What is to be mended.
    """

    fault: str
    command: str
    tries: int = 0
    said: int = 0
    completed: int = 0
    equal: int = 0
    lost: int = 0
    silent: int = 0
    notes: list[str] = field(default_factory=list)

    def settle(self, case: Case, folder: Path, code: int, what: object) -> None:
        """Judges a try by the exit code of its command, runs the command again, and counts.

        Args:
            case: The command.
            folder: Where the fault was.
            code: What the command ended with when it met the fault; negative for a signal.
            what: Describes the fault.
        """
        self.tries += 1
        if code == 0:
            if case.made(folder) == case.results:  # the fault did not matter
                self.completed, self.equal = self.completed + 1, self.equal + 1
                return
            self.silent += 1
            self._note(case, folder, what, "other results, and no word")
        elif code == 2 or (code == 1 and "Failed: " in case.log(folder)):  # some of a comparison's
            self._hear(case, folder, what)
        elif code > 0:
            self._note(case, folder, what, f"exit code {code}")
        self._repeat(case, folder, what)

    def _repeat(self, case: Case, folder: Path, what: object) -> None:
        """Runs the command again, as its message says."""
        for _ in range(4):  # each message names one thing to delete
            code = case.run(folder)
            if code != 2 or not follow(case.log(folder), folder):
                break
        if code:
            self.lost += 1
            self._note(case, folder, what, f"lost: exit code {code}")
            return
        self.completed += 1
        if case.made(folder) == case.results:
            self.equal += 1
        else:
            self._note(case, folder, what, "not equal")

    def _hear(self, case: Case, folder: Path, what: object) -> None:
        """Counts a message, which should be one line."""
        lines = case.log(folder).splitlines()
        errors = [line for line in lines if line.startswith(("mmpareto: error: ", "Failed: "))]
        if errors and not any("Traceback" in line for line in lines):
            self.said += 1
        else:
            self._note(case, folder, what, "no single line")

    def _note(self, case: Case, folder: Path, what: object, problem: str) -> None:
        end = " | ".join(case.log(folder).splitlines()[-3:])
        self.notes.append(f"{self.command}, {self.fault} {what}: {problem}: {end}")

    def check(self) -> None:
        """Writes the figures. Raises unless nothing was lost, silent, or as it should not be."""
        record(asdict(self))
        assert self.notes == []
        assert self.tries == self.completed == self.equal


def record(figures: dict[str, Any]) -> None:
    """Keeps figures for the table, where one is asked for."""
    if os.environ.get(FIGURES):
        name = f"{figures['command']}-{figures['fault']}".replace(" ", "-")
        Path(os.environ[FIGURES], f"{name}.json").write_text(json.dumps(figures, indent=1))


def follow(message: str, folder: Path) -> bool:
    """Does as a message says: deletes what it names, or takes a new folder for the results."""
    if "Choose another folder" in message or "Delete the folder" in message:
        shutil.rmtree(folder / "out", ignore_errors=True)
        return True
    for name in re.findall(rf"{re.escape(str(folder))}[^\s:,]*|\bout/[^\s:,]*", message):
        path = folder / name
        if path.is_file() or path.is_symlink():
            path.unlink()
            return True
    return False
