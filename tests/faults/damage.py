"""What disks, copies and colleagues do to files."""

from __future__ import annotations

import random
import shutil
from pathlib import Path


def damage(folder: Path, chance: random.Random) -> str:
    """Damages a file that a command left in a folder.

    Args:
        folder: The folder.
        chance: What chooses the file and the damage.

    Returns:
        What was done; empty if there is no file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path for path in files if not path.name.startswith("log")]
    if not files:
        return ""
    path = chance.choice(files)
    kind = chance.choice((flip, flip, flip, flip, cut, zero, lengthen, remove, exchange))
    kind(path, chance, files)
    return f"{kind.__name__} {path.relative_to(folder)}"


def flip(path: Path, chance: random.Random, files: list[Path]) -> None:
    """Changes a bit."""
    content = bytearray(path.read_bytes() or b"\0")
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, chance: random.Random, files: list[Path]) -> None:
    """Leaves the beginning."""
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content) + 1)])


def zero(path: Path, chance: random.Random, files: list[Path]) -> None:
    """Makes the end zeros, as a file system does after the power went."""
    content = path.read_bytes()
    kept = chance.randrange(len(content) + 1)
    path.write_bytes(content[:kept] + bytes(len(content) - kept))


def lengthen(path: Path, chance: random.Random, files: list[Path]) -> None:
    """Adds bytes."""
    path.write_bytes(path.read_bytes() + chance.randbytes(9))


def remove(path: Path, chance: random.Random, files: list[Path]) -> None:
    """Deletes it."""
    path.unlink()


def exchange(path: Path, chance: random.Random, files: list[Path]) -> None:
    """Puts another file into its place."""
    shutil.copyfile(chance.choice(files), path.with_name("copy"))
    path.with_name("copy").replace(path)
