"""Files decoded for one use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmpareto.data.caching._decoding import Decoder, DecodingFailure, Source, attempt


class Uncached:
    """What became of sources, as `Cache` has it, in memory.

    Args:
        sources: Files to decode.
        decoder: What decodes them.
    """

    def __init__(self, sources: Sequence[Source], decoder: Decoder) -> None:
        self.damaged: dict[int, str] = {}
        self._items: list[np.ndarray | None] = []
        for number, source in enumerate(sources):
            outcome = attempt(decoder, source.path)
            if isinstance(outcome, DecodingFailure):
                self.damaged[number] = outcome.reason
                self._items.append(None)
            else:
                self._items.append(outcome)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> np.ndarray | None:
        return self._items[number]
