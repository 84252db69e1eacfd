"""How large and how long files are, and which have the same content; read from the files as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmpareto._files import digest
from mmpareto.errors import MMParetoError


def measure(kind: str, path: Path) -> dict[str, float]:
    """Width and height of an image, seconds of a recording or video, number of frames in a folder.

    Args:
        kind: ``image``, ``audio`` or ``video``.
        path: The file.

    Returns:
        Numbers by name; none where the file does not say.

    Raises:
        MMParetoError: If a library is missing.
    """
    try:
        import av
        from PIL import Image
    except ImportError as error:
        raise MMParetoError(
            "Looking into files needs av and Pillow. Run: pip install 'mmpareto[data]'"
        ) from error
    try:
        if path.is_dir():
            return {"frames": len(list(path.iterdir()))}
        if kind == "image":
            with Image.open(path) as image:
                return {"width": image.width, "height": image.height}
        # By their bytes alone, as they are decoded: a name or a playlist opens nothing else.
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"protocol_whitelist": "none"}) as container,
        ):
            return (
                {} if container.duration is None else {"seconds": container.duration / av.time_base}
            )
    except (
        Exception
    ):  # of any kind that damaged files can cause: they are named when they are decoded
        return {}


def same_content(paths: Iterable[Path]) -> list[list[Path]]:
    """Divides files, or folders of files, by the bytes they hold; only those of one size are read."""
    found = {path: sorted(path.rglob("*")) if path.is_dir() else [path] for path in paths}
    files = {path: [file for file in own if file.is_file()] for path, own in found.items()}
    sizes = _groups({path: sum(file.stat().st_size for file in own) for path, own in files.items()})
    return [
        group
        for alike in sizes
        for group in (
            _groups({path: digest(files[path]) for path in alike}) if len(alike) > 1 else [alike]
        )
    ]


def _groups(keys: Mapping[Path, object]) -> list[list[Path]]:
    groups = defaultdict(list)
    for path, key in keys.items():
        groups[key].append(path)
    return list(groups.values())
