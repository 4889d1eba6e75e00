"""Tools that the provider runs itself: on its invoice by the call, and not a word of them in the usage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

from langgraph_guard import ToolPrice
from tests.clients.ledgers import HOWS, THREAD, ask, budget_of, held, spent
from tests.servers.anthropic import AnthropicServer
from tests.servers.openai import OpenAIServer
from tests.servers.provider import Provider
from tests.servers.script import Tokens, says

SEARCH = 10_000
PRICES = {"web_search": ToolPrice("0.01")}
BILLS = Tokens(1_000, 100)


def openai(url: str, **settings: Any) -> Any:
    """The responses API, which has such tools."""
    llm = ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key="none", **settings)  # type: ignore[arg-type]
    return llm.bind_tools([{"type": "web_search"}])


def anthropic(url: str, **settings: Any) -> Any:
    """Messages."""
    llm = ChatAnthropic(model="claude-haiku-4-5", base_url=url, api_key="none", **settings)  # type: ignore[call-arg, arg-type]
    return llm.bind_tools([{"type": "web_search_20250305", "name": "web_search"}])


CLIENTS = [
    (OpenAIServer, openai, {}, 210),
    (OpenAIServer, openai, {"output_version": "v0"}, 210),
    (OpenAIServer, openai, {"output_version": "v1"}, 210),
    (AnthropicServer, anthropic, {}, 1_500),
    (AnthropicServer, anthropic, {"output_version": "v1"}, 1_500),
]
"""A server, a client, in what form it gives its messages, and what `BILLS` cost at its prices."""

clients = pytest.mark.parametrize(("server", "client", "settings", "tokens"), CLIENTS)
Server, Client = type[Provider], Callable[..., Any]


@clients
@pytest.mark.parametrize("how", HOWS)
async def test_searches_are_charged_with_the_answer(
    server: Server, client: Client, settings: dict[str, Any], tokens: int, how: str
) -> None:
    """Whatever form the client gives its messages, whole or in pieces."""
    with server(says("Kites fly.", BILLS, searches=3), says("Still.", BILLS)) as provider:
        budget = budget_of(tool_prices=PRICES)
        model = budget.model(client(provider.url, **settings))
        await ask(model, how)
        await ask(model, how)
        assert spent(budget) == 2 * tokens + 3 * SEARCH
        assert (spent(budget, "tokens"), held(budget)) == (2_200, 0)


@clients
@pytest.mark.parametrize("how", HOWS)
async def test_a_callback_charges_them_too(
    server: Server, client: Client, settings: dict[str, Any], tokens: int, how: str
) -> None:
    """It sees the answer put together."""
    with server(says("Kites fly.", BILLS, searches=2)) as provider:
        budget = budget_of(tool_prices=PRICES)
        llm = client(provider.url, stream_usage=True, **settings)

        async def node(question: str) -> None:
            await ask(llm, how, question)

        await RunnableLambda(node).ainvoke("hi", {**THREAD, "callbacks": [budget.callback()]})
        assert spent(budget) == tokens + 2 * SEARCH
        assert held(budget) == 0


@pytest.mark.parametrize("how", HOWS)
async def test_without_usage_they_are_added_to_the_reservation(how: str) -> None:
    """What is held is for the tokens alone."""
    with AnthropicServer(says("Kites fly.", BILLS, reports=None, searches=3)) as provider:
        budgets = [budget_of(tool_prices=prices) for prices in (None, PRICES)]
        for budget in budgets:
            await ask(budget.model(anthropic(provider.url, max_tokens=100)), how)
        without, with_prices = (spent(budget) for budget in budgets)
        assert with_prices == without + 3 * SEARCH


def test_searches_without_a_price_are_free() -> None:
    """As they were before."""
    with OpenAIServer(says("Kites fly.", BILLS, searches=3)) as provider:
        budget = budget_of()
        RunnableLambda(budget.model(openai(provider.url)).invoke).invoke("hi", THREAD)
        assert spent(budget) == 210
