"""`Usage.from_metadata` reads what integrations report, and refuses what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.errors import InvalidAmount
from langgraph_guard.prices import Usage
from langgraph_guard.prices.usage import MOST_TOKENS

BAD_COUNTS = [-1, True, 1.5, float("nan"), float("inf"), "12 secret words", [12], 10**30]


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"total_tokens": 9},
        {"output_tokens": 9},
        {"input_tokens": 9},
        {"input_tokens": 9, "output_tokens": None},
    ],
)
def test_no_usage_is_not_zero_usage(metadata: dict[str, Any] | None) -> None:
    """A stream without usage was billed all the same: what is not measured must not be counted as free."""
    assert Usage.from_metadata(metadata) is None


def test_reported_zeros_are_usage() -> None:
    """A report of nothing is a report."""
    assert Usage.from_metadata({"input_tokens": 0, "output_tokens": 0}) == Usage()


def test_missing_and_empty_details_count_as_zero() -> None:
    """Integrations leave details out, or set them to None, when a vendor does not send them."""
    plain = {"input_tokens": 7, "output_tokens": 3}
    details = {"input_token_details": None, "output_token_details": {"reasoning": None}}
    assert Usage.from_metadata({**plain, **details}) == Usage.from_metadata(plain) == Usage(7, 3)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_the_service_tier_is_read_from_the_keys(tier: str) -> None:
    """Priority costs up to 2.5 times the standard price, and the keys are where LangChain puts it."""
    usage = Usage.from_metadata(
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "input_token_details": {f"{tier}_cache_read": 40, f"{tier}_cache_creation": 10, tier: 60},
            "output_token_details": {f"{tier}_reasoning": 20, tier: 30},
        }
    )
    expected = Usage(100, 50, cache_read_tokens=40, cache_write_tokens=10, reasoning_tokens=20, tier=tier)
    assert usage == expected


def test_writes_that_are_split_and_summed_count_once() -> None:
    """An integration that reports the sum beside the split means the same tokens."""
    details = {"cache_creation": 70, "ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 30}
    usage = Usage.from_metadata({"input_tokens": 100, "output_tokens": 1, "input_token_details": details})
    assert usage == Usage(100, 1, cache_write_tokens=70, cache_write_1h_tokens=30)


def test_audio_counts_on_both_sides() -> None:
    """Audio tokens cost up to sixteen times what text does."""
    metadata = {
        "input_tokens": 9,
        "output_tokens": 8,
        "input_token_details": {"audio": 5},
        "output_token_details": {"audio": 6},
    }
    assert Usage.from_metadata(metadata) == Usage(9, 8, input_audio_tokens=5, output_audio_tokens=6)


def test_details_nobody_asks_for_are_left_alone() -> None:
    """Vendors add keys; a new one must not stop a run."""
    metadata = {"input_tokens": 9, "output_tokens": 8, "input_token_details": {"video": "long", 3: -1}}
    assert Usage.from_metadata(metadata) == Usage(9, 8)


@pytest.mark.parametrize("bad", BAD_COUNTS)
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_total_that_is_no_count_is_refused_by_name(name: str, bad: object) -> None:
    """A negative count would give money back."""
    with pytest.raises(InvalidAmount) as caught:
        Usage.from_metadata({"input_tokens": 1, "output_tokens": 1, name: bad})
    assert caught.value.field == f"usage_metadata.{name}"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("bad", BAD_COUNTS)
@pytest.mark.parametrize(
    ("side", "key"),
    [
        ("input_token_details", "cache_read"),
        ("input_token_details", "cache_creation"),
        ("input_token_details", "ephemeral_1h_input_tokens"),
        ("input_token_details", "flex_cache_read"),
        ("output_token_details", "reasoning"),
    ],
)
def test_a_detail_that_is_no_count_is_refused_by_name(side: str, key: str, bad: object) -> None:
    """Parts are charged at their own price, so a bad part is as bad as a bad total."""
    with pytest.raises(InvalidAmount) as caught:
        Usage.from_metadata({"input_tokens": 1, "output_tokens": 1, side: {key: bad}})
    assert caught.value.field == f"usage_metadata.{side}.{key}"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ([1, 2], "usage_metadata"),
        ({"input_tokens": 1, "output_tokens": 1, "input_token_details": [3]}, "usage_metadata.input_token_details"),
    ],
)
def test_a_report_of_another_shape_is_refused(metadata: Any, field: str) -> None:
    """What is not understood is not guessed."""
    with pytest.raises(InvalidAmount) as caught:
        Usage.from_metadata(metadata)
    assert (caught.value.field, caught.value.problem.endswith("got list")) == (field, True)


@pytest.mark.parametrize("bad", BAD_COUNTS)
def test_usage_made_by_hand_is_checked_too(bad: Any) -> None:
    """People who meter by themselves make the same mistakes."""
    with pytest.raises(InvalidAmount, match=r"^usage\.cache_read_tokens: "):
        Usage(10, 10, cache_read_tokens=bad)


def test_the_largest_count_is_accepted() -> None:
    """The limit is one that no model reaches."""
    assert Usage(MOST_TOKENS, MOST_TOKENS).total_tokens == 2 * MOST_TOKENS
