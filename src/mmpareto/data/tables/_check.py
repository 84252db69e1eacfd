"""What there is in a table, and what is wrong with it."""

from __future__ import annotations

from mmpareto.data._recipe import Finding, Findings
from mmpareto.data.media._types import FILES
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._facts import Fact, class_facts, column_facts, number_facts, usable_facts
from mmpareto.data.tables._file_inputs import FileInput
from mmpareto.data.tables._inputs import TableInput, TextInput
from mmpareto.data.tables._inspection import cut_texts, far_numbers, inspect_files, shared_files
from mmpareto.data.tables._open_table import OpenTable
from mmpareto.errors import MMParetoError


def check(opened: OpenTable) -> Findings:
    """Reads and decodes everything.

    Args:
        opened: The table.

    Returns:
        How its columns are understood, its classes, sizes and durations; rows that are left out,
        what is cut off or far from all others, files that different parts share, and what stands in
        the way of a training. At the end what is usable, what is missing where, and what can be
        reached by guessing.
    """
    facts: list[Fact] = []
    problems: list[Finding] = []
    try:
        contents = opened.contents
        facts += [*column_facts(contents), *class_facts(contents)]
        problems += contents.problems
        if any(problem.fatal for problem in problems):
            return Findings(facts, problems)
        decoded = opened.decode()
        for name in contents.modalities:
            _add_modality(opened, name, facts, problems)
        problems += [*decoded.problems, *shared_files(contents)]
        path = contents.table.path.name
        problems += [Finding(path, reason, fatal=True) for reason in decoded.lost]
        facts += usable_facts(contents, decoded, opened.target)
    except MMParetoError as error:
        problems.append(Finding(str(opened.settings.path), str(error), fatal=True))
    return Findings(facts, problems)


def _add_modality(opened: OpenTable, name: str, facts: list[Fact], problems: list[Finding]) -> None:
    """Adds what there is of a modality, and what is wrong with it."""
    contents, item = opened.contents, opened.inputs[name]
    absent = int((~contents.present(name)[list(contents.parts)]).sum())
    facts.append((name, f"{item.shape}; samples without it: {absent:,}"))
    if isinstance(item, TextInput):
        _add(contents, cut_texts(contents, name, item), facts, problems)
    elif isinstance(item, TableInput):
        facts += number_facts(contents, name)
        for column, kind in zip(item.columns, item.kinds, strict=True):
            problems += far_numbers(contents, column) if kind == "number" else []
    elif isinstance(item, FileInput) and contents.modalities[name].kind in FILES:
        _add(contents, inspect_files(contents, name, opened.settings, item), facts, problems)


def _add(
    contents: Contents,
    inspected: tuple[list[Fact], list[Finding]],
    facts: list[Fact],
    problems: list[Finding],
) -> None:
    facts += inspected[0]
    problems += inspected[1]
