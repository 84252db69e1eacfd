"""Configurations that try to run something, and a process that reads them under an audit hook.

Run as ``python hostile_configs.py FOLDER SEED COUNT READER``, it prints what it saw as JSON. The
reader is ``stored`` (what a folder holds), ``command`` (what ``train --config`` takes), ``served``
(what a folder holds of the data, for `mmpareto.load`) or ``tuned`` (what a tuning chose).
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from copy import deepcopy
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from mmpareto import balancing, data, models, recipes
from mmpareto._catalogue import catalogue
from mmpareto.balancing import Method
from mmpareto.cli._options import make_parser
from mmpareto.cli._parser import expand
from mmpareto.compare._cell import Cell, check_methods, configuration
from mmpareto.compare._tuned import Choice, Tuned, read_tuned
from mmpareto.data import DatasetRecipe
from mmpareto.data.media._array import ArrayDecoder
from mmpareto.data.media._audio import SpectrogramDecoder
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._video import VideoDecoder
from mmpareto.data.samples._augment import Frames, Spectrogram
from mmpareto.data.tables._arrays import unchanged
from mmpareto.data.tables._file_inputs import ArrayInput, FileInput, FileSource, SoundInput
from mmpareto.data.tables._gray import GrayDecoder
from mmpareto.data.tables._inputs import TableInput, TextInput, VectorInput
from mmpareto.data.tables._reader import Reader
from mmpareto.data.tables._tabular import OneHot, Standardised
from mmpareto.data.tables._text import Pretrained, Trigrams
from mmpareto.errors import MMParetoError
from mmpareto.models import ModelRecipe
from mmpareto.optimizers import AdamW, TorchOptimizer
from mmpareto.specs import Classes, Labels, Number, Text
from mmpareto.training import RunConfig, describe, load_config
from mmpareto.training._interface import Interface, load_interface
from mmpareto.training._known_classes import CATALOGUES

PATHS = (
    "subprocess.Popen",
    "subprocess.run",
    "os.system",
    "os.path.join",
    "builtins.eval",
    "builtins.open",
    "canary.Canary",
    "canary",
    ".canary.Canary",
    "./canary.py",
    "torch.nn.Transformer",
    "torch.load",
    "pathlib.Path",
    "unittest.mock.Mock",
    "mmpareto.errors.MMParetoError",
    "mmpareto.balancing.CustomWeighting",
    "mmpareto.balancing.Method",
    "mmpareto.data.DatasetRecipe",
    "mmpareto.training.run.run",
    "mmpareto.training.RunConfig",
    "mmpareto.cli.main",
    "mmpareto.balancing._mmpareto.os.system",
    "mmpareto.data.CGDigits.load",
    "antigravity.geohash",
)
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch RAN", "shell": True}}
MODULE = {
    "class_path": "torch.nn.Transformer",
    "init_args": {"d_model": 4, "nhead": 2, "activation": "relu", "custom_encoder": POPEN},
}
VALUES: tuple[Any, ...] = (
    POPEN,
    MODULE,
    {"gray": MODULE},
    {"class_path": "mmpareto.Partition", "init_args": {"model": MODULE}},
    [POPEN],
    {"gray": "torch.nn.Identity"},
    "subprocess.Popen",
    "$(touch RAN)",
    "`touch RAN`",
    "!!python/object/apply:os.system ['touch RAN']",
    "/dev/null\0",
    "\x1b]0;title\x07",
    float("nan"),
    float("inf"),
    10**400,
    -1,
    True,
    None,
    [],
    {},
    "",
    "x" * 100_000,
    "1e-3",
    2.5,
    7,
    0.5,
    "auto",
    "uniform",
    "mgda",
    ["gray"],
    [1, 2, 3],
    [0.5, 0.25, 0.25],
    {"a": "b"},
)
KEYS = (
    "class_path",
    "init_args",
    "dict_kwargs",
    "method.init_args.probe",
    "config",
    "probe",
    "__class__",
    "__init__",
    "<<",
    "method+",
    "data",
    "model",
    "!!python/name:os.system",
    3,
    None,
    True,
)
TEXTS = (
    "!!python/object/apply:os.system ['touch RAN']",
    "!!python/object/new:subprocess.Popen [[touch, RAN]]",
    "!!python/name:os.system",
    "!!python/module:canary",
    "!canary.Canary {}",
    "!!binary gA==",
    "2001-01-01",
    "&a [*a]",
    "&a {x: *a}",
    "[" * 400,
    "[" * 400 + "]" * 400,
    "{<<: {class_path: subprocess.Popen}}",
    "{<<: [{class_path: canary.Canary}, {init_args: {}}]}",
    "? {class_path: canary.Canary}\n: 1",
    "1:30:30",
    "9" * 5000,
    "\x00",
    "*missing",
    "---\n---\n",
)
WATCHED = ("subprocess.py", "canary.py", "mock.py", f"{os.sep}torch{os.sep}nn{os.sep}")
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")
NETWORK = ("socket.connect", "socket.getaddrinfo", "urllib.Request")
PLAIN = (bool, int, float, str, Path, type(None), np.ndarray)


def honest() -> list[dict[str, Any]]:
    """A stored configuration for each class of the catalogues, with its defaults."""
    base = describe(recipes.cg_digits())
    configs = []
    kinds = {"data": (data, DatasetRecipe), "method": (balancing, Method)}
    for setting, (package, parent) in {**kinds, "model": (models, ModelRecipe)}.items():
        for kind in catalogue(package, parent).values():
            config = {**base, setting: describe(kind())}
            configs.append(config)
    radam = TorchOptimizer("torch.optim.RAdam", {"lr": 0.1})
    configs += [{**base, "optimizer": describe(one)} for one in (AdamW(), radam)]
    return configs


def honest_choices() -> list[dict[str, Any]]:
    """Choices of a tuning, as they are stored."""
    settings = {"optimizer.lr": 0.01, "method.gamma": 2.0}
    choices = {"mmpareto": Choice(3, 0.9, settings), "uniform": Choice(0, 0.8, {})}
    return [asdict(Tuned("cg-digits", 4, 2, choices))]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in nested settings something can be put in place of something else."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else ()
    parts = enumerate(value) if isinstance(value, list) else parts
    for key, part in parts:
        yield from places(part, (*path, key))


def interfaces() -> list[dict[str, Any]]:
    """What a folder holds of the data, with inputs of every kind."""
    flat, words = unchanged(2), Tokenizer(WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    pictures = (Frames(1, 8), FileSource("photo", "cache"))
    numbers = [Standardised(1.0, 2.0, -1.0), OneHot(("red", "blue"))]
    inputs = {
        "table": TableInput((5,), ["age", "coat"], numbers),
        "note": TextInput(Text(4, 99), "note", Trigrams(99)),
        "title": TextInput(Text(4, 3), "title", Pretrained(words.to_str())),
        "list": VectorInput((2,), "list", flat, False),
        "photo": FileInput((3, 8, 8), pictures[1], ImageDecoder(8), pictures[0]),
        "scan": FileInput((3, 8, 8), pictures[1], GrayDecoder(8, 0.0, 1.0), pictures[0]),
        "clip": FileInput((3, 2, 8, 8), pictures[1], VideoDecoder(1.0, 8), Frames(2, 8)),
        "sound": SoundInput((1, 9, 9), pictures[1], SpectrogramDecoder(800, 1.0), Spectrogram()),
        "array": ArrayInput((2,), pictures[1], ArrayDecoder((2,)), flat, False),
    }
    targets = (Classes(("a", "b")), Labels(("a", "b")), Number("age", 1.0, 2.0))
    contents = []
    for target in targets:
        reader = Reader("id", ("NA",), inputs, {"sound": "clip"}, {"age": True})
        about = Interface(reader.shapes, target, "drawn", {"train": 3}, 0.5)
        table = {"table": describe(reader, paths=False)}
        contents += [describe(about) | table, describe(about)]
    return contents


def mutate(config: dict[str, Any], draws: random.Random, *, is_json: bool = False) -> str:
    """The text of a configuration with one to three attacks in it."""
    config = deepcopy(config)
    marked: list[str] = []
    for _ in range(draws.choice((1, 1, 2, 3))):
        *above, last = draws.choice(list(places(config)))
        parent: Any = config
        for key in above:
            parent = parent[key]
        value = deepcopy(draws.choice(VALUES))
        attack = draws.randrange(7)
        if attack > 4:
            parent[last] = harmless(parent[last])
        elif attack == 0:
            parent[last] = value
        elif attack == 1 and isinstance(parent, dict):
            parent[draws.choice(KEYS)] = value
        elif attack == 2:
            parent[last] = draws.choice(PATHS)
        elif attack == 3:
            arguments = draws.choice(("init_args", "dict_kwargs"))
            parent[last] = {"class_path": draws.choice(PATHS), arguments: value}
        else:
            parent[last] = f"ATTACK{len(marked)}"
            marked.append(draws.choice(TEXTS))
    text: str = yaml.dump(config, Dumper=Plain, sort_keys=False)
    if is_json:
        text = json.dumps(config).replace('"ATTACK', "ATTACK")
    for number, attack_text in enumerate(marked):
        text = text.replace(f'ATTACK{number}"' if is_json else f"ATTACK{number}", attack_text)
    return text


def harmless(value: Any) -> Any:
    """Another value of the kind, so that some configurations get as far as their classes."""
    return value * 2 if isinstance(value, int | float) and not isinstance(value, bool) else value


class Plain(yaml.SafeDumper):
    """Writes no aliases of its own."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def strangers(value: Any) -> Iterator[str]:
    """Names of the classes in a configuration that are neither plain nor of a catalogue."""
    known: set[type] = {RunConfig}
    for parent, package in CATALOGUES.items():
        known.update(catalogue(package, parent).values())
    if type(value) in known or (
        is_dataclass(value) and type(value).__module__.startswith(OF_CONFIG)
    ):
        for field in fields(value):
            yield from strangers(getattr(value, field.name))
    elif isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            yield from strangers(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strangers(part)
    elif not isinstance(value, PLAIN):
        yield type(value).__qualname__


NAMES = {"tuned": "tuned.yaml"}
OF_CONFIG = (
    "mmpareto.compare._tuned",
    "mmpareto.training._geometry_settings",
    "mmpareto.training._interface",
    "mmpareto.optimizers._schedule",
    "mmpareto.specs.",
    "mmpareto.data.tables.",
    "mmpareto.data.media.",
    "mmpareto.data.samples.",
)


class Watch:
    """Notes what no configuration may do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.active = folder, False
        self.seen: list[str] = []

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "import" or event in NETWORK or event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {arguments[0]!r}")
        if event == "open" and self._writes(*arguments):
            self.seen.append(f"open {arguments[0]!r}")
        if event in CHANGES and not self._inside(arguments[0]):
            self.seen.append(f"{event} {arguments[0]!r}")

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and any(part in code.co_filename for part in WATCHED):
            self.seen.append(f"call {code.co_filename} {code.co_name}")

    def _writes(self, path: Any, mode: Any, flags: int) -> bool:
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and not self._inside(path)

    def _inside(self, path: Any) -> bool:
        return isinstance(path, str | Path) and Path(path).resolve().is_relative_to(self.folder)

    def run(self, action: Callable[[], Any]) -> Any:
        self.active = True
        sys.setprofile(self.profile)
        try:
            return action()
        finally:
            sys.setprofile(None)
            self.active = False


def main(folder: Path, seed: int, count: int, reader: str) -> None:
    path, watch, outcomes = folder / NAMES.get(reader, "config.yaml"), Watch(folder), Counter()
    is_json = reader == "served"
    sources = {"served": interfaces, "tuned": honest_choices}
    readers = {"stored": read_stored, "command": read_command, "served": read_served}
    source = sources.get(reader, honest)()
    read = (readers | {"tuned": read_choices})[reader]
    for config in source:  # imports what the readers of honest configurations need
        path.write_text(json.dumps(config) if is_json else yaml.safe_dump(config))
        assert read(path) is not None
    path.write_text("epochs: many")
    read(path)
    "".encode("unicode_escape")  # messages may need this part of the standard library
    sys.addaudithook(watch.audit)
    draws = random.Random(seed)
    failures = []
    for number in range(count):
        path.write_text(mutate(draws.choice(source), draws, is_json=is_json))
        before = len(watch.seen)
        try:
            result = watch.run(lambda: read(path))
        except Exception as error:
            failures.append(f"{number}: {type(error).__name__}: {error}"[:300])
            continue
        outcomes["refused" if result is None else "read"] += 1
        foreign = [] if result is None else list(strangers(result))
        failures.extend(f"{number}: {event}" for event in (*foreign, *watch.seen[before:]))
    ran = [name for name in ("RAN", "CANARY") if (folder / name).exists()]
    sys.stdout.write(json.dumps({"outcomes": outcomes, "failures": failures, "ran": ran}))


def read_stored(path: Path) -> RunConfig | None:
    try:
        return load_config(path)
    except MMParetoError:
        return None


def read_served(path: Path) -> tuple[Interface, Reader | None] | None:
    try:
        return load_interface(path)
    except MMParetoError as error:
        if "\n" in str(error):
            raise
        return None


def read_command(path: Path) -> RunConfig | None:
    parser = make_parser()
    try:
        with redirect_stderr(io.StringIO()):
            parsed = parser.parse_args(expand(["train", "--config", str(path), "--out", "out"]))
            settings = parser.instantiate(parsed)["train"]
        return RunConfig(**{field.name: settings[field.name] for field in fields(RunConfig)})
    except (MMParetoError, SystemExit):
        return None


def read_choices(path: Path) -> Tuned | None:
    """The choices, after they have been given to trainings."""
    base = recipes.cg_digits()
    try:
        tuned = read_tuned(path.parent)
        for method in tuned.choices:
            check_methods([method])
            configuration(base, Cell(method, 0, settings=tuned.settings(method)))
    except MMParetoError:
        return None
    return tuned


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
