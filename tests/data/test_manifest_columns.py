"""What the cells of columns are taken for, and what becomes of text, tables and labels."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mmpareto.data.tables._cells import make_column
from mmpareto.data.tables._guess import guess
from mmpareto.data.tables._labels import guess_task, label_tensor, make_target, parse_label
from mmpareto.data.tables._numbers import plain_numbers
from mmpareto.data.tables._tabular import OneHot, Standardised, table_tensor
from mmpareto.data.tables._text import Pretrained, Trigrams, token_tensor
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Labels, Number

GUESSES = {
    "image": ["a.png", "b/c.JPG", "", "ü.tiff", "no ending"],
    "audio": ["a.wav", "b.mp3"],
    "video": ["a.mp4", "b.flv"],
    "array": ["a.npy", "b.npy"],
    "number": ["1", "-2.5", "1e3", "", "unknown"],
    "category": ["red", "blue", "red", "", "blue"],
    "text": ["Call me Ishmael.", "Some years ago", "never mind how long"],
    "ignore": ["", ""],
}


@pytest.mark.parametrize("kind", GUESSES)
def test_types_are_guessed_from_the_cells(kind: str, tmp_path: Path) -> None:
    assert guess(make_column(GUESSES[kind]), tmp_path).kind == kind


def test_folders_are_frames_of_videos(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    assert guess(make_column(["a", "b", "c"]), tmp_path).kind == "video"
    assert guess(make_column(["a", "b", "d"]), tmp_path).kind == "text"
    assert (
        guess(make_column(["long " * 100, "a" * 5000]), tmp_path).kind == "text"
    )  # longer than a path can be


def test_half_a_column_of_numbers_is_none() -> None:
    assert guess(make_column(["1", "2", "x", "y"]), Path()).kind == "text"
    assert guess(make_column(["inf", "1_000", "1e400", "nan"]), Path()).kind == "text"


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["cat", "dog", "dog"], "class"),
        (["0", "1", "1", "0"], "class"),
        (["a;b", "b", "a | b"], "labels"),
        (["0.5", "1", "2"], "number"),
        (["61", "62", "63", "64", "x"], "number"),
        (["", "2", "2"], "class"),
    ],
)
def test_tasks_are_guessed_from_the_cells(cells: list[str], task: str) -> None:
    assert guess_task(make_column(cells)).kind == task


def test_labels_become_the_tensors_of_their_target() -> None:
    classes = make_target("class", "label", [("10",), ("9",), ("10",)])
    assert classes == Classes(("9", "10"))  # by value, not by text
    assert label_tensor([("10",), ("9",)], classes).tolist() == [1, 0]

    several = make_target("labels", "label", [("b", "a"), ("c",)])
    assert several == Labels(("a", "b", "c"))
    assert label_tensor([("c", "a"), ("b",)], several).tolist() == [[1, 0, 1], [0, 1, 0]]

    number = make_target("number", "age", [1.0, 2.0, 6.0])
    assert number == Number("age", 3.0, pytest.approx(np.std([1, 2, 6])))
    assert label_tensor([2.5], number).tolist() == [2.5]
    assert parse_label("old", "number") is None
    assert parse_label(";", "labels") is None


def test_numbers_are_standardised_by_the_training_part_and_say_where_they_are_missing() -> None:
    source = np.random.default_rng(0)
    values = source.normal(5, 3, 40)
    cells = [f"{value!r}" for value in values.tolist()]
    feature = Standardised.fit(plain_numbers(make_column([*cells[:30], ""])))
    encoded = table_tensor([feature], [plain_numbers(make_column([*cells, ""]))])
    expected = (values - values[:30].mean()) / values[:30].std()
    np.testing.assert_allclose(encoded[:40, 0], expected, rtol=1e-5)
    assert encoded[:, 1].tolist() == [0] * 40 + [1]
    assert encoded[40, 0] == 0


def test_a_number_that_never_varies_is_zero() -> None:
    assert Standardised.fit(np.array([7.0, 7.0])).encode(np.array([7.0])).tolist() == [[0, 0]]
    assert Standardised.fit(np.array([np.nan])).encode(np.array([3.0])).tolist() == [[3, 0]]


def test_categories_have_a_place_each_and_one_for_all_others() -> None:
    feature = OneHot.fit(make_column(["b", "a", "", "b"]))
    cells = (make_column(["b", "new", ""]), np.array([1.0, np.nan, 2.0]))
    rows = table_tensor([feature, Standardised(0.0, 1.0)], cells)
    assert rows.tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 2, 0]]


def test_trigrams_are_those_of_the_levelled_text() -> None:
    tokens = Trigrams()
    grams = (" st", "str", "tra", "ras", "ass", "sse", "se ", "e 4", " 42", "42 ")
    assert tokens.numbers("straße 42") == [zlib.crc32(gram.encode()) % 4095 + 1 for gram in grams]
    assert (
        tokens.numbers("Strasse\n 42") == tokens.numbers("STRAẞE 42") == tokens.numbers("straße 42")
    )
    assert tokens.numbers("ﬁ") == tokens.numbers("fi")
    assert tokens.numbers("x") == [zlib.crc32(b" x ") % 4095 + 1]
    assert all(0 < number < tokens.vocabulary for number in tokens.numbers("någon 你好 👍"))


def test_texts_are_cut_and_filled_up_with_zeros() -> None:
    tensor = token_tensor(["abcdef", "a", ""], Trigrams(), 4)
    assert tensor.dtype == torch.int64
    assert tensor[0].tolist() == Trigrams().numbers("abcdef")[:4]
    assert (tensor != 0).sum(1).tolist() == [4, 1, 0]


def test_a_tokenizer_of_hugging_face_is_taken_from_its_folder(tmp_path: Path) -> None:
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "good": 2, "day": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(tmp_path)
    tokens = Pretrained.named(str(tmp_path))
    assert tokens.vocabulary == 5
    assert tokens.numbers("good day sunshine") == [3, 4, 2]  # one more each: 0 is for what fills up
    with pytest.raises(
        MMParetoError, match=r"`data\.tokenizer` should be a folder .* Found 'no/such'"
    ):
        Pretrained.named("no/such")
