from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmpareto.data._absolute import make_absolute
from mmpareto.data._recipe import Finding
from mmpareto.data.folders._folder_recipe import FolderRecipe, Reader
from mmpareto.data.folders._lists import with_validation
from mmpareto.data.folders._survey import Sample, Survey
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._types import FILES
from mmpareto.data.samples._augment import Frames
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Shape

_CLASS_NAMES = (
    "airplane, bathtub, bed, bench, bookshelf, bottle, bowl, car, chair, cone, cup, curtain, "
    "desk, door, dresser, flower_pot, glass_box, guitar, keyboard, lamp, laptop, mantel, "
    "monitor, night_stand, person, piano, plant, radio, range_hood, sink, sofa, stairs, "
    "stool, table, tent, toilet, tv_stand, vase, wardrobe, xbox"
)
_CLASSES = tuple(_CLASS_NAMES.split(", "))
_MODALITIES = ("front", "rear")
_VIEW = re.compile(r"(.+)_\D*(\d+)")
_PUBLISHED = {"train": 9_843, "test": 2_468}
_REPORTED = {"train": 9_438, "test": 2_468}  # in MMPareto's paper


@dataclass(frozen=True)
class ModelNet40(FolderRecipe):
    """ModelNet40: shapes of 40 kinds, seen from two of twelve sides.

    Args:
        root: Folder with a folder of rendered views for each class. Needed to load.
        views: Numbers of a shape's views that are its front and its rear view, in their order, from
            0.
        size: Height and width of a sample's images, in pixels.
        seed: Seed of what is held out for validation.

    Example:
        >>> ModelNet40(root="modelnet40").shapes
        {'front': (3, 224, 224), 'rear': (3, 224, 224)}
    """

    name = "modelnet40"
    citation = (
        "Z. Wu, S. Song, A. Khosla, F. Yu, L. Zhang, X. Tang and J. Xiao, 3D ShapeNets: A Deep "
        "Representation for Volumetric Shapes, CVPR 2015; views of H. Su, S. Maji, E. Kalogerakis "
        "and E. Learned-Miller, Multi-view Convolutional Neural Networks for 3D Shape Recognition, "
        "ICCV 2015."
    )
    notes = (
        "A ninth of ModelNet40's training shapes, of every class alike, is held out for "
        "validation.",
    )
    layout = (
        "root/airplane/train/airplane_0001_001.png to _012.png, root/airplane/test/..., for each "
        "of 40 classes"
    )

    root: Path | str | None = None
    views: tuple[int, int] = (0, 6)
    size: int = 224
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.views) != 2 or min(self.views) < 0 or self.views[0] == self.views[1]:
            raise MMParetoError(
                "Parameter `data.views` should be two different numbers from 0. Found "
                f"{self.views!r}."
            )
        if self.size < 1:
            raise MMParetoError(f"Parameter `data.size` should be at least 1. Found {self.size!r}.")
        make_absolute(self, "root")

    @property
    def shapes(self) -> dict[str, Shape]:
        return dict.fromkeys(_MODALITIES, (3, self.size, self.size))

    @property
    def target(self) -> Classes:
        return Classes(_CLASSES)

    def _readers(self) -> dict[str, Reader]:
        readers = {}
        for modality, view in zip(_MODALITIES, self.views, strict=True):
            cache = f"{self.name}-view-{view}"
            readers[modality] = Reader(cache, ImageDecoder(self.size), Frames(1, self.size))
        return readers

    def _survey(self, root: Path) -> Survey:
        samples: list[Sample] = []
        missing: list[Finding] = []
        parts: dict[str, list[int]] = {"train": [], "test": []}
        last = max(self.views)
        for shape in _shapes(root):
            if len(shape.views) <= last:
                reason = f"{len(shape.views)} views; needed is number {last}, from 0"
                missing.append(Finding(shape.name, reason))
                continue
            parts[shape.part].append(len(samples))
            views = [shape.views[view] for view in self.views]
            files = dict(zip(_MODALITIES, views, strict=True))
            samples.append(Sample(shape.name, shape.label, files))
        names = [sample.name for sample in samples]
        labels = [sample.label for sample in samples]
        sizes = {part: len(numbers) for part, numbers in parts.items()}
        remarks = [] if sizes in (_PUBLISHED, _REPORTED) else [Finding(str(root), _remark(sizes))]
        return Survey(samples, with_validation(parts, names, labels, self.seed), missing, remarks)


@dataclass(frozen=True)
class _Shape:
    """One shape in the folder: its part, its label, its name, and its views by their numbers."""

    part: str
    label: int
    name: str
    views: list[Path]


def _shapes(root: Path) -> Iterator[_Shape]:
    """The shapes in the folder, class by class."""
    for label, kind in enumerate(_CLASSES):
        for part in _PUBLISHED:
            for name, views in _views(root / kind / part).items():
                ordered = [views[number] for number in sorted(views)]
                yield _Shape(part, label, f"{kind}/{part}/{name}", ordered)


def _views(folder: Path) -> dict[str, dict[int, Path]]:
    """By the name of each shape in a folder, its views by their numbers."""
    shapes: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _VIEW.fullmatch(path.stem)
        if match and path.suffix.lower() in FILES["image"].split():
            shapes.setdefault(match[1], {})[int(match[2])] = path
    return shapes


def _remark(sizes: dict[str, int]) -> str:
    return (
        f"{sizes['train']:,} training and {sizes['test']:,} test shapes; as published there are "
        "9,843 and 2,468 (9,438 and 2,468 in MMPareto's paper)"
    )
