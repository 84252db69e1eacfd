"""Guesses that are nearly something else: named, with the setting that decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifests import manifest, notes
from media import write_image

from mmpareto.data import Manifest

DIGITS = [n * 37 % 101 for n in range(60)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def filled(folder: Path, settings: dict[str, Any] | None = None, **columns: Any) -> Manifest:
    """A manifest of sixty rows with further columns, each made of the row's number."""
    rows = notes(60)
    for number, row in enumerate(rows):
        row.update({name: make(number) for name, make in columns.items()})
    return manifest(folder, rows, **(settings or {}))


def reasons(data: Manifest) -> str:
    return "\n".join(problem.reason for problem in data.check().problems)


WRITTEN: dict[str, Callable[[float], str]] = {
    "thousands": lambda value: f"{1000 * value + 1000:,.2f}",
    "thousands with points": lambda value: f"{1000 * value + 1000:,.2f}".translate(
        str.maketrans(",.", ".,")
    ),
    "percent": lambda value: f"{value + 1:.1f}%",
    "unit": lambda value: f"{value:.1f} kg",
    "currency": lambda value: f"€ {value + 1000:,.2f}",
    "minus sign": lambda value: f"{value - 200:.2f}".replace("-", "\N{MINUS SIGN}"),
    "space": lambda value: f"{1000 * value + 1000:,.0f}".replace(",", "\N{NO-BREAK SPACE}"),
    "decimal comma": lambda value: f"{value:.2f}".replace(".", ","),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_numbers_as_people_write_them_are_named_and_read_if_asked(way: str, tmp_path: Path) -> None:
    def price(number: int) -> str:
        return WRITTEN[way](DIGITS[number])

    said = reasons(filled(tmp_path, price=price))
    assert "column `price` looks like numbers in 60 of 60 cells" in said
    assert "state `types: {price: number}`, or `{price: text}`" in said
    data = filled(tmp_path, {"types": {"price": "number"}}, price=price)
    assert not data.check().problems
    scale = 1000 if way.startswith(("thousands", "space")) else 1
    offset = {"minus sign": -200, "percent": 1, "unit": 0, "decimal comma": 0}.get(way, 1000)
    expected = [scale * digit + offset for digit in DIGITS]
    np.testing.assert_allclose(data.contents.table.numbers("price"), expected)


def test_decimal_commas_with_a_gap_are_numbers(tmp_path: Path) -> None:
    lines = ["id;label;split;price"]
    for number, row in enumerate(notes(60)):
        price = f"{DIGITS[number]},5" if number else "NA"
        lines.append(f"{row['id']};{row['label']};{row['split']};{price}")
    (tmp_path / "my.csv").write_text("\n".join(lines))
    data = Manifest(tmp_path / "my.csv")
    assert data.contents.types["price"].kind == "number"
    assert data.contents.table.numbers("price")[1] == DIGITS[1] + 0.5


def test_labels_with_decimal_commas_are_numbers_and_said_to_be(tmp_path: Path) -> None:
    data = filled(tmp_path, label=lambda n: f"{DIGITS[n]},25")
    assert data.contents.task.kind == "number"
    assert list(data.contents.labels.values()) == [digit + 0.25 for digit in DIGITS]
    assert "labels such as '0,25' are read as 0.25; state --data.task number" in reasons(data)


def test_many_whole_numbers_as_classes_are_doubted_until_it_is_stated(tmp_path: Path) -> None:
    rows = [row | {"label": str(18 + n * 37 % 73)} for n, row in enumerate(notes(600))]
    data = manifest(tmp_path, rows)
    assert data.contents.task.kind == "class"
    assert "73 whole numbers are read as names of classes; state --data.task number" in reasons(
        data
    )
    assert not manifest(tmp_path, rows, task="class").contents.problems
    assert manifest(tmp_path, rows, task="number").contents.task.kind == "number"


def test_a_name_with_a_bar_is_one_class_unless_its_parts_recur(tmp_path: Path) -> None:
    names = ("Home & Garden", "Toys|Games", "Books")
    data = filled(tmp_path, label=lambda n: names[n % 3])
    assert data.target.names == ("Books", "Home & Garden", "Toys|Games")
    assert "labels hold ; or |, but no part of them recurs" in reasons(data)
    data = filled(tmp_path, label=lambda n: ("Toys|Games", "Toys", "Books")[n % 3])
    assert data.target.names == ("Books", "Games", "Toys")
    assert not data.check().problems


@pytest.mark.parametrize("way", [", ".join, str])
def test_labels_divided_by_commas_are_named_and_divided_if_asked(
    way: Callable[[list[str]], str], tmp_path: Path
) -> None:
    def label(number: int) -> str:
        names = ("wet", "cold", "dark")
        return way([name for place, name in enumerate(names) if (number % 7 + 1) >> place & 1])

    data = filled(tmp_path, label=label)
    assert "look like several, divided by commas" in reasons(data)
    assert "--data.task labels and --data.separator ','" in reasons(data)
    data = filled(tmp_path, {"task": "labels", "separator": ","}, label=label)
    assert data.target.names == ("cold", "dark", "wet")
    assert data.contents.labels[5] == ("cold", "dark")


IDENTIFIERS: dict[str, tuple[str, Callable[[int], object], str]] = {
    "a name for each row": ("order_no", lambda n: f"ORD-{n * 7919:06}", "is a name without spaces"),
    "a number that is called so": ("patientId", lambda n: 70_000 - 3 * n, "numbers the rows"),
    "pandas' index": ("Unnamed: 0", lambda n: n, "numbers the rows"),
    "an index": ("index", lambda n: n + 1, "numbers the rows"),
    "an address": ("url", lambda n: f"https://a.org/{n}.jpg", "holds addresses"),
    "the label once more": ("label_id", lambda n: n % 2, "determines the label"),
    "the label by another name": ("kind", lambda n: "xy"[n % 2], "determines the label"),
}


@pytest.mark.parametrize("case", IDENTIFIERS)
def test_what_names_rows_or_tells_the_label_is_no_input_unless_asked_for(
    case: str, tmp_path: Path
) -> None:
    name, make, said = IDENTIFIERS[case]
    data = filled(tmp_path, **{name: make})
    assert data.contents.types[name].kind == "ignore"
    (problem,) = data.check().problems
    assert problem.reason.startswith(f"column `{name}` {said}")
    kind = problem.reason.rpartition(": ")[2].partition("}")[0]
    asked = filled(tmp_path, {"types": {name: kind}}, **{name: make})
    assert asked.contents.types[name] == (kind, "stated")
    assert asked.contents.problems == []


def test_a_regressions_label_in_other_units_is_no_input(tmp_path: Path) -> None:
    data = filled(tmp_path, label=lambda n: DIGITS[n] + 0.5, pounds=lambda n: 2.2 * DIGITS[n])
    assert reasons(data).startswith("column `pounds` is the label in other units, and is left out")


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n * 37 % 5,  # nothing to do with the label
        lambda n: DIGITS[n] / 7 + 100 * (n % 2),  # tells the label, but as inputs do
        lambda n: n % 2 if n % 10 > 1 else 7,  # tells nine of ten
        lambda n: 3,
    ],
)
def test_inputs_that_help_stay_inputs(make: Callable[[int], object], tmp_path: Path) -> None:
    data = filled(tmp_path, x=make)
    assert data.contents.types["x"].kind == "number"
    assert data.contents.problems == []


def test_texts_without_spaces_are_text_where_the_script_has_none(tmp_path: Path) -> None:
    data = filled(tmp_path, review=lambda n: f"这部电影很好看{n}")
    assert data.contents.types["review"].kind == "text"


def test_names_of_files_without_their_ending_are_no_text(tmp_path: Path) -> None:
    for number in range(60):
        write_image(tmp_path / f"img/{number:04x}.png")
    data = filled(tmp_path, image_id=lambda n: f"img/{n:04x}")
    assert data.contents.types["image_id"].kind == "ignore"
    assert "names files without their ending, such as 0000.png" in reasons(data)


def test_a_number_far_from_all_others_is_named_and_flattens_nothing(tmp_path: Path) -> None:
    data = filled(tmp_path, x=lambda n: "1e30" if n == 8 else str(DIGITS[n] / 101))
    (problem,) = data.check().problems
    assert problem.where == "my.csv, row 10"
    far = "column `x`: 1e30 is far from all other numbers, which lie from 0 to 0.990099"
    assert problem.reason.startswith(far)
    assert dict(data.check().facts)["column x, numbers"].startswith("from 0 to 1e+30, median 0.")
    batch = data.load()
    values = [part[:]["inputs"]["table"][:, 2] for part in (batch.train, batch.val, batch.test)]
    assert all(len(value.unique()) == len(value) for value in values)
    assert max(value.abs().max() for value in values) < 4
