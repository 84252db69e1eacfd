"""Columns that give the label away."""

from __future__ import annotations

import numpy as np
import pyarrow
from pyarrow import compute

from mmpareto.data.tables._guess import is_categorical
from mmpareto.data.tables._labels import label_numbers
from mmpareto.data.tables._table import Table

_ENOUGH = 20
"""Rows, of which fewer say nothing of what determines the label."""

_LOOKED_AT = 300

_EXPLAINED = 0.98
"""Share of the errors of guessing the commonest label, which a copy of the label avoids."""

_CORRELATED = 1 - 1e-6


class CopyFinder:
    """Finds columns that determine the label, or are it in other units.

    Args:
        table: The table.
        label: The label column.
    """

    def __init__(self, table: Table, label: str) -> None:
        self.table = table
        labels = table.columns[label].dictionary_encode()
        self._codes = labels.indices.fill_null(-1).to_numpy()
        self._different = len(labels.dictionary)
        self._numbers = label_numbers(table.columns[label])

    def reason(self, name: str, kind: str) -> str:
        """How a column of numbers or categories determines the label; ``""`` if it does not."""
        rows = self.table.filled(name) & (self._codes >= 0)
        if rows.sum() < _ENOUGH:
            return ""
        if kind == "number" and self._is_in_other_units(self.table.numbers(name)):
            return "is the label in other units"
        column = self.table.columns[name]
        for part in (column[:_LOOKED_AT], column):
            values = compute.count_distinct(part).as_py()
            if not is_categorical(values, len(column) - column.null_count):
                return ""
        return self._determined(column, rows) if values > 1 else ""

    def _is_in_other_units(self, numbers: np.ndarray) -> bool:
        both = ~np.isnan(numbers) & ~np.isnan(self._numbers)
        own, labels = numbers[both], self._numbers[both]
        if len(own) < _ENOUGH or own.min() == own.max() or labels.min() == labels.max():
            return False
        return bool(abs(np.corrcoef(own, labels)[0, 1]) > _CORRELATED)

    def _determined(self, column: pyarrow.StringArray, rows: np.ndarray) -> str:
        encoded = column.dictionary_encode()
        if self._different > 10 * len(encoded.dictionary):
            return ""
        values = encoded.indices.fill_null(-1).to_numpy()[rows]
        labels = self._codes[rows]
        counts = np.zeros((len(encoded.dictionary), self._different), np.int64)
        np.add.at(counts, (values, labels), 1)
        wrong = len(labels) - int(counts.max(1).sum())
        wrong_without = len(labels) - int(counts.sum(0).max())
        if not wrong_without or wrong > (1 - _EXPLAINED) * wrong_without:
            return ""
        exceptions = f", but for {wrong:,} of {len(labels):,} rows" if wrong else " in every row"
        return f"determines the label{exceptions}"
