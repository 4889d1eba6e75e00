"""What a client would do behind the meter's back: hidden attempts, streams that do not say what they cost.

The clients of OpenAI and Anthropic try again twice by default, after time-outs, 408, 409, 429 and 5xx. Metered, each
attempt has its own reservation, and the meter waits as the client would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from langgraph_guard import BudgetExceeded, Limit, Price
from tests.clients.ledgers import HOWS, ask, budget_of, held, spent
from tests.servers.anthropic import AnthropicServer
from tests.servers.openai import OpenAIServer
from tests.servers.provider import Provider, closed_port
from tests.servers.script import Tokens, fails, says

STREAMED = ("stream", "astream")

INVOICE = {"ChatOpenAI": (0.15, 0.60), "responses": (0.15, 0.60), "ChatAnthropic": (1, 5)}
"""USD per million tokens of input and output."""

CAP = 500


@pytest.fixture(params=INVOICE)
def kind(request: Any) -> str:
    """Which client, and which of its APIs."""
    return request.param


@pytest.fixture
def provider(kind: str) -> Iterator[Provider]:
    """The provider behind it."""
    with (AnthropicServer if kind == "ChatAnthropic" else OpenAIServer)(says("yes")) as server:
        yield server


@pytest.fixture
def client(kind: str, provider: Provider) -> Any:
    """As a user makes it: two retries and, for OpenAI's protocol at another address, no usage in streams."""
    return make(kind, provider.url)


def make(kind: str, url: str, **settings: Any) -> Any:
    """A client that says no more than it must."""
    settings = {"max_tokens": CAP, "api_key": "none", "base_url": url, **settings}
    if kind == "ChatAnthropic":
        return ChatAnthropic(model="claude-haiku-4-5", **settings)
    return ChatOpenAI(model="gpt-4o-mini", use_responses_api=kind == "responses", **settings)


def cost(kind: str, *calls: Tokens) -> float:
    """Micro-USD of the invoice, by hand."""
    read, written = INVOICE[kind]
    return sum(call.input * read + call.output * written for call in calls)


def clock(budget: Any) -> Any:
    """The clock on which the meter waits."""
    return budget._meter.backend.clock


# Each attempt is reserved


@pytest.mark.parametrize("how", HOWS)
async def test_attempts_cannot_pass_the_limit(kind: str, provider: Provider, client: Any, how: str) -> None:
    """A provider that breaks down may bill every attempt: on one reservation, three of them pass any limit."""
    provider.will(fails(500, bills=Tokens(2, 100_000)))
    limit = 4 * cost(kind, Tokens(0, CAP))
    budget = budget_of(Limit("usd", limit / 1_000_000, per="session"))
    for _ in range(10):
        with suppress(Exception):
            await ask(budget.model(client), how)
    assert len(provider.billed) >= 3
    assert cost(kind, *provider.billed) <= spent(budget) <= limit
    assert held(budget) == 0


@pytest.mark.parametrize("how", HOWS)
async def test_each_attempt_is_closed_by_its_own_outcome(kind: str, provider: Provider, client: Any, how: str) -> None:
    """Broken down: charged. Refused: free. Answered: what it cost. And the user sees an answer, as ever."""
    provider.will(fails(500, bills=Tokens(2, CAP)), fails(429, retry_after=7), says("yes", Tokens(1_000, 100)))
    budget = budget_of()
    assert (await ask(budget.model(client), how)).text.strip() == "yes"
    charged = cost(kind, Tokens(0, CAP), Tokens(1_000, 100))
    assert charged < spent(budget) < 1.1 * charged
    assert (spent(budget, "model_calls"), held(budget), len(provider.requests)) == (2, 0, 3)


# When it tries again


@pytest.mark.parametrize("how", HOWS)
async def test_it_waits_as_the_client_would(provider: Provider, client: Any, how: str) -> None:
    """About half a second after a breakdown, and as long as a rate limit asks for."""
    provider.will(fails(503), fails(429, retry_after=7), says("yes"))
    budget = budget_of()
    await ask(budget.model(client), how)
    first, second = clock(budget).slept
    assert 0.375 <= first <= 0.5
    assert second == 7


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("reply", [fails(400), fails(401), fails(404), fails(422), fails(429, retry_after=900)])
async def test_what_would_fail_again_is_not_tried_again(provider: Provider, client: Any, reply: Any, how: str) -> None:
    """Nor does anybody wait for a quarter of an hour."""
    provider.will(reply)
    budget = budget_of()
    with pytest.raises(Exception, match="scripted"):
        await ask(budget.model(client), how)
    assert len(provider.requests) == 1
    assert clock(budget).slept == []


@pytest.mark.parametrize("how", HOWS)
async def test_it_gives_up_when_the_client_would(kind: str, provider: Provider, how: str) -> None:
    """`max_retries` means what it meant, and the last error is the one that is raised."""
    provider.will(fails(503))
    for retries in (0, 1, 4):
        with pytest.raises(Exception, match="scripted"):
            await ask(budget_of().model(make(kind, provider.url, max_retries=retries)), how)
    assert len(provider.requests) == 1 + 2 + 5


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_a_lost_answer_is_asked_for_again(kind: str, provider: Provider, client: Any, how: str) -> None:
    """The connection dropped; the provider had worked, and both answers are on the invoice."""
    provider.will(says("yes", Tokens(2, CAP), cut=0), says("yes", Tokens(1_000, 100)))
    budget = budget_of()
    await ask(budget.model(client), how)
    assert spent(budget) >= cost(kind, *provider.billed)
    assert spent(budget, "model_calls") == 2


@pytest.mark.parametrize("how", HOWS)
async def test_an_address_where_nobody_listens_is_tried_and_costs_nothing(kind: str, how: str) -> None:
    """Three attempts, nothing sent."""
    budget = budget_of()
    with pytest.raises(Exception, match="Connection"):
        await ask(budget.model(make(kind, f"http://127.0.0.1:{closed_port()}/v1")), how)
    assert len(clock(budget).slept) == 2
    assert (spent(budget), held(budget)) == (0, 0)


@pytest.mark.parametrize("how", STREAMED)
async def test_a_stream_is_not_begun_twice(provider: Provider, client: Any, how: str) -> None:
    """What the reader has seen cannot be taken back."""
    provider.will(says("word " * 40, Tokens(2, 100), cut=10), says("yes"))
    with pytest.raises(Exception, match=r".+"):
        await ask(budget_of().model(client), how)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("how", HOWS)
async def test_the_seconds_of_a_call_are_for_all_its_attempts(provider: Provider, client: Any, how: str) -> None:
    """Three time-outs of five seconds are fifteen."""
    provider.will(fails(503), fails(429, retry_after=4), says("yes"))
    budget = budget_of(Limit("usd", 1, per="session"), Limit("seconds", 4, per="call"))
    with pytest.raises(Exception, match="scripted"):
        await ask(budget.model(client), how)
    assert sum(clock(budget).slept) < 4
    assert len(provider.requests) == 2


@pytest.mark.parametrize("how", HOWS)
async def test_two_budgets_around_one_model_reserve_each_attempt(provider: Provider, client: Any, how: str) -> None:
    """The outer one makes the attempts, or the inner one's would hide in its reservation."""
    provider.will(fails(500), fails(500), says("yes"))
    inner, outer = budget_of(name="inner"), budget_of(name="outer")
    await ask(outer.model(inner.model(client)), how)
    assert spent(inner) == spent(outer)
    assert spent(inner, "model_calls") == spent(outer, "model_calls") == 3


def test_the_users_own_client_stays_as_it_was(kind: str, provider: Provider, client: Any) -> None:
    """It may be used elsewhere, unmetered."""
    before = {name: id(value) for name, value in vars(client).items()}
    budget_of().model(client).invoke("hi", {"configurable": {"thread_id": "t"}})
    assert {name: id(value) for name, value in vars(client).items() if name in before} == before
    assert (client._client if kind == "ChatAnthropic" else client.root_client).max_retries == 2


# What a call says of itself


@pytest.mark.parametrize("how", STREAMED)
async def test_streams_are_asked_what_they_cost(kind: str, provider: Provider, client: Any, how: str) -> None:
    """Away from api.openai.com the client does not ask, and each stream would cost its whole reservation."""
    provider.will(says("yes", Tokens(1_000, 100)))
    budget = budget_of()
    await ask(budget.model(client), how)
    assert spent(budget) == cost(kind, Tokens(1_000, 100))


@pytest.mark.parametrize("how", HOWS)
async def test_a_calls_own_cap_is_only_lowered(kind: str, provider: Provider, client: Any, how: str) -> None:
    """Whatever it is called, and whatever the client itself says."""
    names = ["max_tokens"] if kind == "ChatAnthropic" else ["max_tokens", "max_completion_tokens"]
    tight = budget_of(Limit("tokens", 40, per="call"))
    for name in names:
        await ask(budget_of().model(client.bind(**{name: 50})), how)
        await ask(tight.model(client.bind(**{name: 50}), min_output=1), how)
    caps = [provider.cap_of(body) for body in provider.bodies]
    assert set(caps[::2]) == {50}
    assert all(1 <= cap < 40 for cap in caps[1::2])


@pytest.mark.parametrize("how", HOWS)
async def test_each_of_several_answers_is_reserved(how: str) -> None:
    """`n=3` is three answers of the cap's length."""
    with OpenAIServer(says("yes", Tokens(2, 3 * CAP))) as server:
        budget = budget_of()
        await ask(budget.model(make("ChatOpenAI", server.url).bind(n=3)), how)
        assert server.bodies[0]["max_completion_tokens"] == CAP
        small = budget_of(Limit("usd", 2 * cost("ChatOpenAI", Tokens(0, CAP)) / 1_000_000, per="session"))
        await ask(small.model(make("ChatOpenAI", server.url).bind(n=3), min_output=1), how)
        assert server.bodies[1]["max_completion_tokens"] <= CAP * 2 // 3


@pytest.mark.parametrize("how", HOWS)
async def test_flex_that_was_served_at_the_standard_price_costs_that(how: str) -> None:
    """The answer says how it was served; what was asked for is no discount."""
    with OpenAIServer(says("yes", Tokens(1_000, 100), tier="default")) as server:
        budget = budget_of()
        client = ChatOpenAI(model="gpt-5", base_url=server.url, api_key="none", service_tier="flex")
        await ask(budget.model(client), how)
        assert spent(budget) == 1_000 * 1.25 + 100 * 10


@pytest.mark.parametrize("how", HOWS)
async def test_an_answer_that_read_nothing_is_not_believed(how: str) -> None:
    """Some gateways report what was written alone; the question was billed all the same."""
    with AnthropicServer(says("yes", Tokens(1_000, 100), reports=Tokens(0, 100))) as server:
        budget = budget_of()
        await ask(budget.model(make("ChatAnthropic", server.url)), how)
        assert spent(budget) > 5 * CAP


def test_ones_own_price_of_a_deployment_stands() -> None:
    """Azure answers in the model's name, for which a list has another price than the contract."""
    with OpenAIServer(says("yes", Tokens(1_000, 100), model="gpt-4o-2024-08-06")) as server:
        budget = budget_of(prices={"our-deployment": Price(3, 12)})
        url = server.url.removesuffix("/v1")
        client = AzureChatOpenAI(
            azure_endpoint=url, azure_deployment="our-deployment", api_key="none", api_version="2024-10-21"
        )
        budget.model(client).invoke("hi", {"configurable": {"thread_id": "t"}})
        assert spent(budget) == 1_000 * 3 + 100 * 12


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("own", "limit", "sent"), [(5, 60, 5), (60, 5, 5)])
async def test_the_shorter_time_out_counts(
    kind: str, provider: Provider, own: float, limit: float, sent: float, how: str
) -> None:
    """A limit of seconds never makes a patient client of an impatient one."""
    budget = budget_of(Limit("usd", 1, per="session"), Limit("seconds", limit, per="call"))
    await ask(budget.model(make(kind, provider.url, timeout=own)), how)
    assert float(provider.requests[0].headers["x-stainless-read-timeout"]) == sent


@pytest.mark.parametrize("how", STREAMED)
async def test_a_stream_that_drips_ends_with_its_seconds(provider: Provider, client: Any, how: str) -> None:
    """A time-out of the client is for the next word; a limit of seconds is for the last one."""
    provider.will(says("word " * 400, Tokens(2, 100), pause=0.02))
    budget = budget_of(Limit("usd", 1, per="session"), Limit("seconds", 0.5, per="call"))
    with pytest.raises(TimeoutError):
        await ask(budget.model(client), how)
    assert held(budget) == 0


def test_a_call_without_room_to_think_is_denied() -> None:
    """Anthropic refuses a cap below the thinking budget; a denial is what the graph can route on."""
    with AnthropicServer(says("yes")) as server:
        budget = budget_of(Limit("usd", 0.02, per="session"))
        client = make(
            "ChatAnthropic", server.url, max_tokens=8_000, thinking={"type": "enabled", "budget_tokens": 6_000}
        )
        with pytest.raises(BudgetExceeded):
            budget.model(client).invoke("hi", {"configurable": {"thread_id": "t"}})
        assert server.requests == []
