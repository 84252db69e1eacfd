"""What `mmpareto data check` says of the user's own data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from manifests import manifest, notes, plain, with_media
from media import cut, tone, write_array, write_audio, write_image, write_video

from mmpareto.data.tables._measures import measure, same_content


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def test_everything_is_counted(tmp_path: Path) -> None:
    findings = manifest(tmp_path, with_media(tmp_path)).check()
    assert findings.problems == []
    facts = dict(findings.facts)
    assert facts["column photo"] == "image (11 of 11 cells end like image files); 1 empty cells"
    assert facts["column age"] == "number (11 of 11 cells are numbers); 1 empty cells"
    assert facts["rows"] == "12, 0 of them left out"
    assert facts["division"] == "column `split`"
    assert facts["label"] == "class (2 values in 12 cells)"
    assert facts["class cat"] == "train 4, val 1, test 1"
    assert facts["photo"].endswith("samples without it: 1")
    assert facts["photo, width"] == "from 20 to 20, median 20"
    assert facts["photo, height"] == "from 30 to 30, median 30"
    assert facts["voice, seconds"] == "from 0.5 to 0.5, median 0.5"
    assert facts["clip, seconds"] == "from 1 to 1, median 1"
    assert facts["note, tokens"] == "from 14 to 15, median 14"
    assert [facts[part] for part in ("train", "val", "test")] == [
        "8 samples",
        "2 samples",
        "2 samples",
    ]


def test_numbers_to_predict_are_described_by_part(tmp_path: Path) -> None:
    rows = [{**row, "label": str(n / 2)} for n, row in enumerate(notes())]
    assert (
        dict(manifest(tmp_path, rows).check().facts)["val labels"] == "from 2 to 2.5, median 2.25"
    )


def test_files_that_cannot_be_read_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    rows = with_media(tmp_path)
    cut(tmp_path / "photo/8.png", 0.5)
    (tmp_path / "voice/2.wav").write_bytes(b"")
    (tmp_path / "clip/3.mp4").write_text("no video")
    write_array(tmp_path / "vector/9.npy", np.array([{}], dtype=object))
    write_array(tmp_path / "vector/10.npy", np.zeros(6, np.float32))
    data = manifest(tmp_path, rows)
    problems = data.check().problems
    assert {(problem.where, " ".join(problem.reason.split()[:4])) for problem in problems} == {
        ("my.csv, row 4", "column `voice`: voice/2.wav is"),
        ("my.csv, row 5", "column `clip`: clip/3.mp4 is"),
        ("my.csv, row 10", "column `photo`: photo/8.png is"),
        ("my.csv, row 11", "column `vector`: vector/9.npy is"),
        ("my.csv, row 12", "column `vector`: vector/10.npy has"),
    }
    assert not any(problem.fatal for problem in problems)
    with pytest.warns(UserWarning, match="5 of 12 rows"):
        assert data.load().train[:]["id"] == ["s0", "s1", "s11"]


def test_a_part_without_a_file_that_can_be_read_stands_in_the_way(tmp_path: Path) -> None:
    rows = [{**row, "photo": f"{row['id']}.png"} for row in notes()]
    for row in rows:
        write_image(tmp_path / row["photo"], plain(10 * int(row["age"])))
        if row["split"] == "val":
            (tmp_path / row["photo"]).write_text("no image")
    data = manifest(tmp_path, rows)
    findings = data.check()
    assert [problem.reason for problem in findings.problems if problem.fatal] == [
        "no sample for val is left that can be read"
    ]
    with pytest.raises(
        ValueError,
        match=r"Found that no sample for val is left that can be read: `mmpareto data check",
    ):
        data.load()


def test_files_that_parts_share_are_named(tmp_path: Path) -> None:
    rows = with_media(tmp_path)
    shutil.copy(tmp_path / "photo/9.png", tmp_path / "photo/6.png")  # test and train
    shutil.copy(tmp_path / "photo/3.png", tmp_path / "photo/2.png")  # both train
    rows[5]["voice"] = rows[3]["voice"]  # validation and train
    assert [
        (problem.where, problem.reason) for problem in manifest(tmp_path, rows).check().problems
    ] == [
        (
            "my.csv, row 8",
            "column `photo`: photo/6.png is for test, its content is for train too: my.csv, row 11",
        ),
        (
            "my.csv, row 7",
            "column `voice`: voice/3.wav is for val, its content is for train too: my.csv, row 5",
        ),
    ]


def test_files_are_measured_as_they_are(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", plain(0))
    write_audio(tmp_path / "a.wav", tone(8000, 0.25), 8000)
    write_video(tmp_path / "a.mp4", [plain(0)] * 20)
    (tmp_path / "b.png").write_text("no image")
    assert measure("image", tmp_path / "a.png") == {"width": 20, "height": 30}
    assert measure("audio", tmp_path / "a.wav") == {"seconds": 0.25}
    assert measure("video", tmp_path / "a.mp4") == {"seconds": 2}
    assert measure("video", tmp_path) == {"frames": 4}
    assert measure("image", tmp_path / "b.png") == {}
    (tmp_path / "b.wav").write_text("no sound")
    assert measure("audio", tmp_path / "b.wav") == {}


def test_same_content_is_found_by_bytes_alone(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"four")):
        (tmp_path / name).write_bytes(content)
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.png").write_bytes(b"frame")
    groups = same_content(tmp_path / name for name in ("a", "b", "c", "d", "x", "y"))
    assert sorted("".join(path.name for path in group) for group in groups) == [
        "ac",
        "b",
        "d",
        "xy",
    ]
