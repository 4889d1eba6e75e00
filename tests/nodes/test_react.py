"""An agent cannot spend more than it may: the README's graph, run for real."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard import Limit, MemoryBackend, guard_report
from langgraph_guard.nodes.counting import prompt_size
from langgraph_guard.policies.ledger import Account, Charge, Reserve, Settle
from langgraph_guard.testing import ScriptedChatModel, says
from tests.nodes.agents import Agent, answers_after, asks, is_valid, loops, react, thread

MODES = ("invoke", "stream", "stream_messages", "ainvoke", "astream", "astream_messages")

FIVE_CENTS = 50_000


async def play(app: Any, state: Any, config: Any, mode: str) -> list[Any]:
    """Run `app` in one of `MODES` and return the messages at its end."""
    if mode == "invoke":
        final = app.invoke(state, config)
    elif mode == "ainvoke":
        final = await app.ainvoke(state, config)
    elif mode.startswith("stream"):
        modes = ["values", "messages"] if mode.endswith("messages") else ["values"]
        final = [part for kind, part in app.stream(state, config, stream_mode=modes) if kind == "values"][-1]
    else:
        modes = ["values", "messages"] if mode.endswith("messages") else ["values"]
        final = [part async for kind, part in app.astream(state, config, stream_mode=modes) if kind == "values"][-1]
    return list(final["messages"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", range(10))
async def test_a_looping_agent_stops_within_its_limit(mode: str, number: int) -> None:
    """The promise of the pack: five cents are five cents, however the graph is run."""
    agent = react([Limit("usd", 0.05, per="session")], loops((8_000 + 137 * number, 1_000 + number)))
    messages = await play(agent.app, asks(), thread(), mode)
    assert 0 < agent.spent() <= FIVE_CENTS
    assert agent.spent() > 0.9 * FIVE_CENTS, "a budget that stops early is no use either"
    assert agent.held() == 0
    assert is_valid(messages)
    guard = messages[-1].response_metadata["guard"]
    assert guard["status"] == "limit_cost"
    assert "limit_cost" in messages[-1].text
    assert "get_order_status" in messages[-1].text, "a partial answer says what was done"


@pytest.mark.parametrize("mode", MODES)
async def test_another_worker_takes_the_money_between_gate_and_meter(mode: str) -> None:
    """A gate that was passed is no money: the meter asks again, and its denial is a verdict, not a crash."""
    backend = MemoryBackend()
    agent = react([Limit("usd", 0.05, per="session")], backend=backend)
    account = Account("", "session", "t", "usd")

    def take_the_rest(messages: Any) -> Any:
        backend.ledger.execute([Reserve("other", (Charge(account, FIVE_CENTS),)), Settle("other")])
        return says("never sent")

    agent.budget._meter.size = prompt_size(lambda messages, tools=(), *, model=None: take_the_rest(messages) and 100)
    messages = await play(agent.app, asks(), thread(), mode)
    assert agent.model.call_count == 0
    assert agent.spent() == FIVE_CENTS
    assert messages[-1].response_metadata["guard"]["status"] == "limit_cost"


async def test_a_healthy_agent_does_not_notice() -> None:
    """A guard never makes a healthy run fail, or changes what it answers."""
    agent = react([Limit("usd", 0.05, per="session"), Limit("model_calls", 25, per="turn")], answers_after(3))
    messages = await play(agent.app, asks(), thread(), "invoke")
    assert messages[-1].text == "It has shipped."
    assert "guard" not in messages[-1].response_metadata


async def test_the_report_reads_what_the_thread_used(saver: Any) -> None:
    """The end is visible, and so is the way there."""
    agent = react([Limit("usd", 0.05, per="session")], checkpointer=saver)
    agent.app.invoke(asks(), thread())
    report = guard_report(agent.app, thread())
    assert report.status == "limit_cost"
    assert report.session["usd"] == agent.spent()
    assert report.turn["model_calls"] == agent.model.call_count == report.session["model_calls"]
    assert [decision["route"] for decision in report.decisions] == ["warn", "exceeded"]


async def test_the_landing_is_paid_from_what_was_kept_aside(saver: Any) -> None:
    """The run can always end with an answer by a model, and that too stays within the limit."""
    landing = ScriptedChatModel([says("Order A1 could not be reached.", usage=(2_000, 40))])
    agent = react([Limit("usd", 0.05, per="session")], landing=landing, checkpointer=saver)
    messages = agent.app.invoke(asks(), thread())["messages"]
    assert landing.call_count == 1
    assert messages[-1].text.startswith("Order A1 could not be reached.")
    assert agent.spent() <= FIVE_CENTS
    assert guard_report(agent.app, thread()).session["usd"] == agent.spent()


@pytest.mark.parametrize("broken", [RuntimeError("down"), TimeoutError("slow")])
async def test_a_broken_landing_model_does_not_fail_the_run(broken: Exception) -> None:
    """What closes a run must not be able to break it."""
    agent = react([Limit("usd", 0.05, per="session")], landing=ScriptedChatModel([broken]))
    messages = agent.app.invoke(asks(), thread())["messages"]
    assert "get_order_status" in messages[-1].text


def limits_and_statuses() -> list[tuple[Limit, str]]:
    """One limit of each kind, and the status of a run that it ends."""
    return [
        (Limit("tokens", 60_000, per="turn"), "limit_tokens"),
        (Limit("model_calls", 4, per="turn"), "limit_calls"),
        (Limit("model_calls", 4, per="session"), "limit_calls"),
        (Limit("tool_calls", 4, per="turn"), "limit_calls"),
        (Limit("steps", 9, per="turn"), "limit_steps"),
        (Limit("usd", 0.02, per="global", window="hour"), "limit_cost"),
        (Limit("usd", 0.02, per="turn"), "limit_cost"),
    ]


@pytest.mark.parametrize(("limit", "status"), limits_and_statuses())
async def test_each_unit_ends_the_run_with_its_own_reason(limit: Limit, status: str) -> None:
    """A machine can tell why a run ended."""
    agent = react([limit])
    messages = agent.app.invoke(asks(), thread())["messages"]
    assert messages[-1].response_metadata["guard"]["status"] == status
    assert is_valid(messages)


async def test_a_count_of_calls_is_exact() -> None:
    """Four model calls are four."""
    agent = react([Limit("model_calls", 4, per="turn")])
    agent.app.invoke(asks(), thread())
    assert agent.model.call_count == 4


async def test_a_new_message_opens_a_new_turn(saver: Any) -> None:
    """A halt is over when the person speaks again; what is limited per session is not."""
    agent = react([Limit("model_calls", 2, per="turn")], checkpointer=saver)
    agent.app.invoke(asks(), thread())
    agent.app.invoke(asks("And now?"), thread())
    assert agent.model.call_count == 4
    assert agent.balance("session", "t", "model_calls").spent == 4


def _final(agent: Agent) -> Any:
    return agent.app.get_state(thread()).values["messages"][-1]


async def test_without_a_thread_a_run_is_a_turn() -> None:
    """A stateless service has limits per turn as well."""
    agent = react([Limit("model_calls", 3, per="turn")])
    for _ in range(2):
        agent.app.invoke(asks(), {"recursion_limit": 100})
    assert agent.model.call_count == 6
