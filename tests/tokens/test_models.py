"""A model's name, however a provider writes it, says which encoding counts, and how far to trust that."""

from __future__ import annotations

import pytest

from langgraph_guard.tokens.models import OTHER, differ, family_of


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o",
        "gpt-4o-2024-08-06",
        "gpt-4o-mini",
        "gpt-4.1",
        "gpt-4.1-nano",
        "gpt-4.5-preview",
        "gpt-5",
        "gpt-5-mini",
        "gpt-5.2-pro",
        "gpt-6",
        "gpt-oss-120b",
        "o1",
        "o3-mini",
        "o4-mini-2025-04-16",
        "chatgpt-4o-latest",
        "openai:gpt-4o",
        "openai/gpt-4o",
        "azure/gpt-4o",
        "openrouter/openai/gpt-4o",
        "ft:gpt-4o-mini-2024-07-18:acme::abc123",
        "GPT-4o",
    ],
)
def test_openais_newer_models_have_o200k(name: str) -> None:
    """Counts are the models' own."""
    family = family_of(name)
    assert (family.encoding, family.exact) == ("o200k_base", True)


@pytest.mark.parametrize(
    "name",
    ["gpt-4", "gpt-4-0613", "gpt-4-turbo", "gpt-4-32k", "gpt-3.5-turbo", "gpt-35-turbo", "ft:gpt-3.5-turbo:acme::1"],
)
def test_openais_older_models_have_cl100k(name: str) -> None:
    """The two differ by a half in Korean."""
    family = family_of(name)
    assert (family.encoding, family.exact) == ("cl100k_base", True)


@pytest.mark.parametrize(
    "name",
    [None, "", "scripted", "gemini-2.5-pro", "llama3:8b", "Marco-o1", "mixtral", "gpt2", "gpt-j-6b", "claude-sonnet-5"],
)
def test_for_all_others_o200k_is_the_nearest(name: str | None) -> None:
    """It is larger and newer, and counts other scripts much as they do; it is not called exact."""
    family = family_of(name)
    assert (family.encoding, family.exact) == ("o200k_base", False)
    assert family.margin > 1


@pytest.mark.parametrize(
    "name", ["claude-opus-5", "anthropic/claude-sonnet-4-5", "us.anthropic.claude-3-haiku-20240307-v1:0"]
)
def test_claude_counts_more(name: str) -> None:
    """Thirty per cent more than its elders for the same text, and a prompt of its own around tools."""
    family = family_of(name)
    assert (family.scale > 1.3, family.tools_prompt[0] > 300) == (True, True)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("openai/gpt-4o", "gpt-4o-2024-08-06"),
        ("ft:gpt-4o-mini-2024-07-18:acme::1", "gpt-4o-mini"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"),
        ("gemini-2.5-flash", "gemini-2.5-flash-preview-05-20"),
        ("our-deployment", "gpt-4o-2024-08-06"),
        ("gpt-4o", "scripted"),
        (None, "gpt-4o"),
        ("gpt-4o", None),
    ],
)
def test_one_model_has_many_names(asked: str | None, answered: str | None) -> None:
    """A release, a region, a deployment: a report is not thrown away for the way it is signed."""
    assert not differ(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o", "claude-sonnet-5"),
        ("claude-opus-4-1", "claude-opus-4-5"),
        ("o3", "o3-mini"),
    ],
)
def test_two_models_are_two(asked: str, answered: str) -> None:
    """A cheap helper's report in the same list says nothing about the dear model's prompt."""
    assert differ(asked, answered)


def test_a_name_of_nobodys_is_of_the_others() -> None:
    """Unknown is a family too."""
    assert family_of("brand-new-model") is OTHER
