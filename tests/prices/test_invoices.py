"""Calls as LangChain reports them cost what a person computes from the vendors' price lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

import pytest
from anthropic.types import Usage as AnthropicUsage
from langchain_anthropic.chat_models import _create_usage_metadata as from_anthropic
from langchain_openai.chat_models.base import _create_usage_metadata as from_openai

from langgraph_guard.prices import GenaiPrices, Usage

AT = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Invoice:
    """`micro_usd` is written as tokens × USD per million, which is the same figure in micro-USD."""

    provider: str
    model: str
    metadata: dict[str, Any]
    micro_usd: float


INVOICES = {
    # gpt-4o: input 2.50, cached 1.25, output 10
    "openai cached": Invoice(
        "openai",
        "gpt-4o-2024-08-06",
        {
            "input_tokens": 10_000,
            "output_tokens": 500,
            "total_tokens": 10_500,
            "input_token_details": {"audio": 0, "cache_read": 8_000},
            "output_token_details": {"audio": 0, "reasoning": 0},
        },
        2_000 * 2.50 + 8_000 * 1.25 + 500 * 10,
    ),
    # o4-mini: input 1.10, output 4.40; reasoning is part of the output and costs the same
    "openai reasoning": Invoice(
        "openai",
        "o4-mini",
        {
            "input_tokens": 1_000,
            "output_tokens": 3_000,
            "total_tokens": 4_000,
            "input_token_details": {"cache_read": 0},
            "output_token_details": {"reasoning": 2_500},
        },
        1_000 * 1.10 + 3_000 * 4.40,
    ),
    # gpt-5 flex: input 0.625, cached 0.0625, output 5; 14,000.625 µ$ are charged as 14,001
    "openai flex": Invoice(
        "openai",
        "gpt-5",
        {
            "input_tokens": 10_001,
            "output_tokens": 2_000,
            "total_tokens": 12_001,
            "input_token_details": {"flex_cache_read": 4_000, "flex": 6_001},
            "output_token_details": {"flex_reasoning": 1_500, "flex": 500},
        },
        6_001 * 0.625 + 4_000 * 0.0625 + 2_000 * 5,
    ),
    # gpt-5.5 above 272,000 input tokens: input 10, cached 1, output 45 for all tokens, not for those above alone
    "openai long context": Invoice(
        "openai",
        "gpt-5.5",
        {
            "input_tokens": 300_000,
            "output_tokens": 1_000,
            "total_tokens": 301_000,
            "input_token_details": {"cache_read": 100_000},
            "output_token_details": {"reasoning": 200},
        },
        200_000 * 10 + 100_000 * 1 + 1_000 * 45,
    ),
    # gpt-5.6-luna: input 0.20, cached 0.02, cache write 0.25, output 1.20
    "openai cache write": Invoice(
        "openai",
        "gpt-5.6-luna",
        {
            "input_tokens": 20_000,
            "output_tokens": 400,
            "total_tokens": 20_400,
            "input_token_details": {"cache_read": 6_000, "cache_creation": 9_000},
            "output_token_details": {},
        },
        5_000 * 0.20 + 6_000 * 0.02 + 9_000 * 0.25 + 400 * 1.20,
    ),
    # claude-sonnet-4-5: input 3, cached 0.30, 5 min write 3.75, 1 h write 6, output 15
    "anthropic writes for 5 minutes and 1 hour": Invoice(
        "anthropic",
        "claude-sonnet-4-5-20250929",
        {
            "input_tokens": 17_100,
            "output_tokens": 900,
            "total_tokens": 18_000,
            "input_token_details": {
                "cache_read": 10_000,
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 4_000,
                "ephemeral_1h_input_tokens": 3_000,
            },
        },
        100 * 3 + 10_000 * 0.30 + 4_000 * 3.75 + 3_000 * 6 + 900 * 15,
    ),
    # gemini-2.5-pro above 200,000 input tokens: input 2.50, cached 0.25, output 15
    "gemini long context": Invoice(
        "google_genai",
        "gemini-2.5-pro",
        {
            "input_tokens": 250_000,
            "output_tokens": 2_000,
            "total_tokens": 252_000,
            "input_token_details": {"cache_read": 50_000},
            "output_token_details": {"reasoning": 1_200},
        },
        200_000 * 2.50 + 50_000 * 0.25 + 2_000 * 15,
    ),
}

OPENAI_SAYS: dict[str, tuple[dict[str, Any], str | None]] = {
    "openai cached": (
        {
            "prompt_tokens": 10_000,
            "completion_tokens": 500,
            "total_tokens": 10_500,
            "prompt_tokens_details": {"cached_tokens": 8_000, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "default",
    ),
    "openai flex": (
        {
            "prompt_tokens": 10_001,
            "completion_tokens": 2_000,
            "total_tokens": 12_001,
            "prompt_tokens_details": {"cached_tokens": 4_000},
            "completion_tokens_details": {"reasoning_tokens": 1_500},
        },
        "flex",
    ),
    "openai cache write": (
        {
            "prompt_tokens": 20_000,
            "completion_tokens": 400,
            "total_tokens": 20_400,
            "prompt_tokens_details": {"cached_tokens": 6_000, "cache_write_tokens": 9_000},
        },
        None,
    ),
}

ANTHROPIC_SAYS = {
    "input_tokens": 100,
    "output_tokens": 900,
    "cache_read_input_tokens": 10_000,
    "cache_creation_input_tokens": 7_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 4_000, "ephemeral_1h_input_tokens": 3_000},
}


def _usage_of(metadata: dict[str, Any]) -> Usage:
    usage = Usage.from_metadata(metadata)
    assert usage is not None
    return usage


def _cost(invoice: Invoice) -> int:
    usage = _usage_of(invoice.metadata)
    rates = GenaiPrices().rates(invoice.model, invoice.provider, tier=usage.tier, at=AT)
    assert rates is not None
    return rates.cost(usage)


@pytest.mark.parametrize("name", INVOICES)
def test_a_call_costs_what_a_person_computes_from_the_price_list(name: str) -> None:
    """A budget is worth what its arithmetic is; without the cache's prices alone it is off by a factor of two."""
    assert _cost(INVOICES[name]) == ceil(round(INVOICES[name].micro_usd, 6))


@pytest.mark.parametrize("name", OPENAI_SAYS)
def test_the_openai_invoices_are_what_langchain_reports(name: str) -> None:
    """Figures in a shape that no integration writes would prove nothing."""
    said, tier = OPENAI_SAYS[name]
    assert from_openai(said, tier) == INVOICES[name].metadata


def test_the_anthropic_invoice_is_what_langchain_reports() -> None:
    """LangChain sets `cache_creation` to 0 beside the split: reading it alone would charge a fifth too little."""
    said = from_anthropic(AnthropicUsage.model_validate(ANTHROPIC_SAYS))
    assert said == INVOICES["anthropic writes for 5 minutes and 1 hour"].metadata
