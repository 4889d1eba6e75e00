"""`ChatOpenAI` over HTTP, under a budget."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest
from langchain_openai import AzureChatOpenAI, ChatOpenAI
from pydantic import BaseModel

from langgraph_guard import Limit, Price, PriceUnknown
from tests.clients.contract import ClientContract
from tests.clients.ledgers import HOWS, THREAD, ask, budget_of, held, spent
from tests.servers.openai import OpenAIServer
from tests.servers.script import Tokens, says


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    """One for each test."""
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


OF_ITS_OWN: list[tuple[str, str | None, Tokens, float]] = [
    # o4-mini: input 1.10, cached 0.275, output 4.40
    (
        "o4-mini",
        None,
        Tokens(3_000, 2_500, cache_read=1_024, reasoning=2_432),
        1_976 * 1.10 + 1_024 * 0.275 + 2_500 * 4.4,
    ),
    # gpt-5: input 1.25, cached 0.125, output 10; flex half of that, priority twice
    ("gpt-5", "flex", Tokens(10_001, 2_000, cache_read=4_000), 6_001 * 0.625 + 4_000 * 0.0625 + 2_000 * 5),
    ("gpt-5", "priority", Tokens(10_001, 2_000, cache_read=4_000), 6_001 * 2.5 + 4_000 * 0.25 + 2_000 * 20),
    # gpt-5.6-luna: input 0.20, cached 0.02, cache write 0.25, output 1.20
    (
        "gpt-5.6-luna",
        None,
        Tokens(20_000, 400, cache_read=6_000, write_5m=9_000),
        5_000 * 0.2 + 6_000 * 0.02 + 9_000 * 0.25 + 400 * 1.2,
    ),
]


@pytest.mark.parametrize("responses", [False, True])
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("model", "tier", "bills", "micro_usd"), OF_ITS_OWN)
async def test_reasoning_tiers_and_cache_writes_cost_what_the_price_list_says(
    provider: OpenAIServer, model: str, tier: str | None, bills: Tokens, micro_usd: float, how: str, responses: bool
) -> None:
    """From the bytes on the wire to the ledger, each kind of token at the price of its tier."""
    provider.will(says("yes", bills, tier=tier))
    budget = budget_of()
    client = ChatOpenAI(
        model=model,
        base_url=provider.url,
        api_key="none",
        use_responses_api=responses,
        stream_usage=True,
        max_retries=0,
    )
    await ask(budget.model(client.bind(service_tier=tier) if tier else client), how)
    assert spent(budget) == ceil(round(micro_usd, 6))


@pytest.mark.parametrize("how", HOWS)
async def test_audio_costs_what_the_price_list_says(provider: OpenAIServer, how: str) -> None:
    """gpt-audio: text 2.50 and 10, audio 32 and 64."""
    provider.will(says("yes", Tokens(1_000, 500, audio_in=600, audio_out=400)))
    budget = budget_of()
    client = ChatOpenAI(model="gpt-audio", base_url=provider.url, api_key="none", stream_usage=True)
    await ask(budget.model(client), how)
    assert spent(budget) == 400 * 2.5 + 600 * 32 + 100 * 10 + 400 * 64


@pytest.mark.parametrize("how", ["stream", "astream"])
async def test_a_stream_told_to_be_silent_costs_what_was_reserved(provider: OpenAIServer, how: str) -> None:
    """`stream_usage=False` is respected, and what is not measured is not free."""
    provider.will(says("yes", Tokens(10, 100)))
    budget = budget_of()
    client = ChatOpenAI(model="gpt-4o-mini", base_url=provider.url, api_key="none", stream_usage=False, max_tokens=500)
    await ask(budget.model(client), how)
    assert "stream_options" not in provider.bodies[0]
    assert 300 < spent(budget) < 330


@pytest.mark.parametrize("how", HOWS)
async def test_the_model_that_answered_is_the_one_that_costs(provider: OpenAIServer, how: str) -> None:
    """gpt-4o of May 2024 costs twice what gpt-4o does: the alias was asked, the dated model is on the invoice."""
    provider.will(says("yes", Tokens(1_000, 100), model="gpt-4o-2024-05-13"))
    budget = budget_of()
    await ask(budget.model(ChatOpenAI(model="gpt-4o", base_url=provider.url, api_key="none", stream_usage=True)), how)
    assert spent(budget) == 1_000 * 5 + 100 * 15


class Order(BaseModel):
    """An order."""

    id: str


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream"])
async def test_structured_output_is_metered(provider: OpenAIServer, how: str) -> None:
    """It takes other roads through the client than a plain call."""
    provider.will(says('{"id":"A1"}', Tokens(100, 10)))
    budget = budget_of()
    client = ChatOpenAI(model="gpt-4o-mini", base_url=provider.url, api_key="none", stream_usage=True)
    model = budget.model(client).with_structured_output(Order)
    if how == "invoke":
        order = model.invoke("hi", THREAD)
    elif how == "ainvoke":
        order = await model.ainvoke("hi", THREAD)
    else:
        (*_, order) = model.stream("hi", THREAD)
    assert order == Order(id="A1")
    assert spent(budget) == 100 * 0.15 + 10 * 0.6
    assert provider.bodies[0]["max_completion_tokens"] == 16_384


def _azure(provider: OpenAIServer, **settings: Any) -> AzureChatOpenAI:
    endpoint = provider.url.removesuffix("/v1")
    keys = {"api_key": "none", "api_version": "2024-10-21", "max_retries": 0, "stream_usage": True}
    return AzureChatOpenAI(azure_endpoint=endpoint, azure_deployment="our-deployment", **keys, **settings)


@pytest.mark.parametrize("how", HOWS)
async def test_azure_is_priced_by_the_model_behind_the_deployment(provider: OpenAIServer, how: str) -> None:
    """Azure's list has the prices; the deployment's name means nothing to it."""
    provider.will(says("yes", Tokens(1_000, 100), model="gpt-4o-2024-08-06"))
    budget = budget_of(Limit("usd", 1, per="session"))
    await ask(budget.model(_azure(provider, model="gpt-4o")), how)
    assert provider.requests[0].path.startswith("/openai/deployments/our-deployment/chat/completions")
    assert spent(budget) == 1_000 * 2.5 + 100 * 10
    assert held(budget) == 0


def test_a_deployment_without_a_known_model_needs_a_price(provider: OpenAIServer) -> None:
    """Refused when the graph is built, under the name for which a price would help."""
    with pytest.raises(PriceUnknown, match="our-deployment"):
        budget_of().model(_azure(provider))
    budget_of(prices={"our-deployment": Price(3, 12)}).model(_azure(provider))
