"""Recordings of spoken digits paired with images of the same digit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.data._recipe import Batch, MultimodalDataset
from mmpareto.data.digits._coloured import Digits
from mmpareto.data.digits._fsdd import RATE, Recording
from mmpareto.errors import MMParetoError

_WINDOW, _HOP, _FRAMES = 128, 125, 64

# Of the training part in the split by speaker, and of MNIST's.
_AUDIO_MEAN, _AUDIO_STD = -5.307, 2.103
_IMAGE_MEAN, _IMAGE_STD = 0.1307, 0.3081


def log_spectrogram(recordings: Sequence[Recording]) -> Tensor:
    """Normalized log spectrograms of one second each: shorter recordings end in zeros, longer ones are cut.

    A Hann window of 16 ms every 15.6 ms; of its 65 frequencies, 62.5 Hz apart, the constant is left
    out. Amplitudes are those of samples in [-1, 1), plus 0.001 before the logarithm: what 16 bits
    cannot tell from silence.

    Args:
        recordings: R recordings.

    Returns:
        Tensor [R, 1, 64, 64]: frequencies, times.
    """
    sounds = torch.zeros(len(recordings), _WINDOW + _HOP * (_FRAMES - 1))
    for row, recording in zip(sounds, recordings, strict=True):
        samples = torch.tensor(recording.samples[:RATE])
        row[: len(samples)] = samples / 32_768
    window = torch.hann_window(_WINDOW)
    spectra = torch.stft(sounds, _WINDOW, _HOP, window=window, center=False, return_complex=True)
    return (((spectra[:, None, 1:].abs() + 1e-3).log() - _AUDIO_MEAN) / _AUDIO_STD).contiguous()


@dataclass(frozen=True, eq=False)
class SpokenDigits(MultimodalDataset):
    """Modalities ``audio`` [1, 64, 64] and ``image`` [1, 28, 28] of the same digit.

    Args:
        recordings: Names of the R recordings.
        spectrograms: Tensor [R, 1, 64, 64]; pairs share them.
        chosen: int64 [N], the recording of each pair.
        images: Tensor [N, 1, 28, 28].
        labels: int64 [N].
        ids: int64 [N], the number of each pair's image.
    """

    recordings: Sequence[str]
    spectrograms: Tensor
    chosen: Tensor
    images: Tensor
    labels: Tensor
    ids: Tensor

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        inputs = {"audio": self.spectrograms[self.chosen[index]], "image": self.images[index]}
        return {"inputs": inputs, "label": self.labels[index], "id": self.ids[index]}

    def __len__(self) -> int:
        return len(self.labels)


def paired(
    recordings: Sequence[Recording],
    digits: Digits,
    numbers: Tensor,
    *,
    pairs: int,
    noise: float,
    seed: int,
) -> SpokenDigits:
    """Draws pairs.

    Args:
        recordings: R recordings; each is in as many pairs as the others, give or take one.
        digits: Images and labels to draw from; each is in one pair, until all of its class are.
        numbers: int64, the number of each image.
        pairs: How many.
        noise: Standard deviation of what is added to the normalized images.
        seed: Of the pairs and of the noise. The pairs are the same whatever the noise.

    Raises:
        MMParetoError: If there is no recording or no image of a digit.
    """
    spoken = torch.tensor([recording.digit for recording in recordings], dtype=torch.int64)
    for what, labels in (("recordings", spoken), ("images", digits.labels)):
        if missing := sorted(set(range(10)) - set(labels.tolist())):
            raise MMParetoError(
                f"There should be {what} of every digit. Found none of "
                f"{', '.join(map(str, missing))}."
            )
    generator = torch.Generator().manual_seed(seed)
    rounds = range(-(-pairs // len(spoken)))
    chosen = torch.cat([torch.randperm(len(spoken), generator=generator) for _ in rounds])[:pairs]
    image = torch.empty_like(chosen)
    for digit in range(10):
        (known,), (wanted,) = (
            (labels == digit).nonzero(as_tuple=True) for labels in (digits.labels, spoken[chosen])
        )
        order = known[torch.randperm(len(known), generator=generator)]
        image[wanted] = order[torch.arange(len(wanted)) % len(order)]
    clean = (digits.images[image].unsqueeze(1) / 255 - _IMAGE_MEAN) / _IMAGE_STD
    noisy = clean + noise * torch.randn(clean.shape, generator=generator)
    names = [recording.name for recording in recordings]
    return SpokenDigits(
        names, log_spectrogram(recordings), chosen, noisy, spoken[chosen], numbers[image]
    )
