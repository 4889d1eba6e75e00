"""The handlers by themselves: whose cost is whose, and that nothing is kept of runs that are over."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langfuse.api import Prompt_Text
from langfuse.langchain import CallbackHandler
from langfuse.model import TextPromptClient
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_guard.observability import run_config
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.langfuse.handler import GuardLangfuseHandler
from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.testing import Reply, ScriptedChatModel
from tests.observability.agent import Agent
from tests.servers.otlp import Receiver

PROMPT = TextPromptClient(
    Prompt_Text(name="greeter", version=7, prompt="hello", type="text", config={}, labels=[], tags=[])
)
ASKED = {"messages": [("user", "find kites")]}


def test_a_charge_finds_its_call_by_the_reservation(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """Two models side by side, one answer as long as the other, and one of them ten times as dear."""
    handle = seen()
    (handler,) = handle.handlers
    root, node, *calls = (uuid.uuid4() for _ in range(4))
    handler.on_chain_start({}, {}, run_id=root, name="graph")
    handler.on_chain_start({}, {}, run_id=node, parent_run_id=root, name="model")
    for name, call in zip(("cheap", "dear"), calls, strict=True):
        told = {"ls_model_name": name, "guard_reservations": [f"r-{name}"]}
        handler.on_custom_event(
            "guard.budget.reserved", {"reservation": f"r-{name}", "usd": 9, "tokens": 9}, run_id=node
        )
        handler.on_chat_model_start({}, [[]], run_id=call, parent_run_id=node, metadata=told, name=name)
    for call in calls:
        handler.on_llm_end(answer(), run_id=call, parent_run_id=node)
    for name, usd in (("dear", 2_000_000), ("cheap", 1_000_000)):
        said = {"reservation": f"r-{name}", "usd": usd, "tokens": 12, "model": name}
        handler.on_custom_event("guard.budget.settled", said, run_id=node)
    handler.on_chain_end({}, run_id=node, parent_run_id=root)
    handler.on_chain_end({}, run_id=root)
    assert handle.flush(60)
    costs = {span.name: span.json("langfuse.observation.cost_details") for span in langfuse.spans}
    assert (costs["cheap"], costs["dear"]) == ({"total": 1.0}, {"total": 2.0})


def test_a_call_that_is_forgotten_while_it_ends_is_shown(
    seen: Callable[..., Observability], langfuse: Receiver
) -> None:
    """The run around it ends in another thread: an observation that nobody closes never leaves, nor its memory."""
    handle = seen()
    (handler,) = handle.handlers
    call = uuid.uuid4()
    handler.on_chat_model_start({}, [[]], run_id=call, metadata={"guard_reservations": ["r"]}, name="cheap")
    handler.on_charge("budget.reserved", {"reservation": "r", "usd": 9, "tokens": 9})
    handler.on_charge("budget.settled", {"reservation": "r", "usd": 7, "tokens": 12})
    with handler._calls.ending(call):
        CallbackHandler.on_llm_end(handler, answer(), run_id=call)
        handler._calls.forget(call)
    assert handle.flush(60)
    assert [span.name for span in langfuse.spans] == ["cheap"]


def answer() -> LLMResult:
    """An answer of twelve tokens."""
    usage: Any = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
    return LLMResult(generations=[[ChatGeneration(message=AIMessage("said", usage_metadata=usage))]])


@pytest.mark.parametrize("ending", ["invoke", "ainvoke", "abandoned", "aabandoned", "raises", "cancelled"])
def test_nothing_is_kept_of_a_run_that_is_over(
    seen: Callable[..., Observability], langfuse: Receiver, ending: str
) -> None:
    """However it ended: a worker runs for months."""
    steps: list[Step] = []
    recorder = StepRecorder(steps)
    handle = seen(steps=recorder)
    asyncio.run(ended(ending))
    recorder.close()
    (handler,) = (each for each in handle.handlers if isinstance(each, GuardLangfuseHandler))
    kept = {
        name: len(held)
        for part in (handler, handler._wide, handler._calls, handler._calls._charges)
        for name, held in vars(part).items()
        if isinstance(held, dict)
    }
    assert {name: count for name, count in kept.items() if count} == {}
    charges = {name: held for name, held in vars(recorder._records.bills._charges).items() if isinstance(held, dict)}
    assert (len(recorder._records.units), {name: len(held) for name, held in charges.items() if held}) == (0, {})
    assert steps


def test_runs_that_never_end_are_bounded(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """A client that leaves at the first event: nobody tells the end of its run. What is known of it is shown."""
    handle = seen()
    (handler,) = handle.handlers
    handler._wide._most = 2
    roots = [uuid.uuid4() for _ in range(5)]
    for root in roots:
        handler.on_chain_start({}, {}, run_id=root, name="graph")
        handler.on_chain_start({}, {}, run_id=uuid.uuid4(), parent_run_id=root, name="node")
    assert handle.flush(60)
    kept = (handler._runs, handler._run_states, handler._root_run_states, handler._wide._of)
    assert [len(each) for each in kept] == [4, 4, 2, 2]
    said = [span.attributes.get("langfuse.observation.status_message") for span in langfuse.spans]
    assert said == ["not ended"] * 6


async def ended(ending: str) -> None:
    """A run that ends in one of the ways."""
    agent = Agent(InMemorySaver(), script=(Reply("Three kites.", usage=(10, 2)),))
    config = run_config(agent.app, thread_id="t-1", metadata={"langfuse_prompt": PROMPT})
    match ending:
        case "invoke":
            agent.app.invoke(ASKED, config)
        case "ainvoke":
            await agent.app.ainvoke(ASKED, config)
        case "abandoned":
            parts = agent.app.stream(ASKED, config)
            next(parts)
            parts.close()  # type: ignore[attr-defined]
        case "aabandoned":
            aparts = agent.app.astream(ASKED, config)
            await anext(aparts)
            await aparts.aclose()  # type: ignore[attr-defined]
        case "raises":
            agent.model = agent.budget.model(ScriptedChatModel([RuntimeError("down")]))
            agent.app = agent._build(InMemorySaver())
            with pytest.raises(RuntimeError):
                agent.app.invoke(ASKED, config)
        case "cancelled":
            asked = asyncio.Event()
            agent.model = agent.budget.model(Hangs([Reply("never")], asked=asked))
            agent.app = agent._build(InMemorySaver())
            run = asyncio.create_task(agent.app.ainvoke(ASKED, config))
            await asyncio.wait_for(asked.wait(), 60)
            run.cancel()
            await asyncio.wait([run], timeout=60)


class Hangs(ScriptedChatModel):
    """A model that says when it was asked, and nothing else."""

    asked: Any = None

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.set()
        await asyncio.Event().wait()
