"""Transforms, archives, and data sets on caches, against slow and independent computations."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image
from torch.utils.data import DataLoader

from data.media import picture, shades, write_image, write_video
from mmpareto.data import EpochIndices
from mmpareto.data.caching._cache import Source, cached
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._inside import inside
from mmpareto.data.media._video import VideoDecoder
from mmpareto.data.samples._augment import Frames, Plain, Spectrogram
from mmpareto.data.samples._cached import CachedDataset, Column, Transform
from mmpareto.data.samples._crops import choose_frames, random_crop
from mmpareto.data.samples._memory import batch_memory
from mmpareto.errors import MMParetoError

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def transformed(
    transform: Transform, item: np.ndarray, random: np.random.Generator | None
) -> torch.Tensor:
    return transform.finish(transform(item, random)[None])[0]


def pixels(tensor: torch.Tensor) -> np.ndarray:
    """Normalized [3, ..., H, W] as values from 0 to 255."""
    shape = (3,) + (1,) * (tensor.ndim - 1)
    return 255 * (tensor.double().numpy() * STD.reshape(shape) + MEAN.reshape(shape))


# Frames


@pytest.mark.parametrize(("height", "width"), [(48, 64), (300, 200), (32, 32), (1, 7), (20, 500)])
def test_evaluation_resizes_the_whole_picture_as_pillow(height: int, width: int) -> None:
    image = picture(height, width)
    found = transformed(Frames(1, 32), image.transpose(2, 0, 1).copy(), None)
    assert (found.shape, found.dtype) == ((3, 32, 32), torch.float32)
    expected = np.asarray(
        Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)
    ).transpose(2, 0, 1)
    assert np.abs(pixels(found) - expected).max() < 2.01  # two passes, each rounded, here and there


def test_training_crops_and_flips_as_pillow_would() -> None:
    image, flips = picture(120, 160), 0
    for seed in range(40):
        found = pixels(transformed(Frames(1, 32), image.transpose(2, 0, 1).copy(), generator(seed)))
        random = generator(seed)
        choose_frames(1, 1, random)
        top, left, height, width = random_crop(120, 160, random)
        part = Image.fromarray(image[top : top + height, left : left + width])
        expected = np.asarray(part.resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        errors = [np.abs(found - turned).max() for turned in (expected, expected[..., ::-1])]
        assert min(errors) < 2.01
        flips += int(np.argmin(errors))
    assert scipy.stats.binomtest(flips, 40).pvalue > 0.001


def test_frames_of_a_clip_are_cropped_alike() -> None:
    clip = np.stack([picture(60, 80).transpose(2, 0, 1)] * 5)
    for seed in range(5):
        found = transformed(Frames(3, 32), clip, generator(seed))
        assert found.shape == (3, 3, 32, 32)
        assert (found == found[:, :1]).all()


def test_a_clip_is_normalized_frame_by_frame_in_order() -> None:
    clip = np.stack([frame.transpose(2, 0, 1) for frame in shades(9)])
    found = pixels(transformed(Frames(3, 8), clip, None))
    for place, number in enumerate(choose_frames(9, 3, None)):
        np.testing.assert_allclose(found[:, place], 20 * number, atol=1e-3)


def test_items_are_not_changed() -> None:
    clip = np.stack([picture().transpose(2, 0, 1)] * 2)
    spectrogram = np.ones((1, 8, 8), np.float32)
    before = clip.copy()
    for item, transform in (
        (clip, Frames(2, 16)),
        (spectrogram, Spectrogram((4,), (4,))),
        (spectrogram, Plain()),
    ):
        item.flags.writeable = False  # as items of a cache are
        transformed(transform, item, generator()).fill_(7)
    assert (clip == before).all()
    assert (spectrogram == 1).all()


@pytest.mark.parametrize("available", range(1, 25))
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_frames_are_chosen_as_the_authors_do(available: int, count: int) -> None:
    segment = available // count
    middle = choose_frames(available, count, None)
    drawn = [choose_frames(available, count, generator(seed)) for seed in range(200)]
    if segment == 0:
        assert all(found == middle for found in drawn)
        assert set(middle) == set(range(available))
        return
    numbered_from_one = [number * segment + segment // 2 for number in range(count)]
    assert middle == [max(number, 1) - 1 for number in numbered_from_one]
    for place in range(count):
        seen = {found[place] for found in drawn}
        assert seen == set(range(place * segment, (place + 1) * segment))


def test_crops_have_the_stated_distribution() -> None:
    """Where no crop is ever too large, area and proportion are uniform; positions cover all the
    room there is.
    """
    random, height, width = generator(), 1000, 1000
    crops = np.array([random_crop(height, width, random) for _ in range(4000)])
    tops, lefts, highs, wides = crops.T
    assert (tops >= 0).all()
    assert (lefts >= 0).all()
    assert (tops + highs <= height).all()
    assert (lefts + wides <= width).all()
    areas, proportions = highs * wides / (height * width), wides / highs
    small = areas < 0.5  # of these none is refused: the longer side is at most sqrt(0.5 * 4 / 3)
    assert scipy.stats.kstest(areas[small], scipy.stats.uniform(0.08, 0.42).cdf).pvalue > 0.001
    logs = np.log(proportions[small]) / np.log(4 / 3)
    assert scipy.stats.kstest(logs, scipy.stats.uniform(-1, 2).cdf).pvalue > 0.001
    for starts, room in ((tops, height - highs), (lefts, width - wides)):
        assert (
            scipy.stats.kstest(
                (starts + random.random(4000))[small] / (room + 1)[small], "uniform"
            ).pvalue
            > 0.001
        )


def test_the_area_of_all_crops_is_that_of_a_slow_draw() -> None:
    random, other = generator(1), generator(2)
    areas = [
        high * wide for _, _, high, wide in (random_crop(300, 400, random) for _ in range(3000))
    ]
    slow = []
    while len(slow) < 3000:
        area, log = other.uniform(0.08, 1) * 300 * 400, other.uniform(-1, 1)
        high, wide = (area / (4 / 3) ** log) ** 0.5, (area * (4 / 3) ** log) ** 0.5
        if high <= 300 and wide <= 400:
            slow.append(high * wide)
    assert scipy.stats.ks_2samp(areas, slow).pvalue > 0.001


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(10, 1000, (0, 493, 10, 13)), (1000, 10, (493, 0, 13, 10)), (1, 1, (0, 0, 1, 1))],
)
def test_a_picture_too_long_for_any_crop_is_cut_in_the_middle(
    height: int, width: int, expected: tuple[int, ...]
) -> None:
    assert {random_crop(height, width, generator(seed)) for seed in range(50)} == {expected}


# SpecAugment


def test_masks_are_of_at_most_the_given_widths_and_hold_the_mean() -> None:
    item = generator().normal(size=(1, 30, 50)).astype(np.float32)
    widths: dict[str, set[int]] = {"times": set(), "frequencies": set()}
    covered: dict[str, np.ndarray] = {"times": np.zeros(50), "frequencies": np.zeros(30)}
    for seed in range(300):
        for name, axis in (("times", 1), ("frequencies", 2)):
            found = Spectrogram(**{"times": (), "frequencies": (), name: (5,)})(
                item, generator(seed)
            ).numpy()
            masked = (found != item).all(axis)[0]
            assert ((found != item) == np.expand_dims(masked[None], axis)).all()
            np.testing.assert_allclose(found[found != item], item.mean(), atol=1e-6)
            places = np.flatnonzero(masked)
            assert len(places) == 0 or places[-1] - places[0] + 1 == len(places)
            widths[name].add(len(places))
            covered[name] += masked
    assert widths == {"times": set(range(6)), "frequencies": set(range(6))}
    assert all((count > 0).all() for count in covered.values())


def test_masks_wider_than_the_spectrogram_and_evaluation() -> None:
    item = generator().normal(size=(1, 4, 3)).astype(np.float32)
    transform = Spectrogram(times=(100,), frequencies=(100,))
    assert {transform(item, generator(seed)).shape for seed in range(20)} == {(1, 4, 3)}
    assert (transform(item, None).numpy() == item).all()


# Data sets


class Noise(Transform):
    """The item, plus what is drawn."""

    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> torch.Tensor:
        return torch.tensor(item) + (
            0 if random is None else torch.tensor(random.normal(size=item.shape))
        )


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CachedDataset:
    """Seven samples: a video, which the third and fifth lack, an image shared by several, and
    numbers.
    """
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    videos = [
        write_video(tmp_path / f"{n}.mp4", [picture(seed=n + m) for m in range(6)])
        for n in range(5)
    ]
    images = [write_image(tmp_path / f"{n}.png", picture(seed=n)) for n in range(2)]
    opened = cached("video", [Source(path.name, path) for path in videos], VideoDecoder(10.0, 32))
    pictures = cached("image", [Source(path.name, path) for path in images], ImageDecoder(32))
    columns = {
        "video": Column(opened, torch.tensor([4, 0, -1, 1, -1, 2, 3]), Frames(2, 24)),
        "image": Column(pictures, torch.tensor([0, 0, 0, 1, 1, 1, 0]), Frames(1, 24)),
        "table": Column(
            torch.arange(21.0, dtype=torch.float64).view(7, 3), torch.arange(7), Noise()
        ),
    }
    return CachedDataset(columns, torch.tensor([0, 1, 0, 1, 0, 1, 0]), list("abcdefg"))


def same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    return one == other


def test_one_sample_has_no_key_for_what_it_lacks(clips: CachedDataset) -> None:
    assert {name: tuple(x.shape) for name, x in clips[0]["inputs"].items()} == {
        "video": (3, 2, 24, 24),
        "image": (3, 24, 24),
        "table": (3,),
    }
    assert clips[2]["inputs"].keys() == {"image", "table"}
    assert "rows" not in clips[2]
    assert (clips[3]["id"], clips[3]["label"]) == ("d", torch.tensor(1))
    assert same(clips[-1], clips[6])
    with pytest.raises(IndexError):
        clips[7]
    assert len(clips) == 7


@pytest.mark.parametrize(
    ("index", "numbers"),
    [
        ([0, 1, 3], [0, 1, 3]),
        ([4, 2, 2, 0], [4, 2, 2, 0]),
        (slice(1, None, 2), [1, 3, 5]),
        (torch.tensor([6, -1]), [6, 6]),
        (torch.tensor([1, 0, 0, 0, 0, 0, 1]).bool(), [0, 6]),
        ([2, 4], [2, 4]),
        (range(3), [0, 1, 2]),
    ],
)
def test_a_batch_is_its_samples(clips: CachedDataset, index, numbers: list[int]) -> None:
    batch, samples = clips[index], [clips[number] for number in numbers]
    assert batch["id"] == [sample["id"] for sample in samples]
    assert batch["label"].tolist() == [int(sample["label"]) for sample in samples]
    for name in clips.columns:
        rows = [row for row, sample in enumerate(samples) if name in sample["inputs"]]
        if not rows:
            assert name not in batch["inputs"]
            assert name not in batch.get("rows", {})
            continue
        if len(rows) == len(numbers):
            assert name not in batch.get("rows", {})
        else:
            assert batch["rows"][name].tolist() == rows
        for row, sample in enumerate(samples):
            expected = sample["inputs"].get(name, torch.zeros_like(batch["inputs"][name][row]))
            assert same(batch["inputs"][name][row], expected)


def test_an_empty_batch(clips: CachedDataset) -> None:
    batch = clips[[]]
    assert (batch["inputs"], batch["id"], len(batch["label"])) == ({}, [], 0)


def test_only_draws_are_augmented(clips: CachedDataset) -> None:
    numbers = [0, 1, 3]
    assert same(clips[numbers], clips[numbers])
    drawn = clips[EpochIndices(numbers, seed=0, epoch=0)]
    assert all(
        not same(drawn["inputs"][name], clips[numbers]["inputs"][name]) for name in clips.columns
    )


def test_a_slice_is_augmented_as_the_whole(clips: CachedDataset) -> None:
    indices = EpochIndices([0, 1, 3, 2, 6], seed=3, epoch=5)
    assert list(indices[1:3]) == [1, 3]
    assert (indices[-1], indices[1:3].seed, indices[1:3].epoch) == (6, 3, 5)
    complete, part = clips[indices]["inputs"], clips[indices[1:3]]["inputs"]
    for name in clips.columns:
        assert same(part[name], complete[name][1:3])


def test_what_is_random_depends_on_seed_epoch_and_sample_alone(clips: CachedDataset) -> None:
    def sample(place: int, *numbers: int, seed: int = 3, epoch: int = 5) -> dict[str, torch.Tensor]:
        inputs = clips[EpochIndices(numbers, seed, epoch)]["inputs"]
        return {name: inputs[name][place] for name in ("image", "video", "table")}

    one = sample(0, 1)
    assert same(one, sample(2, 0, 2, 1, 6))
    assert same(one, sample(0, 1, 1))
    others = [
        sample(0, 1, seed=4),
        sample(0, 1, epoch=6),
        sample(0, 3),
        sample(0, 1, seed=5, epoch=3),
    ]
    for position, other in enumerate(others):
        assert not any(same(one[name], different[name]) for different in [other] for name in one), (
            position
        )
    changes = [
        one["table"] - torch.arange(3.0, 6.0),
        sample(0, 3)["table"] - torch.arange(9.0, 12.0),
    ]
    assert not torch.allclose(*changes), "samples differ in what is drawn, not in their items alone"


def test_modalities_are_changed_independently(clips: CachedDataset) -> None:
    column = Column(torch.zeros(2, 3), torch.arange(2), Noise())
    inputs = CachedDataset({"a": column, "b": column}, torch.zeros(2), ["x", "y"])[
        EpochIndices([0, 1])
    ]["inputs"]
    assert not same(inputs["a"], inputs["b"])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_give_the_same_bytes(clips: CachedDataset, context: str) -> None:
    draws = [
        EpochIndices([n % 7, (3 * n + 2) % 7, (n * n) % 7], seed=1, epoch=n // 3) for n in range(8)
    ]
    alone = [clips[draw] for draw in draws]
    loader = DataLoader(
        clips, batch_size=None, sampler=draws, num_workers=2, multiprocessing_context=context
    )
    batches = list(loader)
    assert [same(one, other) for one, other in zip(alone, batches, strict=True)] == [True] * 8


def test_ids_may_be_numbers(clips: CachedDataset) -> None:
    numbered = CachedDataset(clips.columns, clips.labels, torch.arange(100, 107))
    assert numbered[[2, 1]]["id"].tolist() == [102, 101]
    assert numbered[2]["id"] == torch.tensor(102)


def test_columns_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    good, bad = write_image(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_text("text")
    cache = cached("image", [Source(path.name, path) for path in (good, bad)], ImageDecoder(32))
    for index, message in (
        ([0], r"1 labels, 1 ids and 2 of `image`|2 labels, 2 ids and 1 of `image`"),
        ([0, 1], r"Items of `image` should be there and undamaged\. Found the numbers \[1\]"),
        ([0, 2], r"\[2\]"),
        ([-2, 0], r"\[-2\]"),
    ):
        with pytest.raises(MMParetoError, match=message):
            CachedDataset(
                {"image": Column(cache, torch.tensor(index), Frames(1, 8))},
                torch.zeros(2),
                ["a", "b"],
            )


# Archives and paths


def test_files_stay_inside_of_the_root(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    (root / "sub").mkdir(parents=True)
    secret.write_text("secret")
    (root / "file").write_text("file")
    (root / "out").symlink_to(secret)
    (root / "up").symlink_to("..")
    (root / "in").symlink_to("file")
    (root / "circle").symlink_to("circle")
    for name in ("file", "sub/../file", "in", "none/yet", "."):
        assert inside(root, root / name) == root / name
    for name in (
        "out",
        "../secret",
        "sub/../../secret",
        "up/secret",
        "/etc/passwd",
        "../root2/file",
        "circle",
        "a\0b",
    ):
        with pytest.raises(MMParetoError, match="Files should be in"):
            inside(root, root / name)
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    assert inside(linked, linked / "file") == linked / "file"
    here = Path.cwd()
    try:
        os.chdir(root)
        assert inside(Path(), Path("file")) == Path("file")
        with pytest.raises(MMParetoError, match=r"Files should be in .*Found \.\./secret"):
            inside(Path(), Path("../secret"))
    finally:
        os.chdir(here)


def test_memory_is_used_again_when_nobody_has_it_any_more() -> None:
    shape = (3, 1001)
    first, second = batch_memory(shape), batch_memory(shape)
    assert first.shape == second.shape == shape
    places = {first.data_ptr(), second.data_ptr()}
    assert len(places) == 2
    part = first[1:].fill_(7)
    del first
    assert batch_memory(shape).data_ptr() not in places
    assert (part == 7).all()
    del part, second
    again = [batch_memory(shape) for _ in range(2)]
    assert places & {tensor.data_ptr() for tensor in again}
    assert batch_memory((4, 5)).shape == (4, 5)
    many = [batch_memory(shape).fill_(n) for n in range(20)]
    assert [int(tensor.mean()) for tensor in many] == list(range(20))
