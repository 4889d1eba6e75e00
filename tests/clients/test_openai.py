"""`ChatOpenAI` over HTTP, under a budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from tests.clients.contract import ClientContract
from tests.servers.openai import OpenAIServer
from tests.servers.script import says


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    with OpenAIServer(says("yes")) as server:
        yield server


class TestChatOpenAI(ClientContract):
    """Chat completions."""

    cap_field = "max_completion_tokens"
    prices = {"input": 0.15, "cache_read": 0.075, "output": 0.60}  # noqa: RUF012 - read only

    def client(self, url: str, **settings: Any) -> ChatOpenAI:
        defaults = {"model": "gpt-4o-mini", "api_key": "none", "max_retries": 0, "stream_usage": True}
        return ChatOpenAI(base_url=url, **(defaults | settings))


class TestResponses(TestChatOpenAI):
    """The responses API of the same client."""

    cap_field = "max_output_tokens"

    def client(self, url: str, **settings: Any) -> ChatOpenAI:
        return super().client(url, use_responses_api=True, **settings)
