"""Text as token numbers: hashed character trigrams, or a tokenizer's tokens."""

from __future__ import annotations

import unicodedata
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mmpareto.errors import MMParetoError


class Tokens(ABC):
    """How text becomes numbers.

    Attributes:
        vocabulary: Number of different tokens, that of 0 (none) included.
    """

    vocabulary: int

    @abstractmethod
    def numbers(self, text: str) -> list[int]:
        """The tokens of a text, each at least 1."""


@dataclass(frozen=True)
class Trigrams(Tokens):
    """One token for each three characters in a row, which needs no vocabulary and no language.

    Case and forms of writing the same character are levelled, white space becomes one space, and a
    space is put around the whole. A token is the trigram's CRC-32, so different trigrams can share
    one.

    Args:
        vocabulary: See `Tokens`.

    Example:
        >>> Trigrams().numbers("Good  day") == Trigrams().numbers("good day")
        True
        >>> len(Trigrams().numbers("good day"))
        8
    """

    vocabulary: int = 4096

    def numbers(self, text: str) -> list[int]:
        """The tokens of a text; one for each of its characters."""
        level = f" {' '.join(unicodedata.normalize('NFKC', text).casefold().split())} "
        grams = [level[start : start + 3].encode() for start in range(len(level) - 2)]
        return [zlib.crc32(gram) % (self.vocabulary - 1) + 1 for gram in grams]


@dataclass(frozen=True, eq=False)
class Pretrained(Tokens):
    """The tokens of a tokenizer in Hugging Face's format.

    Its numbers are raised by one, for tokenizers differ in what 0 is.

    Args:
        definition: All of the tokenizer, as its file ``tokenizer.json`` has it.

    Raises:
        MMParetoError: If it is none.
    """

    definition: str = field(repr=False)

    def __post_init__(self) -> None:
        assert self.tokenizer is not None

    @classmethod
    def named(cls, name: str) -> Pretrained:
        """The tokens of a tokenizer from files on this machine, none of which is a program.

        Args:
            name: Folder of the tokenizer, or the name of one that has been downloaded before.

        Raises:
            MMParetoError: If there is no such tokenizer.
        """
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise _not_installed("transformers") from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                name, local_files_only=True, trust_remote_code=False
            )
            return cls(tokenizer.backend_tokenizer.to_str())
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise MMParetoError(
                "Parameter `data.tokenizer` should be a folder with a fast tokenizer, or the name "
                f"of one downloaded before. Found '{name}': {' '.join(str(error).split())}"
            ) from error

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer itself, which neither cuts nor fills up."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise _not_installed("tokenizers") from error
        try:
            tokenizer = Tokenizer.from_str(self.definition)
        except Exception as error:  # the one type that it raises
            raise MMParetoError(f"A tokenizer should be one. Found: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @property
    def vocabulary(self) -> int:  # type: ignore[override]
        """See `Tokens`."""
        return int(self.tokenizer.get_vocab_size()) + 1

    def numbers(self, text: str) -> list[int]:
        """The tokens of a text, with those that the tokenizer puts around it."""
        return [number + 1 for number in self.tokenizer.encode(text).ids]


def _not_installed(package: str) -> MMParetoError:
    install = "pip install 'mmpareto[encoders]'"
    return MMParetoError(f"Parameter `data.tokenizer` needs {package}. Run: {install}")


def make_tokens(tokenizer: str | None) -> Trigrams | Pretrained:
    """The tokens of a tokenizer, or trigrams for None."""
    return Trigrams() if tokenizer is None else Pretrained.named(tokenizer)


def token_tensor(texts: Sequence[str], tokens: Tokens, length: int) -> Tensor:
    """Texts as int64 [N, length]; what is longer is cut, what is shorter filled up with 0."""
    filled = torch.zeros(len(texts), length, dtype=torch.int64)
    for row, text in enumerate(texts):
        numbers = tokens.numbers(text)[:length]
        filled[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
    return filled
