"""`ChatAnthropic` over HTTP, under a budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic

from tests.clients.contract import ClientContract
from tests.servers.anthropic import AnthropicServer
from tests.servers.script import says


@pytest.fixture
def provider() -> Iterator[AnthropicServer]:
    with AnthropicServer(says("yes")) as server:
        yield server


class TestChatAnthropic(ClientContract):
    """Messages."""

    cap_field = "max_tokens"
    prices = {"input": 1, "cache_read": 0.10, "write_5m": 1.25, "write_1h": 2, "output": 5}  # noqa: RUF012 - read only

    def client(self, url: str, **settings: Any) -> ChatAnthropic:
        defaults = {"model": "claude-haiku-4-5", "api_key": "none", "max_retries": 0}
        return ChatAnthropic(base_url=url, **(defaults | settings))
