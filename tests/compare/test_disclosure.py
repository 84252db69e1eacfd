"""What can be sent to anyone tells neither where it was made nor what is secret."""

from __future__ import annotations

import html
import json
import socket
import sys
from pathlib import Path

import pytest
import yaml

from compare.synthetic import write_comparison
from mmpareto.compare import write_report
from mmpareto.compare._disclosure import shareable, shareable_command
from mmpareto.compare._environment import environment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/my data/mnist.npz", ".../mnist.npz"),
        ("/home/me/data/", ".../data"),
        ("~/data/x", ".../x"),
        ("~me/data/x", ".../x"),
        ("C:\\Users\\me\\x.csv", ".../x.csv"),
        ("//server/share/x", ".../x"),
        ("file:///home/me/x.csv", ".../x.csv"),
        ("see '/home/me/x.csv', row 3: /q", "see '.../x.csv', row 3: .../q"),
        ("path=/a/b,/c/d", "path=.../b,.../d"),
        ("https://me:secret@host.org/x/y", "https://...@host.org/x/y"),
        ("api_key: abc", "api_key: ..."),
        ("failed with --wandb.token abc here", "failed with --wandb.token ... here"),
        ("process 3 on node17.cluster at work", "process 3 on ... at work"),
    ],
)
def test_paths_addresses_and_secrets_are_hidden(text: str, shown: str) -> None:
    assert shareable(text) == shown
    assert shareable(shown) == shown


@pytest.mark.parametrize(
    "text",
    ["a/b 1/2 and/or", "./runs/x ../y", "conflict_rate/audio", "Epoch 3 / 5", "a token of thanks",
     "https://example.org/a/b", "</script>", ""],
)  # fmt: skip
def test_other_text_stays(text: str) -> None:
    assert shareable(text) == text


def test_values_keep_their_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node-17")
    value = {"path": "/a/b", "token": 12, "password": None, "list": ["on node-17", 3, 0.5, None]}
    assert shareable(value) == {
        "path": ".../b", "token": "...", "password": None, "list": ["on ...", 3, 0.5, None],
    }  # fmt: skip


def test_a_command_tells_no_secret() -> None:
    arguments = ["mmpareto", "--data.root=/home/me/a b", "--hub_token", "abc", "--out", "/x/y", "z",
                 "--api-key=k", "PASSWORD=p"]  # fmt: skip
    assert shareable_command(arguments) == (
        "mmpareto '--data.root=.../a b' --hub_token ... --out .../y z --api-key=... PASSWORD=..."
    )


def test_report_and_environment_disclose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ["/home/alice", "alice", "hunter2", "node-17"]
    monkeypatch.setattr(socket, "gethostname", lambda: "node-17")
    command = ["/home/alice/bin/mmpareto", "compare", "--out", "/home/alice/x", "--token=hunter2"]
    monkeypatch.setattr(
        sys, "argv", [*command, "--url", "http://alice:hunter2@node-17/", "~alice/x"]
    )
    write_comparison(tmp_path)
    found = environment()
    (tmp_path / "environment.json").write_text(json.dumps(found))
    config = {"data": {"init_args": {"path": "/home/alice/my files/p.csv", "token": "hunter2"}}}
    config |= {"epochs": 3, "notes": ["read from /home/alice/p.csv on node-17"]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    failure = {"method": "mgda", "seed": 3, "error": "OSError: /home/alice/p.csv on node-17"}
    (tmp_path / "failures.json").write_text(json.dumps([failure]))
    page = write_report(tmp_path).read_text()
    for secret in secrets:
        assert secret not in page
        assert secret not in json.dumps(found)
    assert "path: '.../p.csv'" in html.unescape(page)
    assert str(tmp_path) not in page
