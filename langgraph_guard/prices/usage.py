"""What one model call consumed, read from LangChain's `usage_metadata`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from langgraph_guard.errors import InvalidAmount

MOST_TOKENS: Final = 10**9
"""The largest count that is believed; with it, the cost of a call stays below 2^53 micro-USD at any valid price."""

TIERS: Final = ("priority", "flex")
"""Service tiers that langchain-openai writes into the keys of the details."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call. `input_tokens` and `output_tokens` are totals, the other counts are parts of them.

    `cache_write_tokens` holds the 1 h writes too, `cache_audio_read_tokens` are part of both cache reads and audio.
    Counts that are not whole numbers from 0 to a billion raise `InvalidAmount`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cache_audio_read_tokens: int = 0
    reasoning_tokens: int = 0
    tier: str | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            checked(f"usage.{name}", getattr(self, name))

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @classmethod
    def from_metadata(cls, usage_metadata: Mapping[str, Any] | None) -> Usage | None:
        """The usage that a message reports; `None` when it reports none, or half of it.

        `input_tokens` includes cached tokens for every vendor, and reasoning is part of `output_tokens`. Anthropic's
        writes come split by lifetime, with `cache_creation` at 0; OpenAI's keys carry the service tier as a prefix.
        """
        if usage_metadata is None:
            return None
        told = _mapping("usage_metadata", usage_metadata)
        if told.get("input_tokens") is None or told.get("output_tokens") is None:
            return None
        tier = _tier(told)
        inputs = _Details(told, "input_token_details", tier)
        outputs = _Details(told, "output_token_details", tier)
        one_hour = inputs["ephemeral_1h_input_tokens"]
        return cls(
            input_tokens=checked("usage_metadata.input_tokens", told["input_tokens"]),
            output_tokens=checked("usage_metadata.output_tokens", told["output_tokens"]),
            cache_read_tokens=inputs["cache_read"],
            cache_write_tokens=max(inputs["cache_creation"], inputs["ephemeral_5m_input_tokens"] + one_hour),
            cache_write_1h_tokens=one_hour,
            input_audio_tokens=inputs["audio"],
            output_audio_tokens=outputs["audio"],
            reasoning_tokens=outputs["reasoning"],
            tier=tier,
        )


_COUNTS: Final = tuple(field.name for field in fields(Usage) if field.name != "tier")


class _Details:
    """One side's breakdown: a key's count, with the tier's prefix or without, 0 when it is not reported."""

    def __init__(self, metadata: Mapping[str, Any], side: str, tier: str | None) -> None:
        self.field = f"usage_metadata.{side}"
        self.counts = _breakdown(metadata, side)
        self.tier = tier

    def __getitem__(self, key: str) -> int:
        return self._count(key) or (self._count(f"{self.tier}_{key}") if self.tier else 0)

    def _count(self, key: str) -> int:
        value = self.counts.get(key)
        return 0 if value is None else checked(f"{self.field}.{key}", value)


def _breakdown(metadata: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    counts = metadata.get(side)
    return {} if counts is None else _mapping(f"usage_metadata.{side}", counts)


def _tier(metadata: Mapping[str, Any]) -> str | None:
    """The service tier that the keys name: `flex`, `flex_cache_read`, …"""
    keys = [*_breakdown(metadata, "input_token_details"), *_breakdown(metadata, "output_token_details")]
    return next((tier for tier in TIERS if any(key == tier or str(key).startswith(f"{tier}_") for key in keys)), None)


def checked(field: str, count: object) -> int:
    """`count`, if it is one. Raises `InvalidAmount` that tells the kind of the value, not the value."""
    if type(count) is int and 0 <= count <= MOST_TOKENS:
        return count
    raise InvalidAmount(field, f"must be a whole number of tokens from 0 to {MOST_TOKENS}, got {_kind(count)}")


def _kind(count: object) -> str:
    if type(count) is not int:
        return type(count).__name__
    return "a negative int" if count < 0 else "a larger int"


def _mapping(field: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise InvalidAmount(field, f"must be a mapping of token counts, got {type(value).__name__}")
