"""Recordings of spoken digits paired with images of the same digit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.data._dataset import Batch, MultimodalDataset
from mmpareto.data.digits._coloured import Digits
from mmpareto.data.digits._fsdd import RATE, Recording
from mmpareto.errors import MMParetoError

_WINDOW, _HOP, _FRAMES = 128, 125, 64

_AUDIO_MEAN, _AUDIO_STD = -5.307, 2.103  # of the training part in the split by speaker
_IMAGE_MEAN, _IMAGE_STD = 0.1307, 0.3081  # of the training part of MNIST


def log_spectrogram(recordings: Sequence[Recording]) -> Tensor:
    """Normalized log spectrograms of one second each.

    Shorter recordings end in zeros, longer ones are cut. A Hann window of 16 ms every 15.6 ms; of
    its 65 frequencies, 62.5 Hz apart, the constant is left out. Amplitudes are those of samples in
    [-1, 1), plus 0.001 before the logarithm: what 16 bits cannot tell from silence.

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
    logarithms = (spectra[:, None, 1:].abs() + 1e-3).log()
    return ((logarithms - _AUDIO_MEAN) / _AUDIO_STD).contiguous()


@dataclass(frozen=True, eq=False)
class SpokenDigits(MultimodalDataset):
    """Modalities ``audio`` [1, 64, 64] and ``image`` [1, 28, 28] of the same digit.

    Args:
        recordings: Names of the R recordings.
        spectrograms: Tensor [R, 1, 64, 64]; pairs share them.
        recording: int64 [N], the recording of each pair.
        images: Tensor [N, 1, 28, 28].
        labels: int64 [N].
        ids: int64 [N], the number of each pair's image.
    """

    recordings: Sequence[str]
    spectrograms: Tensor
    recording: Tensor
    images: Tensor
    labels: Tensor
    ids: Tensor

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        inputs = {"audio": self.spectrograms[self.recording[index]], "image": self.images[index]}
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
        recordings: R recordings; each is in as many pairs as the others, or in one more.
        digits: Images and labels to draw from; each is in one pair, until all of its class are.
        numbers: int64, the number of each image.
        pairs: Number of pairs.
        noise: Standard deviation of what is added to the normalized images.
        seed: Seed of the pairs and of the noise. The pairs are the same whatever the noise.

    Raises:
        MMParetoError: If there is no recording or no image of a digit.
    """
    spoken = torch.tensor([recording.digit for recording in recordings], dtype=torch.int64)
    _check_every_digit("recordings", spoken)
    _check_every_digit("images", digits.labels)
    generator = torch.Generator().manual_seed(seed)
    rounds = range(-(-pairs // len(spoken)))
    orders = [torch.randperm(len(spoken), generator=generator) for _ in rounds]
    recording = torch.cat(orders)[:pairs]
    labels = spoken[recording]
    image = _images_of(labels, digits.labels, generator)
    clean = (digits.images[image].unsqueeze(1) / 255 - _IMAGE_MEAN) / _IMAGE_STD
    noisy = clean + noise * torch.randn(clean.shape, generator=generator)
    names = [item.name for item in recordings]
    spectrograms = log_spectrogram(recordings)
    return SpokenDigits(names, spectrograms, recording, noisy, labels, numbers[image])


def _check_every_digit(kind: str, labels: Tensor) -> None:
    missing = sorted(set(range(10)) - set(labels.tolist()))
    if missing:
        raise MMParetoError(
            f"There should be {kind} of every digit. Found none of {', '.join(map(str, missing))}."
        )


def _images_of(wanted: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """For each wanted digit an image of it, each used once until all of its class are.

    Args:
        wanted: int64 [N], digits.
        labels: Digits of the images.
        generator: Source of randomness.

    Returns:
        int64 [N], places of the images.
    """
    images = torch.empty_like(wanted)
    for digit in range(10):
        (known,) = (labels == digit).nonzero(as_tuple=True)
        (pairs,) = (wanted == digit).nonzero(as_tuple=True)
        order = known[torch.randperm(len(known), generator=generator)]
        images[pairs] = order[torch.arange(len(pairs)) % len(order)]
    return images
