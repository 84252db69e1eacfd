"""From columns to modalities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from mmpareto.data.media._types import FILES
from mmpareto.data.tables._columns import CELLS, ColumnType
from mmpareto.errors import MMParetoError


class Modality(NamedTuple):
    """A type and the columns it is made of: one, or any number of a table."""

    kind: str
    columns: list[str]


def group_columns(
    types: Mapping[str, ColumnType], tables: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Modality]:
    """Modalities by name: a column each, but of numbers and categories the tables.

    Args:
        types: Types of the columns.
        tables: Names of tables with their columns; None for one called ``table`` with all.

    Raises:
        MMParetoError: If a table is of other columns, or a name is none that a model's part can
            have.

    Example:
        >>> kinds = {"photo": "image", "age": "number", "sex": "category"}
        >>> types = {name: ColumnType(kind, "") for name, kind in kinds.items()}
        >>> for name, modality in group_columns(types).items():
        ...     print(name, modality.columns)
        photo ['photo']
        table ['age', 'sex']
    """
    cells = [name for name, column in types.items() if column.kind in CELLS]
    groups = {"table": cells} if tables is None else dict(tables)
    _check_tables(groups, cells)
    modalities = {}
    for name, column in types.items():
        if column.kind in (*FILES, "text"):
            _check_name(name, name in groups)
            modalities[name] = Modality(column.kind, [name])
    for name, columns in groups.items():
        if columns:
            _check_name(name)
            modalities[name] = Modality("table", list(columns))
    return modalities


def _check_tables(groups: Mapping[str, Sequence[str]], cells: Sequence[str]) -> None:
    """Raises unless tables are of columns of numbers and categories, each in one."""
    counts: Counter[str] = Counter()
    for columns in groups.values():
        counts.update(columns)
    known = set(cells)
    for name, count in counts.items():
        if name not in known or count > 1:
            found = (
                " several times." if name in known else ": state its type as number or category."
            )
            raise MMParetoError(
                "Parameter `data.tables` should name columns of numbers or categories, each once. "
                f"Found `{name}`{found}"
            )


def _check_name(name: str, is_taken: bool = False) -> None:
    if name == "joint" or "." in name or hasattr(nn.ModuleDict(), name) or is_taken:
        raise MMParetoError(
            f"Names of modalities should be free in a model and different. Found `{name}`: "
            "rename this column or table, or state the type `ignore`."
        )
