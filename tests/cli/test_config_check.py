"""Configuration files are data: whatever they hold, nothing is imported, made or started."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mmpareto import recipes
from mmpareto.cli._options import make_parser
from mmpareto.cli._parser import expand
from mmpareto.errors import MMParetoError
from mmpareto.training import describe

EVENTS: list[str] = []
WATCHED = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in WATCHED or (event == "import" and str(arguments[0]).startswith("evil_helper")):
        EVENTS.append(event)


sys.addaudithook(watch)


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a file has caused: starts of programs, imports of a module beside it, modules made."""
    (tmp_path / "evil_helper.py").write_text("X = 3\nclass Y: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    EVENTS.clear()
    made = torch.nn.Module.__init__

    def make(self: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        EVENTS.append(type(self).__name__)
        made(self, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "__init__", make)
    yield EVENTS
    assert "evil_helper" not in sys.modules


def use(content: Any) -> None:
    """What `mmpareto train --config` does with a file before it trains."""
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    Path("config.yaml").write_text(text)
    parser = make_parser()
    arguments = expand(["train", "--config", "config.yaml", "--out", "x"])
    parser.instantiate(parser.parse_args(arguments))


POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch RAN", "shell": True}}
MODULE = {
    "class_path": "torch.nn.Transformer",
    "init_args": {"d_model": 4, "nhead": 2, "custom_encoder": POPEN},
}
MMPARETO = "mmpareto.balancing.MMPareto"
EVIL = {
    "a module for a setting": {"geometry": {"probe": {"gray": MODULE}}},
    "a class for a setting": {"geometry": {"probe": MODULE}},
    "a class for a number": {"method": {"class_path": MMPARETO, "init_args": {"gamma": MODULE}}},
    "a setting by a dotted name": {
        "method": {"class_path": MMPARETO, "init_args": {"probe.gray": MODULE}}
    },
    "a class of another library": {"method": POPEN},
    "a class beside the file": {"method": {"class_path": "evil_helper.X"}},
    "a name beside the file": {"data": "evil_helper.X"},
    "further arguments": {"method": {"class_path": MMPARETO, "dict_kwargs": {"x": POPEN}}},
    "a list": {"model": [POPEN]},
    "a section that is no class": {"optimizer": POPEN},
    "a name for a section": {"optimizer": "evil_helper.X"},
    "a dotted name": {"method.class_path": "evil_helper.X"},
    "another file": {"config": "other.yaml"},
    "a file for a class": {"method": "other.yaml"},
    "a tag": "method: !!python/object/apply:os.system [touch RAN]",
    "an object for a number": {"epochs": POPEN},
}


@pytest.mark.parametrize("name", EVIL)
def test_what_is_no_plain_value_is_refused(name: str, traces: list[str]) -> None:
    Path("other.yaml").write_text(yaml.safe_dump({"method": POPEN, **POPEN}))
    with pytest.raises(MMParetoError, match=r"config\.yaml"):
        use(EVIL[name])
    assert traces == []


def test_a_dotted_name_of_a_module_is_no_more_than_a_name(traces: list[str]) -> None:
    use({"geometry": {"probe": {"gray": "evil_helper.X"}}})
    assert traces == []


def test_a_file_in_place_of_a_name_is_refused(traces: list[str]) -> None:
    Path("other.yaml").write_text(yaml.safe_dump(POPEN))
    with pytest.raises(MMParetoError, match=r"Found the file other\.yaml"):
        expand(["train", "--method", "other.yaml"])
    assert traces == []


def test_a_file_called_like_a_method_is_no_obstacle(traces: list[str]) -> None:
    Path("uniform").touch()
    assert expand(["train", "--method", "uniform"])[1] == "--method=mmpareto.balancing.Uniform"


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where plain values can be changed."""
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from spots(part, (*path, key))


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    return {**value, path[0]: changed(value[path[0]], path[1:], change)}


REPLACEMENTS = [
    POPEN, MODULE, [POPEN], {"x": POPEN}, {"x": [MODULE]}, "evil_helper.X", "subprocess.Popen",
    "torch.nn.Linear", "os.system", "evil_helper.Y", "other.yaml", {"class_path": "evil_helper.Y"},
    {"class_path": "evil_helper.Y", "init_args": {}}, {"init_args": POPEN}, {"a.b": POPEN},
    {"class_path": MMPARETO, "init_args": {"probe": {"gray": MODULE}}}, {"dict_kwargs": POPEN},
    {"class_path": MMPARETO, "init_args": {"probe": "evil_helper.Y"}}, None, 3, "", [], {},
]  # fmt: skip
KEYS = ["probe", "class_path", "init_args", "dict_kwargs", "probe.x", "config", "method", "x.y"]


def test_of_many_mutated_files_none_makes_anything(traces: list[str]) -> None:
    dice = random.Random(0)
    base = describe(recipes.cg_digits())
    Path("other.yaml").write_text(yaml.safe_dump({"method": POPEN, **POPEN}))
    refused = 0
    for _ in range(150):
        content = copy.deepcopy(base)
        for _ in range(dice.randint(1, 3)):
            path = dice.choice(list(spots(content))[1:])
            replacement, key = dice.choice(REPLACEMENTS), dice.choice(KEYS)

            def change(old: Any, replacement: Any = replacement, key: str = key) -> Any:
                inside = isinstance(old, dict) and dice.random() < 0.5
                return {**old, key: replacement} if inside else replacement

            content = changed(content, path, change)
        try:
            use(content)
        except (MMParetoError, SystemExit):
            refused += 1
        assert traces == [], content
    assert refused > 50


OWN = '''
from dataclasses import dataclass
from mmpareto.balancing import Uniform

@dataclass(frozen=True)
class Mine(Uniform):
    """A method of one's own."""
    name = "mine"
'''


def test_a_class_of_ones_own_is_trusted_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("own_method.py").write_text(OWN)
    Path("config.yaml").write_text("method:\n  class_path: own_method.Mine\n")
    given = ["train", "--config", "config.yaml"]
    with pytest.raises(MMParetoError, match=r"is imported by --trust own_method\.Mine"):
        expand(given)
    assert "own_method" not in sys.modules
    assert expand([*given, "--trust", "own_method.Mine"]) == ["train", "--config=config.yaml"]
    sys.modules.pop("own_method")
    with pytest.raises(MMParetoError, match="`trust` should be the path of a class"):
        expand([*given, "--trust", "none.at.all"])


def test_columns_may_be_called_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"path": "a.csv", "types": {"age.years": "category"}, "tables": {"a.b": ["c.d"]}}
    section = {"class_path": "mmpareto.data.Manifest", "init_args": settings}
    Path("config.yaml").write_text(yaml.safe_dump({"data": section}))
    assert expand(["train", "--config", "config.yaml"]) == ["train", "--config=config.yaml"]
