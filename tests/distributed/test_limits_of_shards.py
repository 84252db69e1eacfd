"""What sharded parameters cannot have, refused in the first step."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.distributed.fsdp import fully_shard

import mmpareto as mp
from distributed.launch import on_ranks
from networks import LateFusion

CASES = {
    "every": "should not be sharded for a geometry with `probe` or `every`",
    "probe": "should not be sharded for a geometry with `probe` or `every`",
    "hooks": "should have no hooks that wait for a gradient",
}


def refusals(rank: int) -> dict[str, str]:
    found = {}
    for case in CASES:
        model = LateFusion("audio", "visual", dtype=torch.float32)
        for encoder in model.encoders.values():
            fully_shard(encoder)
        probe = {"audio": model.encoders["audio"][2]} if case == "probe" else None
        geometry = mp.Geometry(every=2 if case == "every" else 1, probe=probe)
        partition, parameters = model.partition, list(model.parameters())
        if case == "hooks":
            parameters[0].register_post_accumulate_grad_hook(lambda parameter: None)
        batch = model.batch(rank)
        feature = model.encoders["audio"](batch["audio"])
        try:
            mp.backward({"audio": feature.mean()}, partition, mp.MMPareto(), geometry=geometry)
        except mp.MMParetoError as error:
            found[case] = str(error)
        if any(parameter.grad is not None for parameter in parameters):
            found[case] = "changed"
    return found


def test_refused_in_the_first_step(tmp_path: Path) -> None:
    for found in on_ranks(tmp_path, refusals):
        assert found.keys() == CASES.keys()
        for case, message in found.items():
            assert CASES[case] in message
