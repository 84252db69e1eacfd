"""Files in the place of others are called what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpareto.data.caching._decoding import Decoder, DecodingFailure, attempt
from mmpareto.data.media._audio import SpectrogramDecoder
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._video import VideoDecoder

DECODERS = (VideoDecoder(1.0, 32), SpectrogramDecoder(16000, 1.0), ImageDecoder(32))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\n", "git lfs pull"),
        ("\n<!DOCTYPE html><html>", "is a web page"),
        ("", "is empty"),
    ],
)
def test_what_is_there_in_place_of_a_file_is_said(
    decoder: Decoder, text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(text)
    outcome = attempt(decoder, tmp_path / "file")
    assert isinstance(outcome, DecodingFailure)
    assert said in outcome.reason
    assert not outcome.temporary
