"""What makes samples of a table, or all of it, unfit for a training."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import filterfalse

import numpy as np

from mmpareto.data._splitting import PARTS
from mmpareto.data.media._types import FILES
from mmpareto.data.tables._contents import Contents, Fault
from mmpareto.data.tables._labels import names
from mmpareto.data.tables._paths import Files
from mmpareto.data.tables._table import Table


def check_cells(contents: Contents) -> None:
    """Takes out the samples with a cell that cannot be used, and those with none at all."""
    faults: dict[int, Fault] = {}
    files = Files(contents.root)
    some = np.zeros(len(contents.table.rows), bool)
    for modality in contents.modalities.values():
        for column in modality.columns:
            some |= contents.table.filled(column)
            for place, fault in _faults_of(contents, column, files).items():
                faults.setdefault(place, fault)
    for place in (~some).nonzero()[0].tolist():
        faults[place] = Fault("has no modality: all its cells are empty")
    contents.leave_out(faults)


def _faults_of(contents: Contents, column: str, files: Files) -> dict[int, Fault]:
    """What is wrong with the cells of one column."""
    kind, table = contents.types[column].kind, contents.table
    if kind == "number":
        return number_faults(table, column)
    if kind in FILES and column not in table.vectors:
        return file_faults(table, column, files)
    return {}


def number_faults(table: Table, column: str) -> dict[int, Fault]:
    """The cells of a column that hold no number, by their places."""
    wrong = table.filled(column) & np.isnan(table.numbers(column))
    faults: dict[int, Fault] = {}
    for place in wrong.nonzero()[0].tolist():
        reason = f"column `{column}`: '{table.columns[column][place]}' is no number"
        faults[place] = Fault(reason, f"{column}: no number")
    return faults


def file_faults(table: Table, column: str, files: Files) -> dict[int, Fault]:
    """The cells of a column that name no file that may be read, by their places."""
    faults: dict[int, Fault] = {}
    known: dict[str, Fault | None] = {}
    for place, cell in enumerate(table.cells(column)):
        if cell and cell not in known:
            known[cell] = files.fault(column, cell)
        fault = known.get(cell)
        if fault is not None:
            faults[place] = fault
    return faults


def check_classes(contents: Contents) -> None:
    """Takes out what cannot be learned, and says what cannot be tested."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    everywhere: Counter[str] = Counter()
    first: dict[str, int] = {}
    for place, part in contents.parts.items():
        for name in names(contents.labels[place]):
            counts[part][name] += 1
            everywhere[name] += 1
            first.setdefault(name, place)
    for name, place in first.items():
        lacking = [part for part in PARTS if not counts[part][name]]
        if lacking:
            total = everywhere[name]
            reason = f"'{name}', the label of {total} samples, is of none for {', '.join(lacking)}"
            left_out = ": they are left out" if "train" in lacking else ""
            contents.problems += contents.findings({place: Fault(reason + left_out)})
    unknown = first.keys() - counts["train"].keys()
    for place in list(contents.parts):
        if not unknown.isdisjoint(names(contents.labels[place])):
            del contents.parts[place]


def check_trainable(contents: Contents) -> None:
    """Says why nothing can be trained, if that is so."""
    missing = list(filterfalse(contents.of, PARTS))
    if missing:
        contents.note(
            f"no sample is left for {', '.join(missing)}: fill the split column, or state "
            "`data.fractions`",
            fatal=True,
        )
        return
    train = contents.of("train")
    labels = set(map(contents.labels.__getitem__, train))
    if len(labels) == 1 and contents.task.kind != "labels":
        label = contents.labels[train[0]]
        shown = ", ".join(names(label)) or label
        contents.note(f"all training samples have the same label, {shown}", fatal=True)
    if labels == {()}:
        contents.note("no training sample has a label", fatal=True)
    for name in contents.modalities:
        if not contents.present(name)[train].any():
            contents.note(
                f"no training sample has `{name}`: state the type `ignore` for its columns, or "
                "fill it",
                fatal=True,
            )
