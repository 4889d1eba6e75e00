"""Models are found under the names that LangChain uses, and never under somebody else's price."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from langgraph_guard.prices import GenaiPrices, Rates

AT = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


def _rates(model: str, provider: str | None, tier: str | None = None) -> Rates | None:
    return GenaiPrices().rates(model, provider, tier=tier, at=AT)


@pytest.mark.parametrize(
    ("model", "provider", "listed", "by"),
    [
        ("gemini-2.5-pro", "google_genai", "gemini-2.5-pro", "google"),
        ("models/gemini-2.5-pro", "google_genai", "gemini-2.5-pro", "google"),
        ("gemini-2.5-pro", "google_vertexai", "gemini-2.5-pro", "google"),
        ("claude-sonnet-4-5@20250929", "google_anthropic_vertex", "claude-sonnet-4-5", "google"),
        ("amazon.nova-pro-v1:0", "bedrock_converse", "amazon.nova-pro-v1:0", "aws"),
        ("amazon.nova-pro-v1:0", "amazon_bedrock", "amazon.nova-pro-v1:0", "aws"),
        ("grok-4", "xai", "grok-4", "x-ai"),
        ("mistral-large-latest", "mistralai", "mistral-large-latest", "mistral"),
        ("gpt-5", "azure", "gpt-5", "azure"),
        ("gpt-5", "azure_openai", "gpt-5", "azure"),
        ("gpt-5", "OpenAI", "gpt-5", "openai"),
        ("openai/gpt-5", "openai", "gpt-5", "openai"),
        ("openai/gpt-5", "openrouter", "openai/gpt-5", "openrouter"),
        ("openai/gpt-5", "litellm", "gpt-5", "openai"),
        ("openai:gpt-5", None, "gpt-5", "openai"),
        ("google_genai:gemini-2.5-pro", None, "gemini-2.5-pro", "google"),
        ("gpt-5", None, "gpt-5", "openai"),
        ("gpt-5-2025-08-07", "openai", "gpt-5", "openai"),
        ("gpt-5.5-2026-04-01", "openai", "gpt-5.5", "openai"),
        ("gpt-5.5-20260401", "openai", "gpt-5.5", "openai"),
        ("openai/gpt-5.5-2026-04-01", None, "gpt-5.5", "openai"),
    ],
)
def test_a_model_is_found_under_langchains_names(model: str, provider: str | None, listed: str, by: str) -> None:
    """A name that is not understood stops a run under a usd limit."""
    found = _rates(model, provider)
    assert found is not None
    assert found == _rates(listed, by)


def test_bedrocks_price_is_bedrocks() -> None:
    """A regional endpoint of a reseller costs a tenth more than the vendor."""
    regional = _rates("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock_converse")
    direct = _rates("claude-sonnet-4-5-20250929", "anthropic")
    assert regional is not None
    assert direct is not None
    assert regional.base.input > direct.base.input


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("no-such-model", "openai"),
        ("no-such-model", None),
        ("", "openai"),
        ("gpt-5", "no-such-provider"),
        ("llama3:8b", "ollama"),
        ("gpt-5", "ollama"),
        ("gpt-5", "anthropic"),
        ("anthropic/claude-sonnet-4-5", "openai"),
        ("whisper-1", "openai"),
        ("text-embedding-3-small", "openai"),
        ("gpt-5-", "openai"),
        ("openai/", None),
    ],
)
def test_what_is_not_known_has_no_price(model: str, provider: str | None) -> None:
    """No price is not a price of zero, and another provider's price is not this one's."""
    assert _rates(model, provider) is None


@pytest.mark.parametrize(
    "model",
    [
        "ft:gpt-4-0613:acme::x",
        "FT:gpt-4-0613:acme::x",
        "ft:gpt-4o:acme::x",
        "openai/ft:gpt-4-0613:acme::x",
        "gpt-4o-2024-08-06.ft-0123",
    ],
)
@pytest.mark.parametrize("provider", ["openai", "azure", None])
def test_a_fine_tuned_model_is_never_priced_as_its_base(model: str, provider: str | None) -> None:
    """Fine-tunes cost up to twice the base."""
    assert _rates(model, provider) is None


def test_a_fine_tuned_model_with_a_listed_price_has_that_price() -> None:
    """The list names fine-tunes of some bases, with their own price."""
    tuned, base = _rates("ft:gpt-4o-mini-2024-07-18:acme::x", "openai"), _rates("gpt-4o-mini", "openai")
    assert tuned is not None
    assert base is not None
    assert tuned.base.input == 2 * base.base.input


def test_azure_falls_back_to_openais_list() -> None:
    """Azure sells OpenAI's models at OpenAI's price, and its own list is short."""
    assert _rates("gpt-5.6-luna", "azure") == _rates("gpt-5.6-luna", "openai") is not None


@pytest.mark.parametrize(("tier", "factor"), [(None, 2), ("default", 2), ("flex", 1), ("priority", 4)])
def test_a_service_tier_has_its_own_price(tier: str | None, factor: int) -> None:
    """gpt-5 input: 0.625 flex, 1.25 standard, 2.50 priority."""
    found = _rates("gpt-5", "openai", tier)
    assert found is not None
    assert found.base.input == factor * 625 * 10**15


def test_a_price_follows_the_time_of_day() -> None:
    """Some vendors are cheaper at night: the same book must see the hour of each call."""
    book = GenaiPrices()
    night, day = (
        book.rates("deepseek-reasoner", "deepseek", at=datetime(2026, 11, 21, hour, tzinfo=UTC).timestamp())
        for hour in (20, 12)
    )
    assert night is not None
    assert day is not None
    assert night.base.output < day.base.output


def test_without_a_time_a_price_is_todays() -> None:
    """Who asks without a clock means now."""
    assert GenaiPrices().rates("gpt-4o-mini", "openai") is not None


def test_the_version_is_that_of_the_installed_list() -> None:
    """An audit recomputes a charge with the list it was made with."""
    from genai_prices import __version__

    assert GenaiPrices().version == f"genai-prices/{__version__}"
