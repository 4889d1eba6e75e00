"""`ChatAnthropic` over HTTP, under a budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic

from tests.clients.contract import ClientContract
from tests.clients.ledgers import HOWS, ask, budget_of, spent
from tests.servers.anthropic import AnthropicServer
from tests.servers.script import Tokens, says


@pytest.fixture
def provider() -> Iterator[AnthropicServer]:
    """One for each test."""
    with AnthropicServer(says("yes")) as server:
        yield server


class TestChatAnthropic(ClientContract):
    """Messages."""

    cap_field = "max_tokens"
    prices = {"input": 1, "cache_read": 0.10, "write_5m": 1.25, "write_1h": 2, "output": 5}  # noqa: RUF012 - read only

    def client(self, url: str, **settings: Any) -> ChatAnthropic:
        defaults = {"model": "claude-haiku-4-5", "api_key": "none", "max_retries": 0}
        return ChatAnthropic(base_url=url, **(defaults | settings))

    @pytest.mark.parametrize("how", HOWS)
    @pytest.mark.parametrize(
        "bills",
        [
            Tokens(17_100, 900, cache_read=10_000, write_5m=7_000),
            Tokens(17_100, 900, cache_read=10_000, write_1h=7_000),
            Tokens(17_100, 900, cache_read=10_000, write_5m=4_000, write_1h=3_000, reasoning=500),
        ],
    )
    async def test_what_goes_into_the_cache_costs_by_how_long_it_stays(
        self, provider: AnthropicServer, bills: Tokens, how: str
    ) -> None:
        """An hour costs twice the input, five minutes a quarter more; the protocol reports their sum as well."""
        provider.will(says("yes", bills))
        budget = budget_of()
        await ask(budget.model(self.client(provider.url)), how)
        assert spent(budget) == self.cost(provider.billed)

    @pytest.mark.parametrize("how", HOWS)
    async def test_the_models_own_longest_answer_is_the_cap_where_none_is_given(
        self, provider: AnthropicServer, how: str
    ) -> None:
        """The protocol demands one, and the client takes it from the model's profile: 64,000 tokens."""
        provider.will(says("yes", Tokens(10, 10)))
        await ask(budget_of().model(self.client(provider.url)), how)
        assert provider.bodies[0]["max_tokens"] == 64_000
