"""Under which names LiteLLM lists a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from langgraph_guard.prices.names import provider_id, spellings

FAMILIES: Final = {
    "aws": ("bedrock", "bedrock_converse", "bedrock_mantle"),
    "azure": ("azure", "azure_ai", "azure_text"),
    "cohere": ("cohere_chat", "cohere"),
    "fireworks": ("fireworks_ai",),
    "google": ("gemini", "vertex_ai"),
    "moonshotai": ("moonshot",),
    "nvidia": ("nvidia_nim",),
    "openai": ("openai", "text-completion-openai"),
    "together": ("together_ai",),
    "x-ai": ("xai",),
}
"""Price lists' names of providers, and LiteLLM's. One that is missing here has the same name in both."""


def families(provider: str) -> tuple[str, ...]:
    plain = provider_id(provider)
    return FAMILIES.get(plain, (plain,))


def is_of(listed: str, provider: str | None) -> bool:
    """Whether an entry of LiteLLM's provider `listed` is one of `provider`; `None` takes any."""
    if provider is None:
        return True
    return any(listed == family or listed.startswith(f"{family}-") for family in families(provider))


def lookups(model: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """(provider, key) to look for, in order: each spelling under its provider's prefix, then without one."""
    for who, name in spellings(_base_of_fine_tune(model), provider):
        if who is not None:
            yield from ((who, f"{family}/{name}") for family in families(who))
        yield who, name


def _base_of_fine_tune(model: str) -> str:
    """`ft:gpt-4o-2024-08-06:org::id` is listed as `ft:gpt-4o-2024-08-06`."""
    return ":".join(model.split(":")[:2]) if model.startswith("ft:") else model
