"""The two encodings of OpenAI's models as data: where their tables come from, and how text is split before merging.

The figures are tiktoken's, and a test compares them. They stand here because tiktoken builds an encoding only
together with a fetch that has no timeout.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

EncodingName = Literal["o200k_base", "cl100k_base"]


@dataclass(frozen=True, slots=True)
class VocabularyFile:
    """A table of merges, one `base64 rank` per line."""

    url: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """What tiktoken, and packages that carry the file, call it."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class EncodingSpec:
    """All that `tiktoken.Encoding` wants to know."""

    name: EncodingName
    file: VocabularyFile
    pattern: str
    special_tokens: tuple[tuple[str, int], ...]


_HOST: Final = "https://openaipublic.blob.core.windows.net/encodings"

_BEFORE_A_WORD: Final = r"[^\r\n\p{L}\p{N}]?"
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION: Final = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

O200K: Final = EncodingSpec(
    name="o200k_base",
    file=VocabularyFile(
        url=f"{_HOST}/o200k_base.tiktoken",
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        size=3_613_922,
    ),
    pattern="|".join(
        [
            f"{_BEFORE_A_WORD}{_UPPER}*{_LOWER}+{_CONTRACTION}",
            f"{_BEFORE_A_WORD}{_UPPER}+{_LOWER}*{_CONTRACTION}",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    ),
    special_tokens=(("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)),
)

CL100K: Final = EncodingSpec(
    name="cl100k_base",
    file=VocabularyFile(
        url=f"{_HOST}/cl100k_base.tiktoken",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        size=1_681_126,
    ),
    pattern="|".join(
        [
            "'(?i:[sdmt]|ll|ve|re)",
            r"[^\r\n\p{L}\p{N}]?+\p{L}++",
            r"\p{N}{1,3}+",
            r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
            r"\s++$",
            r"\s*[\r\n]",
            r"\s+(?!\S)",
            r"\s",
        ]
    ),
    special_tokens=(
        ("<|endoftext|>", 100_257),
        ("<|fim_prefix|>", 100_258),
        ("<|fim_middle|>", 100_259),
        ("<|fim_suffix|>", 100_260),
        ("<|endofprompt|>", 100_276),
    ),
)

ENCODINGS: Final[dict[EncodingName, EncodingSpec]] = {spec.name: spec for spec in (O200K, CL100K)}
