"""What holds for every client over HTTP: the ledger is the invoice, the cap arrives, and nothing stays reserved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from math import ceil
from typing import Any

import pytest

from langgraph_guard import BudgetExceeded, Limit
from tests.clients.ledgers import HOWS, ask, budget_of, held, spent
from tests.nodes.agents import asks, is_valid, react, thread
from tests.nodes.test_react import MODES, play
from tests.servers.provider import Provider, closed_port
from tests.servers.script import Reply, Tokens, calls, fails, says

WHOLE, STREAMED = ("invoke", "ainvoke"), ("stream", "astream")

LONG = "word " * 40

MOST_OUTPUT = 500
"""The client's own cap in the tests of outcomes."""

FREE = [fails(status) for status in (400, 401, 403, 404, 413, 422, 429)]
"""Refused before any work was done."""

UNSURE = [fails(status, bills=Tokens(10, 100)) for status in (408, 409, 500, 502, 503, 529)]
"""The provider may have worked, and here it did."""


class ClientContract(ABC):
    """A subclass says which client and which provider, and what a model of theirs costs."""

    cap_field: str
    prices: dict[str, float]
    """USD per million tokens of the model that `client` makes, by field of `Tokens`; `input` is what has no price."""

    @abstractmethod
    def client(self, url: str, **settings: Any) -> Any:
        """The real client; one attempt per call unless told otherwise."""

    def cost(self, calls: Iterable[Tokens]) -> int:
        """Micro-USD, by hand: each token at the price of its kind, each call rounded up."""
        return sum(ceil(round(self._exact(call), 6)) for call in calls)

    def _exact(self, call: Tokens) -> float:
        inputs = {name: getattr(call, name) for name in ("cache_read", "write_5m", "write_1h")}
        parts = sum(count * self.prices.get(name, 0) for name, count in inputs.items())
        return parts + (call.input - sum(inputs.values())) * self.prices["input"] + call.output * self.prices["output"]

    # The ledger is the invoice

    @pytest.mark.parametrize("mode", MODES)
    async def test_the_ledger_of_an_agent_is_the_invoice(self, provider: Provider, mode: str) -> None:
        """DESIGN's graph over HTTP: what the ledger says was spent is what the provider bills, to the micro-dollar."""
        question = {"order_id": "A1"}
        provider.will(
            calls("get_order_status", question, Tokens(1_001, 51, reasoning=20)),
            calls("get_order_status", question, Tokens(1_203, 33, cache_read=1_024), text="Once more."),
            says("It has shipped.", Tokens(1_401, 17, cache_read=1_152)),
        )
        agent = react([Limit("usd", 1, per="session"), Limit("tokens", 50_000, per="turn")], self.client(provider.url))
        messages = await play(agent.app, asks(), thread(), mode)
        assert messages[-1].text.strip() == "It has shipped."
        assert is_valid(messages)
        assert len(provider.billed) == 3
        assert agent.spent() == self.cost(provider.billed)
        assert agent.spent(unit="tokens") == sum(call.input + call.output for call in provider.billed)
        assert agent.held() == 0

    @pytest.mark.parametrize("how", HOWS)
    @pytest.mark.parametrize(
        "bills",
        [
            Tokens(7, 1),
            Tokens(10_007, 333),
            Tokens(9_000, 400, cache_read=8_192),
            Tokens(9_000, 400, reasoning=256),
            Tokens(120_000, 16_000, cache_read=100_000, reasoning=15_000),
        ],
    )
    async def test_each_kind_of_token_costs_its_own_price(self, provider: Provider, bills: Tokens, how: str) -> None:
        """Cached tokens are cheaper and reasoning is not extra; a stream says the same as an answer at once."""
        provider.will(says("yes", bills))
        budget = budget_of()
        await ask(budget.model(self.client(provider.url, max_tokens=16_000)), how)
        assert spent(budget) == self.cost(provider.billed) > 0
        assert held(budget) == 0

    # The bound

    @pytest.mark.parametrize("how", HOWS)
    async def test_the_cap_that_was_reserved_arrives(self, provider: Provider, how: str) -> None:
        """The bound holds because the provider is told about it: an endless answer ends where the money does."""
        provider.will(says("on and on", Tokens(2, 100_000)))
        budget = budget_of(Limit("usd", 0.005, per="session"))
        await ask(budget.model(self.client(provider.url)), how)
        (body,) = provider.bodies
        assert provider.billed[0].output == body[self.cap_field] < 100_000
        assert spent(budget) == self.cost(provider.billed) <= 5_000

    @pytest.mark.parametrize("how", HOWS)
    async def test_the_clients_own_cap_stands(self, provider: Provider, how: str) -> None:
        """A cap is only ever lowered: who asked for 100 tokens gets no more."""
        provider.will(says("yes"))
        await ask(budget_of().model(self.client(provider.url, max_tokens=100)), how)
        assert [body[self.cap_field] for body in provider.bodies] == [100]

    async def test_an_agent_that_never_ends_stops_within_its_limit(self, provider: Provider) -> None:
        """The promise of the pack, with the real client: the invoice is not above the limit."""
        endless = calls("get_order_status", {"order_id": "A1"}, Tokens(900, 300))
        limit = 30 * self.cost([endless.bills])
        agent = react([Limit("usd", limit / 1_000_000, per="session")], self.client(provider.will(endless).url))
        messages = agent.app.invoke(asks(), thread())["messages"]
        assert messages[-1].response_metadata["guard"]["status"] == "limit_cost"
        assert 0.7 * limit < self.cost(provider.billed) == agent.spent() <= limit

    # What goes wrong

    @pytest.mark.parametrize("how", HOWS)
    @pytest.mark.parametrize("reply", FREE, ids=lambda reply: str(reply.status))
    async def test_what_the_provider_refused_costs_nothing(self, provider: Provider, reply: Reply, how: str) -> None:
        """A rate limit or a bad key is no work done."""
        provider.will(reply)
        budget = budget_of()
        with pytest.raises(Exception, match="scripted"):
            await ask(budget.model(self.client(provider.url)), how)
        assert (spent(budget), spent(budget, "model_calls"), held(budget)) == (0, 0, 0)

    @pytest.mark.parametrize("how", HOWS)
    @pytest.mark.parametrize("reply", UNSURE, ids=lambda reply: str(reply.status))
    async def test_an_error_of_the_provider_costs_what_was_reserved(
        self, provider: Provider, reply: Reply, how: str
    ) -> None:
        """It broke down while it worked, for all we know."""
        provider.will(reply)
        budget = budget_of()
        with pytest.raises(Exception, match="scripted"):
            await ask(budget.model(self.client(provider.url, max_tokens=MOST_OUTPUT)), how)
        self._costs_the_reservation(budget, provider)

    @pytest.mark.parametrize("how", HOWS)
    async def test_an_answer_that_takes_too_long_costs_what_was_reserved(self, provider: Provider, how: str) -> None:
        """Nobody waited for it, and it was written all the same."""
        provider.will(says("late", Tokens(10, 100), wait=60))
        budget = budget_of()
        with pytest.raises(Exception, match=r"(?i)timed? ?out"):
            await ask(budget.model(self.client(provider.url, max_tokens=MOST_OUTPUT, timeout=0.25)), how)
        self._costs_the_reservation(budget, provider)

    @pytest.mark.parametrize("how", HOWS)
    async def test_a_limit_of_seconds_is_the_clients_time_out(self, provider: Provider, how: str) -> None:
        """A turn that may take a quarter of a second does not wait for ten minutes, the client's default."""
        provider.will(says("late", Tokens(10, 100), wait=60))
        budget = budget_of(Limit("usd", 10, per="session"), Limit("seconds", 0.25, per="call"))
        with pytest.raises(Exception) as late:  # noqa: PT011 - each client has its own
            await ask(budget.model(self.client(provider.url, max_tokens=MOST_OUTPUT)), how)
        assert "Timeout" in type(late.value).__name__
        self._costs_the_reservation(budget, provider)

    @pytest.mark.parametrize("how", HOWS)
    @pytest.mark.parametrize("cut", [1, 5, 30])
    async def test_an_answer_that_breaks_off_costs_what_was_reserved(
        self, provider: Provider, how: str, cut: int
    ) -> None:
        """The line went dead; the provider went on writing."""
        provider.will(says(LONG, Tokens(10, 100), cut=cut))
        budget = budget_of()
        with pytest.raises(Exception, match=r".+"):
            await ask(budget.model(self.client(provider.url, max_tokens=MOST_OUTPUT)), how)
        self._costs_the_reservation(budget, provider)

    @pytest.mark.parametrize("how", STREAMED)
    async def test_a_stream_that_tells_of_an_error_costs_what_was_reserved(self, provider: Provider, how: str) -> None:
        """HTTP said 200 long ago."""
        provider.will(says(LONG, Tokens(10, 100), broken=5))
        budget = budget_of()
        with pytest.raises(Exception, match="scripted"):
            await ask(budget.model(self.client(provider.url, max_tokens=MOST_OUTPUT)), how)
        self._costs_the_reservation(budget, provider)

    @pytest.mark.parametrize("how", STREAMED)
    async def test_a_stream_that_nobody_reads_to_its_end_is_closed(self, provider: Provider, how: str) -> None:
        """A reader that went away leaves nothing reserved, and no connection."""
        provider.will(says(LONG, Tokens(10, 100)))
        budget = budget_of()
        model = budget.model(self.client(provider.url, max_tokens=MOST_OUTPUT))
        if how == "stream":
            chunks = model.stream("hi", {"configurable": {"thread_id": "t"}})
            next(chunks)
            chunks.close()
        else:
            chunks = model.astream("hi", {"configurable": {"thread_id": "t"}})
            await anext(chunks)
            await chunks.aclose()
        self._costs_the_reservation(budget, provider)

    @pytest.mark.parametrize("how", HOWS)
    async def test_an_answer_without_usage_costs_what_was_reserved(self, provider: Provider, how: str) -> None:
        """What is not measured is not free."""
        provider.will(says("yes", Tokens(10, 100), reports=None))
        budget = budget_of()
        assert (await ask(budget.model(self.client(provider.url, max_tokens=MOST_OUTPUT)), how)).text.strip() == "yes"
        self._costs_the_reservation(budget, provider)

    @pytest.mark.parametrize("how", HOWS)
    async def test_a_request_that_nobody_took_costs_nothing(self, how: str) -> None:
        """Refused connections never left the machine."""
        budget = budget_of()
        with suppress(Exception):
            await ask(budget.model(self.client(f"http://127.0.0.1:{closed_port()}/v1")), how)
        assert (spent(budget), spent(budget, "model_calls"), held(budget)) == (0, 0, 0)

    def _costs_the_reservation(self, budget: Any, provider: Provider) -> None:
        """One call, charged at what was reserved: all of its cap, and a little for the question."""
        provider.was_asked()
        (body,) = provider.bodies
        reserved = self.cost([Tokens(0, body[self.cap_field])])
        assert body[self.cap_field] == MOST_OUTPUT
        assert reserved < spent(budget) < 1.1 * reserved
        assert spent(budget) >= self.cost(provider.billed)
        assert (spent(budget, "model_calls"), held(budget)) == (1, 0)

    def test_a_denied_call_never_reaches_the_provider(self, provider: Provider) -> None:
        """Refused is refused before a socket is opened."""
        provider.will(says("yes"))
        with pytest.raises(BudgetExceeded):
            budget_of(Limit("usd", 0.000001, per="session")).model(self.client(provider.url)).invoke("hi", thread())
        assert provider.requests == []
