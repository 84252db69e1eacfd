"""From columns to modalities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from mmpareto.data.tables._columns import CELLS, FILES, Typed
from mmpareto.errors import MMParetoError


class Modality(NamedTuple):
    """A type and the columns it is made of: one, or any number of a table."""

    kind: str
    columns: list[str]


def group_columns(
    types: Mapping[str, Typed], tables: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Modality]:
    """Modalities by name: a column each, but of numbers and categories the tables.

    Args:
        types: Of the columns.
        tables: Names of tables with their columns; None for one called ``table`` with all.

    Raises:
        MMParetoError: If a table is of other columns, or a name is none that a model's part can
            have.

    Example:
        >>> types = {"photo": Typed("image", ""), "age": Typed("number", ""), "sex": Typed("category", "")}
        >>> {name: modality.columns for name, modality in group_columns(types).items()}
        {'photo': ['photo'], 'table': ['age', 'sex']}
    """
    cells = [name for name, typed in types.items() if typed.kind in CELLS]
    groups = (
        {"table": cells}
        if tables is None
        else {name: list(columns) for name, columns in tables.items()}
    )
    for name, count in Counter(name for columns in groups.values() for name in columns).items():
        if name not in cells or count > 1:
            raise MMParetoError(
                "Parameter `data.tables` should name columns of numbers or categories, each once. "
                f"Found `{name}`"
                + (
                    " several times."
                    if name in cells
                    else ": state its type as number or category."
                )
            )
    single = {
        name: Modality(typed.kind, [name])
        for name, typed in types.items()
        if typed.kind in (*FILES, "text")
    }
    found = single | {
        name: Modality("table", columns) for name, columns in groups.items() if columns
    }
    for name in found:
        if (
            name == "joint"
            or "." in name
            or hasattr(nn.ModuleDict(), name)
            or (name in single and name in groups)
        ):
            raise MMParetoError(
                f"Names of modalities should be free in a model and different. Found `{name}`: "
                "rename this column or table, or state the type `ignore`."
            )
    return found
