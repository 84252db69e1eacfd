"""Tables of one's own whose files are damaged, or whose columns are not where they were meant to
be.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifests import manifest, notes
from media import tone, write_audio, write_image
from PIL import Image

from mmpareto.data import Finding
from mmpareto.errors import MMParetoError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def pictured(folder: Path, count: int = 16, junk: str = "") -> list[dict[str, Any]]:
    """`notes` with a photo each; those of a part, or of its samples of a class, are none."""
    rows = notes(count)
    for row in rows:
        row["photo"] = f"{row['id']}.png"
        write_image(folder / row["photo"])
        if junk and junk in (row["split"], f"{row['split']} {row['label']}"):
            (folder / row["photo"]).write_bytes(b"no picture")
    return rows


@pytest.mark.parametrize(
    ("junk", "reason"),
    [
        ("val", "no sample for val is left that can be read"),
        ("train", "no sample for train is left that can be read"),
        ("train dog", "no training sample of class 'dog' is left that can be read"),
    ],
)
def test_what_damage_takes_away_altogether_is_refused(
    junk: str, reason: str, tmp_path: Path
) -> None:
    data = manifest(tmp_path, pictured(tmp_path, junk=junk))
    assert data.check().problems[-1] == Finding("my.csv", reason, fatal=True)
    with pytest.raises(MMParetoError, match=f"Found that {reason}: `mmpareto data check"):
        data.load()


def test_a_modality_without_a_training_sample_that_can_be_read_is_refused(tmp_path: Path) -> None:
    rows = pictured(tmp_path, junk="train")
    for row in rows[::8]:  # a training sample of either class, and of either kind of place
        row["photo"] = ""
    rows[1]["photo"] = ""
    reason = "no training sample with `photo` is left that can be read"
    data = manifest(tmp_path, rows)
    assert data.check().problems[-1] == Finding("my.csv", reason, fatal=True)
    with pytest.raises(MMParetoError, match=reason):
        data.load()


def cut_ogg(path: Path) -> None:
    write_audio(path, tone(8000, 20.0), 8000)
    path.write_bytes(path.read_bytes()[:3000])


def bomb(path: Path) -> None:
    with io.BytesIO() as content:
        Image.new("1", (20_000, 20_000)).save(content, "png")
        path.write_bytes(content.getvalue())


def cut_npz(path: Path) -> None:
    with io.BytesIO() as content:
        np.savez(content, np.ones(5))
        path.write_bytes(content.getvalue()[:100])


def unclosed(path: Path) -> None:
    with io.BytesIO() as content:
        np.save(content, np.ones(5))
        path.write_bytes(content.getvalue().replace(b"(5,), }", b"(5,      "))


DAMAGED = {
    "a cut recording": ("voice", "s{}.ogg", cut_ogg),
    "a picture of too many pixels": ("photo", "s{}.png", bomb),
    "a cut archive for an array": ("vector", "s{}.npy", cut_npz),
    "an array's header without end": ("vector", "s{}.npy", unclosed),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_one_damaged_file_leaves_the_rest_unharmed(name: str, tmp_path: Path) -> None:
    column, pattern, damage = DAMAGED[name]
    rows = notes()
    for n, row in enumerate(rows):
        path = tmp_path / (cell := pattern.format(n))
        row[column] = cell
        match column:
            case "voice":
                write_audio(path, tone(8000, 0.5, 200 + 20 * n), 8000)
            case "photo":
                write_image(path)
            case _:
                np.save(path, np.full(5, n, np.float32))
    damage(tmp_path / rows[0][column])
    findings = manifest(tmp_path, rows).check()
    named = [problem for problem in findings.problems if problem.where == "my.csv, row 2"]
    assert not any(problem.fatal for problem in findings.problems)
    assert len(named) == 1
    assert dict(findings.facts)["test"] == "2 samples"


def test_a_dangling_link_among_frames_stops_nothing(tmp_path: Path) -> None:
    rows = notes()
    for row in rows:
        row["clip"] = f"clip {row['id']}"
        (tmp_path / row["clip"]).mkdir()
        for number in range(3):
            write_image(tmp_path / row["clip"] / f"{number}.png")
    (tmp_path / rows[0]["clip"] / "9.png").symlink_to("nowhere.png")
    findings = manifest(tmp_path, rows, types={"clip": "video"}).check()
    assert not any(problem.fatal for problem in findings.problems)
    assert dict(findings.facts)["val"] == "2 samples"


@pytest.mark.parametrize(
    ("renamed", "settings", "said"),
    [
        (
            "fold",
            {"split": "folds"},
            r"`data\.split` should be a column of .* Found `folds`, which is none of",
        ),
        (
            "Split",
            {},
            r"Found that `Split` does: add --data\.split 'Split', or draw with --data\.fractions",
        ),
        ("fold", {}, r"Found that `fold` does"),
    ],
)
def test_a_division_of_the_users_is_not_passed_over(
    renamed: str, settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    rows = [
        {renamed if name == "split" else name: cell for name, cell in row.items()}
        for row in notes()
    ]
    with pytest.raises(MMParetoError, match=said):
        manifest(tmp_path, rows, **settings).load()
    assert manifest(tmp_path, rows, split=renamed).load().test
    assert manifest(tmp_path, rows, fractions=(0.6, 0.2, 0.2)).load().test


def test_an_empty_group_is_none(tmp_path: Path) -> None:
    rows = [{**row, "who": ""} for row in notes()]
    assert not manifest(tmp_path, rows, group="who").check().problems
