"""MNIST from each of the files that people have of it, and files that are none."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_digits import mnist_arrays, write_idx

from mmpareto.data.digits._mnist import IDX_FILES, read_mnist
from mmpareto.errors import MMParetoError


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return mnist_arrays()


@pytest.fixture(scope="module")
def official(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the official files, the labels packed."""
    folder = tmp_path_factory.mktemp("mnist")
    for key, name in IDX_FILES.items():
        write_idx(folder / (f"{name}.gz" if "labels" in key else name), arrays[key])
    return folder


def same(root: Path, arrays: dict[str, np.ndarray]) -> None:
    for part, (images, labels) in read_mnist(root).items():
        np.testing.assert_array_equal(images, arrays[f"{part}_images"])
        np.testing.assert_array_equal(labels, arrays[f"{part}_labels"])


def test_official_files_packed_and_not(official: Path, arrays: dict[str, np.ndarray]) -> None:
    same(official, arrays)


def test_an_archive_by_its_path_and_in_its_folder(
    arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "mnist.npz", **arrays)
    same(tmp_path / "mnist.npz", arrays)
    same(tmp_path, arrays)


def damaged(
    part: bytes | None = None, *, packed: bool = True, magic: int | None = None
) -> Callable[[Path], Path]:
    """What puts other test labels into a folder."""

    def write(folder: Path) -> Path:
        path = folder / (IDX_FILES["test_labels"] + (".gz" if packed else ""))
        if part is None:
            return write_idx(path, np.zeros(10_000, np.uint8), magic=magic)
        path.write_bytes(part)
        return path

    return write


LABELS = np.array([0x0801, 10_000], ">u4").tobytes() + bytes(10_000)
WRONG = {
    "magic": (
        damaged(magic=0x0803),
        "should begin with a magic number and the sizes, [2049, 10000]. Found [2051, 10000]",
    ),
    "sizes": (damaged(gzip.compress(LABELS[:7] + b"\1" + LABELS[8:])), "Found [2049, 9985]"),
    "short": (
        damaged(LABELS[:-1], packed=False),
        "should hold 10,000 bytes after its sizes. Found 9,999",
    ),
    "long": (
        damaged(LABELS + b"\0", packed=False),
        "should hold 10,000 bytes after its sizes. Found more",
    ),
    "header": (
        damaged(LABELS[:8], packed=False),
        "should hold 10,000 bytes after its sizes. Found 0",
    ),
    "nearly nothing": (damaged(LABELS[:7], packed=False), "Found [2049]"),
    "empty": (damaged(b"", packed=False), "Found []"),
    "cut": (damaged(gzip.compress(LABELS)[:-9]), "Compressed file ended"),
    "checksum": (damaged(gzip.compress(LABELS)[:-8] + bytes(8)), "CRC check failed"),
    "not packed": (damaged(LABELS), "Not a gzipped file"),
    "no digits": (
        damaged(LABELS[:-1] + b"\n", packed=False),
        "test_labels as integers from 0 to 9. Found uint8, 0 to 10",
    ),
}


@pytest.mark.parametrize(("write", "said"), WRONG.values(), ids=WRONG)
def test_a_damaged_file_is_named(
    write: Callable[[Path], Path], said: str, official: Path, tmp_path: Path
) -> None:
    for file in official.iterdir():
        if "t10k-labels" not in file.name:
            (tmp_path / file.name).symlink_to(file)
    path = write(tmp_path)
    with pytest.raises(MMParetoError) as caught:
        read_mnist(tmp_path)
    assert said in str(caught.value)
    assert str(tmp_path if "as integers" in said else path) in str(caught.value)


def test_a_file_that_unpacks_to_more_than_it_should_is_not_unpacked_further(
    official: Path, tmp_path: Path
) -> None:
    """100 MB in 100 kB; what is read of it is what is expected and one byte."""
    for file in official.iterdir():
        (tmp_path / file.name).symlink_to(file)
    path = tmp_path / f"{IDX_FILES['test_labels']}.gz"
    path.unlink()
    path.write_bytes(gzip.compress(LABELS + bytes(100_000_000), 1))
    with pytest.raises(MMParetoError, match="Found more"):
        read_mnist(tmp_path)


def test_missing_files_are_named_with_what_there_should_be(official: Path, tmp_path: Path) -> None:
    for file in official.iterdir():
        if "train-labels" not in file.name:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(MMParetoError) as caught:
        read_mnist(tmp_path)
    for part in (
        f"Found no file {tmp_path / 'train-labels-idx1-ubyte'}[.gz]",
        "mnist.npz",
        "t10k-images-idx3-ubyte",
    ):
        assert part in str(caught.value)
    with pytest.raises(MMParetoError, match="Found no file /none"):
        read_mnist(Path("/none"))


@pytest.mark.parametrize("change", ["shape", "type", "labels", "float labels"])
def test_arrays_that_are_no_mnist_are_said(
    change: str, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    wrong = {
        "shape": {"train_images": arrays["train_images"][:-1]},
        "type": {"test_images": arrays["test_images"].astype(np.float16)},
        "labels": {"train_labels": np.full(60_000, 10)},
        "float labels": {"test_labels": np.zeros(10_000)},
    }[change]
    np.savez(tmp_path / "any.npz", **{**arrays, **wrong})
    with pytest.raises(
        MMParetoError, match=rf"{tmp_path}/any.npz should hold {next(iter(wrong)).split('_')[0]}_"
    ):
        read_mnist(tmp_path / "any.npz")


@pytest.mark.parametrize(
    "content", [b"\x93NUMPY\x01\x00", b"\x80\x04N.", b"PK\x03\x04", b"text", b""]
)
def test_no_archive_at_all_is_named_and_nothing_is_unpickled(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(
        MMParetoError, match=rf"{tmp_path}/mnist.npz should be an .npz file with uint8 arrays"
    ):
        read_mnist(tmp_path)


def test_one_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "mnist.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(MMParetoError, match=r"should be an \.npz file with uint8 arrays"):
        read_mnist(tmp_path)
