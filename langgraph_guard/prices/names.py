"""What LangChain calls a model and its provider, and what price lists call them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# Several hold the name of a vendor that is not the one who bills, and a looser match would take it for the provider.
PROVIDERS: Final = {
    "anthropic-mantle": "aws",
    "anthropic_bedrock": "aws",
    "anthropicvertex": "google",
    "azure-openai": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azureopenai": "azure",
    "bedrock_converse": "aws",
    "bedrock_mantle_anthropic": "aws",
    "bedrock_mantle_openai": "aws",
    "google_anthropic_vertex": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "openai-mantle": "aws",
    "xai": "x-ai",
}

_SEPARATOR: Final = re.compile("[/:]")
_DATE: Final = re.compile(r"[-@]20\d\d-?[01]\d-?[0-3]\d$")


def provider_id(name: str) -> str:
    """The price lists' name of LangChain's provider `name`."""
    plain = name.strip().lower()
    return PROVIDERS.get(plain, plain)


def undated(model: str) -> str:
    """`model` without the date at its end: `-2026-04-01`, `-20260401` or `@20260401`."""
    return _DATE.sub("", model)


def spellings(model: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """(provider, model) to look for, in this order: as given, without a prefix, then both without a date."""
    billed_by = None if provider is None else provider_id(provider)
    named = [(billed_by, model), *_without_prefix(model, billed_by)]
    yield from named
    for who, name in named:
        if undated(name) != name:
            yield who, undated(name)


def _without_prefix(model: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """`openai/gpt-4o` or `openai:gpt-4o` as OpenAI's `gpt-4o`, unless somebody else sends the bill."""
    prefix, *rest = _SEPARATOR.split(model, maxsplit=1)
    if prefix == "models":
        yield from ((provider, name) for name in rest)
    elif provider in (None, provider_id(prefix)):
        yield from ((provider_id(prefix), name) for name in rest)
