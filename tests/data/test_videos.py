"""Videos and folders of frames become frames at regular times."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from data.media import (
    cut,
    picture,
    shades,
    write_frames,
    write_image,
    write_video,
)
from mmpareto.data.caching._cache import Unreadable
from mmpareto.data.media._video import VideoDecoder


def gray(path: Path, fps: float, size: int = 48) -> list[int]:
    """Which of the `shades` the frames of a decoded video are."""
    video = VideoDecoder(fps, size)(path)
    assert (video.dtype, video.ndim, video.shape[1]) == (np.uint8, 4, 3)
    return [round(float(frame.mean()) / 20) for frame in video]


@pytest.mark.parametrize("ending", ["mp4", "flv", "mkv"])
def test_frames_at_regular_times(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip.{ending}", shades(12), fps=10)
    assert gray(path, 10.0) == list(range(12))
    assert gray(path, 5.0) == [0, 2, 4, 6, 8, 10]
    assert gray(path, 1.0) == [0, 10]
    assert gray(path, 0.5) == [0]
    assert gray(path, 20.0)[::2] == list(range(12))


def test_the_nearest_frame_of_a_variable_rate(tmp_path: Path) -> None:
    times = [0.0, 0.05, 0.1, 0.45, 0.9, 2.0, 2.02, 3.4]
    path = write_video(tmp_path / "clip.mkv", shades(len(times)), times=times)
    for fps in (1.0, 2.0, 3.0, 7.5):
        ticks = np.arange(0, 3.4, 1 / fps)
        assert gray(path, fps) == [int(np.argmin(np.abs(np.array(times) - tick))) for tick in ticks]


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", shades(3), times=[5.0, 6.0, 7.0])
    assert gray(path, 1.0) == [0, 1, 2]


@pytest.mark.parametrize("ending", ["mp4", "flv"])
def test_one_frame(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip.{ending}", shades(2)[1:])
    assert [gray(path, fps) for fps in (0.1, 1.0, 60.0)] == [[1]] * 3


def test_videos_are_shrunk_and_not_enlarged(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", [picture(96, 128)])
    assert VideoDecoder(1.0, 48)(path).shape == (1, 3, 48, 64)
    assert VideoDecoder(1.0, 1000)(path).shape == (1, 3, 96, 128)
    colours = VideoDecoder(1.0, 1000)(path)[0].transpose(1, 2, 0).astype(int)
    assert np.abs(colours - picture(96, 128)).mean() < 4


def test_videos_are_upright(tmp_path: Path) -> None:
    """Phones write into the header how the picture is to be turned, here by a quarter clockwise."""
    path = write_video(tmp_path / "clip.mp4", [picture(96, 128)])
    before = VideoDecoder(1.0, 1000)(path)[0]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    assert content[matrix : matrix + 20] == struct.pack(">5i", 1 << 16, 0, 0, 0, 1 << 16)
    content[matrix : matrix + 20] = struct.pack(">5i", 0, 1 << 16, 0, -1 << 16, 0)
    path.write_bytes(content)
    np.testing.assert_array_equal(
        VideoDecoder(1.0, 1000)(path)[0], np.rot90(before, -1, axes=(1, 2))
    )


def test_a_gap_of_hours_is_not_filled(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", shades(2), times=[0, 9000])
    with pytest.raises(Unreadable, match="one frame is shown for 9000 seconds"):
        VideoDecoder(1.0, 48)(path)


def test_folders_of_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", shades(12))
    (folder / ".hidden").write_text("of the system")
    assert gray(folder, 1.0) == list(range(12))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "1.jpg").write_text("text"), r"1\.jpg in it is no image"),
        (lambda folder: cut(folder / "2.jpg", 0.5), r"2\.jpg in it is a damaged image"),
        (lambda folder: write_image(folder / "4.jpg", picture(20, 30)), "different sizes"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "holds no frame"),
        (lambda folder: (folder / "sub").mkdir(), "sub in it cannot be opened: Is a directory"),
    ],
)
def test_bad_folders_of_frames(spoil, reason: str, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip")
    spoil(folder)
    with pytest.raises(Unreadable, match=reason):
        VideoDecoder(1.0, 48)(folder)
