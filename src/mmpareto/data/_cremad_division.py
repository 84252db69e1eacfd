"""How CREMA-D's clips are divided: by their actors, or by the user's lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmpareto.data._splitting import PARTS, split
from mmpareto.data.folders._lists import (
    Lists,
    listed_numbers,
    read_lists,
    rows_of,
    with_validation,
)
from mmpareto.errors import MMParetoError

EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
CLIP = re.compile(rf"(\d{{4}})_[A-Z]{{3}}_({'|'.join(EMOTIONS)})_[A-Z]{{1,2}}")
"""A clip's name: actor, sentence, emotion, level."""

_SHARES = (0.7, 0.1, 0.2)
_BY_ACTOR = (
    "cremad is divided by actors: nobody of the validation and the test part is in the training "
    "part."
)
_HELD_OUT = (
    "A ninth of the listed training clips, of every class alike, is held out for validation."
)
_CIRCULATING = {"train": 6_698, "test": 744}


def actor_of(name: str) -> str:
    """The actor in a clip's name.

    Example:
        >>> actor_of("1001_DFA_ANG_XX"), EMOTIONS[label_of("1001_DFA_ANG_XX")]
        ('1001', 'ANG')
    """
    return name.split("_")[0]


def label_of(name: str) -> int:
    """Number of the emotion in a clip's name."""
    return EMOTIONS.index(name.split("_")[2])


def read_division(folder: Path | str | None) -> Lists:
    """The user's lists in `folder`; empty if it is None.

    Raises:
        MMParetoError: If there are none, or a row contradicts the clip's name.
    """
    if folder is None:
        return {}
    lists = read_lists(Path(folder), ("clip id", "emotion"))
    for row in rows_of(lists):
        match = CLIP.fullmatch(row.name)
        if match is None or row.cells[1] != match[2]:
            expected = match[2] if match else "a clip's name, as 1001_DFA_ANG_XX"
            raise MMParetoError(f"{row.where} should say {expected}. Found {','.join(row.cells)}.")
    return lists


def divide(names: Sequence[str], lists: Lists, seed: int) -> Mapping[str, Sequence[int]]:
    """Numbers of the clips in each part: as in `lists`, or 70, 10 and 20 percent of the actors.

    Args:
        names: Names of the clips there are.
        lists: The user's lists; empty to divide by actors.
        seed: Seed of the division, or of what is held out where there is no list for validation.
    """
    labels = [label_of(name) for name in names]
    if lists:
        return with_validation(listed_numbers(lists, names), names, labels, seed)
    actors = [actor_of(name) for name in names]
    strata = [[str(label)] for label in labels]
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for number, part in enumerate(split(actors, strata, _SHARES, seed)):
        parts[part].append(number)
    return parts


def shared_actors(lists: Lists) -> str:
    """A warning if actors of the test part are in the training part; empty if there are none."""
    train = {actor_of(row.name) for row in lists.get("train", ())}
    test = {actor_of(row.name) for row in lists.get("test", ())}
    if not train & test:
        return ""
    return (
        f"{len(train & test)} of the {len(test)} actors of the test part are in the training part "
        "too, so that accuracy is measured on people that were met in training."
    )


def division_notes(folder: Path | str | None) -> list[str]:
    """What a reader of results must know about the division.

    Args:
        folder: Folder of the user's lists; None for a division by actors.

    Returns:
        Sentences; none where the lists cannot be read.
    """
    if folder is None:
        return [_BY_ACTOR]
    try:
        lists = read_division(folder)
    except MMParetoError:
        return []  # whoever loads or checks the data raises it
    sizes = {part: len(rows) for part, rows in lists.items()}
    known = ", like the split in circulation" if sizes == _CIRCULATING else ""
    counts = ", ".join(f"{size:,} {part}" for part, size in sizes.items())
    notes = [f"cremad is divided by the user's lists ({counts} clips{known})."]
    warning = shared_actors(lists)
    if warning:
        notes.append(warning)
    if "val" not in lists:
        notes.append(_HELD_OUT)
    return notes
