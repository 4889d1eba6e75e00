"""Prices from a file in LiteLLM's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.errors import ConfigError, InvalidAmount
from langgraph_guard.prices import GenaiPrices, LiteLLMPrices, Price, Rates, Usage, price_book
from langgraph_guard.prices.litellm.file import MOST_BYTES

FILE = Path(__file__).with_name("litellm_prices.json")
BOOK = LiteLLMPrices(FILE)
AT = 1_795_000_000.0


def _rates(model: str, provider: str | None, tier: str | None = None, book: LiteLLMPrices = BOOK) -> Rates:
    rates = book.rates(model, provider, tier=tier)
    assert rates is not None
    return rates


def _book(path: Path, listed: Any) -> LiteLLMPrices:
    file = path / "prices.json"
    file.write_text(listed if isinstance(listed, str) else json.dumps(listed))
    return LiteLLMPrices(file)


SAME = [
    ("gpt-4o-mini", "openai"),
    ("gpt-4o-mini-2024-07-18", "openai"),
    ("gpt-5", "openai"),
    ("gpt-5.5", "openai"),
    ("claude-haiku-4-5-20251001", "anthropic"),
    ("models/gemini-2.5-pro", "google_genai"),
    ("gemini-2.5-pro", "google_vertexai"),
    ("gpt-4o", "azure"),
    ("groq/llama-3.3-70b-versatile", None),
    ("llama-3.3-70b-versatile", "groq"),
]


@pytest.mark.parametrize(("model", "provider"), SAME)
def test_two_lists_of_the_same_prices_cost_the_same(model: str, provider: str | None) -> None:
    """The file's prices are the vendors', read into the same arithmetic."""
    ours, theirs = _rates(model, provider), GenaiPrices().rates(model, provider, at=AT)
    assert theirs is not None
    for usage in (Usage(1_001, 77), Usage(300_000, 5_000, cache_read_tokens=90_000, reasoning_tokens=400)):
        assert ours.cost(usage) == theirs.cost(usage)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_service_tiers_have_their_own_prices(tier: str) -> None:
    """gpt-5: half the price for flex, twice the price for priority, cache reads included."""
    factor = {"flex": 0.5, "priority": 2}[tier]
    usage = Usage(10_000, 1_000, cache_read_tokens=4_000)
    assert _rates("gpt-5", "openai", tier).cost(usage) == factor * _rates("gpt-5", "openai").cost(usage)


def test_a_tier_costs_the_standard_price_where_it_has_none() -> None:
    """A tier that the file does not know is not free."""
    assert _rates("claude-haiku-4-5-20251001", "anthropic", "priority") == _rates("claude-haiku-4-5", "anthropic")


@pytest.mark.parametrize(("tier", "input", "output"), [("priority", 25, 75), ("flex", 10, 45)])
def test_a_tier_in_a_long_context_is_not_cheaper_than_either(tier: str, input: float, output: float) -> None:
    """gpt-5.5: the file names the two together for priority's input alone; elsewhere the dearer of both counts."""
    assert _rates("gpt-5.5", "openai", tier).cost(Usage(300_000, 100)) == 300_000 * input + 100 * output


def test_a_long_context_changes_the_price_of_each_kind() -> None:
    """claude-sonnet-4-5 above 200,000 tokens: input 6, cached 0.60, writes 7.50 and 12, output 22.50."""
    usage = Usage(300_000, 100, cache_read_tokens=50_000, cache_write_tokens=30_000, cache_write_1h_tokens=10_000)
    expected = 220_000 * 6 + 50_000 * 0.6 + 20_000 * 7.5 + 10_000 * 12 + 100 * 22.5
    assert _rates("claude-sonnet-4-5", "anthropic").cost(usage) == expected


def test_prices_by_range_are_tiers() -> None:
    """`tiered_pricing` says the same in another way."""
    rates = _rates("qwen-plus-2025-07-28", "dashscope")
    assert rates.cost(Usage(256_000, 10, reasoning_tokens=5)) == 256_000 * 0.4 + 5 * 1.2 + 5 * 4
    assert rates.cost(Usage(256_005, 10, reasoning_tokens=5)) == 256_005 * 1.2 + 5 * 3.6 + 5 * 12


def test_audio_and_requests_have_their_prices() -> None:
    """Audio is 16 times text; some searches cost by the request."""
    audio = Usage(1_000, 500, input_audio_tokens=600, output_audio_tokens=400)
    assert _rates("gpt-4o-audio-preview", "openai").cost(audio) == 400 * 2.5 + 600 * 40 + 100 * 10 + 400 * 80
    assert _rates("sonar-small-online", "perplexity").cost(Usage(100, 100)) == 5_000 + 28


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("nope", "openai"),
        ("gpt-4o", "anthropic"),
        ("claude-haiku-4-5", "openai"),
        ("text-only-input", "openai"),
        ("sample_spec", None),
        ("", "openai"),
    ],
)
def test_what_the_file_does_not_price_has_no_rates(model: str, provider: str | None) -> None:
    """Another vendor's model of that name, an entry with half a price, the format's own specimen."""
    assert BOOK.rates(model, provider) is None


def test_a_fine_tune_has_the_price_of_fine_tunes() -> None:
    """Never that of its base."""
    assert _rates("ft:gpt-4o-2024-08-06:my-org::id", "openai").cost(Usage(1_000, 0)) == 3_750
    assert BOOK.rates("ft:gpt-5:my-org::id", "openai") is None


def test_an_older_name_of_the_cache_price_is_read(tmp_path: Path) -> None:
    """Where both stand, the newer one counts."""
    old = {"input_cost_per_token": 2e-6, "output_cost_per_token": 4e-6, "input_cost_per_token_cache_hit": 1e-6}
    book = _book(tmp_path, {"old": old, "both": {**old, "cache_read_input_token_cost": 5e-7}})
    usage = Usage(100, 0, cache_read_tokens=100)
    assert [_rates(name, None, book=book).cost(usage) for name in ("old", "both")] == [100, 50]


def test_a_price_is_what_is_written(tmp_path: Path) -> None:
    """1e-7 as a float is a little more than a tenth of a millionth."""
    book = _book(tmp_path, '{"m": {"input_cost_per_token": 1E-7, "output_cost_per_token": "0.0000006"}}')
    assert _rates("m", None, book=book).base == Price("0.1", "0.6").rates().base


def test_the_version_is_the_file(tmp_path: Path) -> None:
    """A charge can be recomputed from the file that made it. The form is stored, so it is pinned."""
    assert _book(tmp_path, "{}").version == "litellm/44136fa355b3"


def test_changing_the_file_afterwards_changes_nothing(tmp_path: Path) -> None:
    """A version that was recorded has to keep its meaning."""
    book = _book(tmp_path, {"m": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}})
    (tmp_path / "prices.json").write_text("{}")
    assert _rates("m", None, book=book).cost(Usage(7)) == 7


def test_it_goes_with_a_table_and_a_policy() -> None:
    """One's own contract first, the file second, the dearest of the file for the rest."""
    book = price_book({"gpt-4o-mini": Price(1, 1)}, BOOK, unknown="assume")
    mine, listed, assumed = (book.rates(model, "openai") for model in ("gpt-4o-mini", "gpt-5", "frontier-9"))
    assert None not in (mine, listed, assumed)
    assert [rates.basis for rates in (mine, listed, assumed)] == ["own", "listed", "assumed"]
    assert assumed.cost(Usage(1_000, 1_000)) >= listed.cost(Usage(1_000, 1_000))


# Bad input

PRICED = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1, column 1"),
        ('{"gpt-4o": {"input_cost_per_token": 2.5e-06,', "line 1"),
        ("{\n'a': 1}", "line 2, column 1"),
        ("[]", "holds a list"),
        ("[" * 100_000, "RecursionError"),
        ("<html>404: Not Found</html>", "line 1"),
    ],
)
def test_a_file_that_is_no_price_list_is_refused_with_the_place(tmp_path: Path, text: str, says: str) -> None:
    """Half a download, an error page, another file."""
    with pytest.raises(ConfigError, match=says) as caught:
        _book(tmp_path, text)
    assert caught.value.field == "path"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Somebody passed the archive."""
    (tmp_path / "prices.json").write_bytes(b"\x1f\x8b\x08\xff\xfe")
    with pytest.raises(ConfigError, match="not JSON"):
        LiteLLMPrices(tmp_path / "prices.json")


@pytest.mark.parametrize("path", ["missing.json", ".", "\0"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, path: str) -> None:
    """When the graph is built, and not at the first call."""
    with pytest.raises(ConfigError, match="cannot be read"):
        LiteLLMPrices(str(tmp_path / path))


def test_a_file_beyond_reason_is_not_read(tmp_path: Path) -> None:
    """Memory is for other things."""
    with (tmp_path / "prices.json").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ConfigError, match="more than"):
        LiteLLMPrices(tmp_path / "prices.json")


@pytest.mark.parametrize("key", ["input_cost_per_token", "cache_read_input_token_cost_above_200k_tokens_priority"])
@pytest.mark.parametrize("bad", ["-1", "NaN", "Infinity", "1e999999", "2", '"a secret"', "true", "[1]", "{}"])
def test_a_price_that_is_none_is_refused_by_model_and_key(tmp_path: Path, key: str, bad: str) -> None:
    """One wrong price among four thousand: where it is, and not what it says."""
    with pytest.raises(InvalidAmount) as caught:
        _book(tmp_path, f'{{"gpt-9": {{"{key}": {bad}}}}}')
    assert caught.value.field == f"prices['gpt-9'].{key}"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("listed", "field"),
    [
        ([], "prices['m']"),
        ({**PRICED, "tiered_pricing": {}}, "prices['m'].tiered_pricing"),
        ({**PRICED, "tiered_pricing": [3]}, "prices['m'].tiered_pricing"),
        ({**PRICED, "tiered_pricing": [PRICED]}, "prices['m'].tiered_pricing[0].range"),
        ({**PRICED, "tiered_pricing": [{**PRICED, "range": [-1, 5]}]}, "prices['m'].tiered_pricing[0].range"),
    ],
)
def test_an_entry_of_another_shape_is_refused_by_name(tmp_path: Path, listed: Any, field: str) -> None:
    """What is not understood is not guessed."""
    with pytest.raises(ConfigError) as caught:
        _book(tmp_path, {"m": listed})
    assert caught.value.field == field


unknown_keys = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.none())
)


@given(unknown_keys)
def test_keys_that_are_not_understood_change_nothing(tmp_path_factory: Any, more: dict[str, Any]) -> None:
    """The format grows every week."""
    book = _book(tmp_path_factory.mktemp("prices"), {"m": {**more, **PRICED, "mode": None, "tiered_pricing": None}})
    assert _rates("m", None, book=book).cost(Usage(3, 4)) == 7
