from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from compare.synthetic import results as synthetic_results
from mmpareto import MMParetoError
from mmpareto.compare._results import (
    Result,
    methods,
    modalities,
    read_results,
    values,
    write_results,
)

HEADER = "dataset,method,seed,split,metric,value\n"
ROW = "cg-digits,uniform,0,test,joint_accuracy,0.5\n"


def test_written_results_are_read_back_bit_for_bit(tmp_path):
    numbers = [0.1 + 0.2, 1 / 3, 5e-324, 1e300, 0.0, -0.0, math.inf, np.float64(0.1)]
    written = [
        Result("a,b", 'quo"te', seed, "test", "line\nbreak", value)
        for seed, value in enumerate(numbers)
    ]
    write_results(tmp_path / "results.csv", written)
    read = read_results(tmp_path / "results.csv")
    assert read == written
    assert [str(r.value) for r in read] == [str(float(value)) for value in numbers]  # -0.0 == 0.0


def test_a_synthetic_comparison_is_read_back(tmp_path):
    write_results(tmp_path / "results.csv", synthetic_results())
    assert read_results(str(tmp_path / "results.csv")) == synthetic_results()


def test_nan_is_read_back(tmp_path):
    write_results(
        tmp_path / "results.csv", [Result("d", "m", 0, "train", "conflict_rate/audio", math.nan)]
    )
    (read,) = read_results(tmp_path / "results.csv")
    assert math.isnan(read.value)


def test_the_files_text_is_the_documented_one(tmp_path):
    write_results(
        tmp_path / "results.csv", [Result("cg-digits", "uniform", 0, "test", "joint_accuracy", 0.5)]
    )
    assert (tmp_path / "results.csv").read_bytes().decode() == HEADER + ROW


def test_no_results_are_a_header(tmp_path):
    write_results(tmp_path / "results.csv", [])
    assert (tmp_path / "results.csv").read_text() == HEADER
    assert read_results(tmp_path / "results.csv") == []


def test_further_columns_and_another_order_of_columns_are_fine(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(
        "value,host,metric,split,seed,method,dataset\n0.5,a,joint_accuracy,test,0,uniform,cg-digits\n"
    )
    assert read_results(path) == [Result("cg-digits", "uniform", 0, "test", "joint_accuracy", 0.5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "row 1: expected the columns dataset,method,seed,split,metric,value. Found an empty "
            "file: no dataset",
        ),
        ("dataset,method\n", "row 1: expected the columns .* Found dataset,method: no seed"),
        (HEADER + ROW + "d,m,0,test,x\n", "row 3: expected 6 cells. Found 5"),
        (HEADER + ROW + "d,m,0,test,x,1,2\n", "row 3: expected 6 cells. Found 7"),
        (
            HEADER + "d,m,one,test,x,1\n",
            "row 2: column `seed` should be a whole number. Found 'one'",
        ),
        (HEADER + "d,m,0,test,x,high\n", "row 2: column `value` should be a number. Found 'high'"),
        (HEADER + "d,m,0,test,x,\n", "row 2: column `value` should be a number. Found ''"),
        (HEADER + "d,,0,test,x,1\n", "row 2: column `method` should be a name. Found ''"),
        (
            HEADER + ROW + ROW,
            "row 3: expected each .* once. Found those of row 2 again. Remove one",
        ),
        (HEADER + 'd,"m"n,0,test,x,1\n', "row 2: expected comma-separated values"),
    ],
)
def test_a_malformed_file_is_named_with_its_row(tmp_path, text, message):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(MMParetoError, match=message) as raised:
        read_results(path)
    assert str(raised.value).startswith(str(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(
        MMParetoError, match=r"results\.csv should be a file that can be read. Found: No such file"
    ):
        read_results(tmp_path / "results.csv")
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(
        MMParetoError, match=r"results\.csv should be UTF-8 text. Found other bytes at position 0"
    ):
        read_results(tmp_path / "results.csv")


def test_writing_into_no_folder_is_an_error(tmp_path):
    with pytest.raises(
        MMParetoError,
        match=r"results\.csv should be a file that can be written. Found: No such file",
    ):
        write_results(tmp_path / "absent" / "results.csv", [])


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    path.write_text("old")

    def full_disk(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(MMParetoError, match="No space left"):
        write_results(path, synthetic_results())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_values_select_and_sort_by_seed():
    found = [
        Result("d", "uniform", 2, "test", "joint_accuracy", 0.2),
        Result("d", "uniform", 0, "test", "joint_accuracy", 0.1),
        Result("d", "uniform", 0, "val", "joint_accuracy", 0.9),
        Result("d", "uniform", 0, "test", "audio_accuracy", 0.8),
        Result("d", "joint", 0, "test", "joint_accuracy", 0.7),
    ]
    assert list(values(found, "uniform", "joint_accuracy").items()) == [(0, 0.1), (2, 0.2)]
    assert values(found, "uniform", "joint_accuracy", split="val") == {0: 0.9}
    assert values(found, "mgda", "joint_accuracy") == {}


def test_values_of_several_data_sets_are_not_mixed():
    found = [
        Result(name, "uniform", 0, "test", "joint_accuracy", 0.5)
        for name in ("cg-mnist", "cg-digits")
    ]
    with pytest.raises(
        MMParetoError,
        match=r"one test joint_accuracy of 'uniform' per seed.*'cg-digits', 'cg-mnist'",
    ):
        values(found, "uniform", "joint_accuracy")


def test_methods_come_in_the_tables_order():
    found = synthetic_results(methods=("zeta", "ensemble", "alpha", "mmpareto", "joint"), seeds=[0])
    assert methods(found) == ["joint", "mmpareto", "ensemble", "alpha", "zeta"]


def test_modalities_come_from_accuracies_and_conflict_rates():
    found = [
        Result("d", "m", 0, split, metric, 0.0)
        for split, metric in (
            ("test", "joint_accuracy"),
            ("test", "visual_accuracy"),
            ("test", "audio_accuracy"),
            ("train", "conflict_rate/audio"),
            ("train", "conflict_rate/text"),
            ("train", "seconds"),
        )
    ]
    assert modalities(found) == ["visual", "audio", "text"]
