"""What makes samples of a manifest, or all of it, unfit for a training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mmpareto.data._recipe import Finding
from mmpareto.data.media._inside import inside
from mmpareto.data.tables._columns import FILES, parse_number
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._labels import names
from mmpareto.data.tables._splitting import PARTS
from mmpareto.errors import MMParetoError


def check_cells(contents: Contents) -> None:
    """Takes out the samples with a cell that cannot be used, and those with none at all."""
    columns = [column for modality in contents.modalities.values() for column in modality.columns]

    def fault(place: int) -> str | None:
        cells = {name: cell for name in columns if (cell := contents.table.columns[name][place])}
        wrong = (
            _wrong(contents.types[name].kind, cell, name, contents.root)
            for name, cell in cells.items()
        )
        return (
            next(filter(None, wrong), None) if cells else "has no modality: all its cells are empty"
        )

    contents.leave_out(fault)


def _wrong(kind: str, cell: str, name: str, root: Path) -> str | None:
    if kind == "number" and parse_number(cell) is None:
        return f"column `{name}`: '{cell}' is no number"
    if kind in FILES:
        try:
            found = inside(root, root / cell).exists()
        except MMParetoError as error:
            return f"column `{name}`: {error}"
        except OSError:  # a name longer than any can be
            found = False
        return None if found else f"column `{name}`: no file {cell}"
    return None


def check_classes(contents: Contents) -> None:
    """Takes out what cannot be learned, and says what cannot be tested."""
    known = {
        part: {name for place in contents.of(part) for name in names(contents.labels[place])}
        for part in PARTS
    }
    counts = Counter(name for place in contents.parts for name in names(contents.labels[place]))
    for name, count in counts.items():
        if lacking := [part for part in PARTS if name not in known[part]]:
            first = next(place for place in contents.parts if name in names(contents.labels[place]))
            reason = f"'{name}', the label of {count} samples, is of none for {', '.join(lacking)}"
            left_out = ": they are left out" if "train" in lacking else ""
            contents.problems.append(Finding(contents.row(first), reason + left_out))
    contents.parts = {
        place: part
        for place, part in contents.parts.items()
        if known["train"].issuperset(names(contents.labels[place]))
    }


def check_trainable(contents: Contents) -> None:
    """Says why nothing can be trained, if that is so."""
    if missing := [part for part in PARTS if not contents.of(part)]:
        contents.refuse(
            f"no sample is left for {', '.join(missing)}: fill the split column, or state "
            "`data.fractions`"
        )
        return
    train = contents.of("train")
    if contents.task.kind != "labels" and len({contents.labels[place] for place in train}) == 1:
        own = contents.labels[train[0]]
        contents.refuse(f"all training samples have the same label, {', '.join(names(own)) or own}")
    for name in contents.modalities:
        if not any(any(contents.cells(name, place)) for place in train):
            contents.refuse(
                f"no training sample has `{name}`: state the type `ignore` for its columns, or "
                "fill it"
            )
