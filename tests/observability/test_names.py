"""What a run is called by, and what it names itself: also what no wire takes, what is too long, and what is a link."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.agents import AgentAction, AgentFinish
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langfuse.api import Prompt_Text
from langfuse.model import TextPromptClient
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_guard.events import emit
from langgraph_guard.observability import default_redact, feedback, run_config
from langgraph_guard.observability.credentials import HIDDEN
from langgraph_guard.observability.handle import Dropped, Observability
from langgraph_guard.observability.langfuse.payload import Payload, Payloads
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.testing import Reply, ScriptedChatModel
from tests.servers.otlp import Receiver

ASKED = {"messages": [("user", "find kites")]}
ENOUGH = 60.0
HALF = "half \ud83d"
"""Half an emoji: what is left of one where a text was cut by its UTF-16 length."""
ARGUMENTS = {"type": "object", "properties": {"q": {"type": "string"}}}
CARD = 4929427474747479
PAYLOADS = ("slim", "full", "none")


def said_of(node: Callable[[MessagesState, RunnableConfig], Any]) -> Any:
    """A graph of one node."""
    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph.compile()


def everywhere(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    """A decision; and, where it is asked for, half an emoji in whatever is named or said."""
    emit("tool.retried", tool="search", attempt=1, pause=0.0, error_type="transient")
    if state["messages"][-1].content != HALF:
        return {}
    emit(f"{HALF}.retried", tool=HALF, kinds=[HALF], **{HALF: {HALF: HALF}})
    tool = StructuredTool.from_function(lambda q: q, name=HALF, description=HALF, args_schema=ARGUMENTS)
    model = ScriptedChatModel([Reply(HALF, tool_calls=[(HALF, {HALF: HALF})])], model_name=HALF)
    model.bind_tools([tool]).invoke(HALF, {"run_name": HALF, "tags": [HALF], "metadata": {HALF: [HALF]}})
    tool.invoke({"q": HALF})
    raise ValueError(HALF)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_half_a_character_costs_no_other_run_its_trace(
    langfuse: Receiver,
    seen: Callable[..., Observability],
    monkeypatch: pytest.MonkeyPatch,
    payload: Payload,
) -> None:
    """It cannot be written as UTF-8: the whole batch would be lost, all runs of all users in it."""
    monkeypatch.setattr("langgraph_guard.observability.setting_up.EXIT", ENOUGH)  # what is late would be lost
    monkeypatch.setenv("LANGFUSE_TRACING_ENVIRONMENT", "e-\udcff")
    app, traces = said_of(everywhere), []
    with Receiver() as collector:
        handle = seen(otlp=collector.url, payload=payload, redact=None if payload == "full" else default_redact)
        for n in range(20):
            told: dict[str, Any] = {"thread_id": f"t-{n}", "user_id": "u"}
            if n == 10:
                told = {"thread_id": HALF, "user_id": HALF, "session_id": HALF, "tags": [HALF], "run_name": HALF}
                told["metadata"] = {HALF: HALF, "more": {HALF: [HALF]}, "langfuse_trace_name": HALF}
            config = run_config(app, **told)
            traces.append(config["metadata"]["guard_trace_id"])
            if n == 10:
                with pytest.raises(ValueError, match="half"):
                    app.invoke({"messages": [("user", HALF)]}, config)
                feedback(HALF, HALF, HALF)
            else:
                app.invoke(ASKED, config)
        assert handle.flush(ENOUGH)
        assert handle.dropped == Dropped()
        counted = [Counter(span.trace_id for span in each.spans) for each in (langfuse, collector)]
    assert counted == [{trace: 6 if n == 10 else 3 for n, trace in enumerate(traces)}] * 2
    whose = {span.attributes.get("user.id") for span in langfuse.spans if span.trace_id == traces[10]}
    assert whose == {"half ?"}
    assert Counter(score["traceId"] for score in langfuse.scores) == {
        trace: 3 if n == 10 else 1 for n, trace in enumerate(traces)
    }


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_call_keeps_its_link_to_a_prompt(
    seen: Callable[..., Observability], langfuse: Receiver, payload: Payload
) -> None:
    """Which version of a prompt did well is what prompts are kept at Langfuse for; its text is in no payload."""
    given = Prompt_Text(name="greeter", version=7, prompt="a SECRET", type="text", config={}, labels=[], tags=[])
    template = ChatPromptTemplate.from_template("hi {x}")
    template.metadata = {"langfuse_prompt": TextPromptClient(given)}
    chain = template | ScriptedChatModel([Reply("fine", usage=(5, 3))])
    handle = seen(payload=payload)
    app = said_of(lambda state, config: {"messages": [chain.invoke({"x": "you"}, config)]})
    app.invoke(ASKED, run_config())
    assert handle.flush(ENOUGH)
    (call,) = (span.attributes for span in langfuse.spans if span.type == "generation")
    assert (call["langfuse.observation.prompt.name"], call["langfuse.observation.prompt.version"]) == ("greeter", 7)
    assert b"SECRET" not in langfuse.wire


@pytest.mark.parametrize("given", ["a name", object(), 7], ids=["a text", "an object", "a number"])
def test_what_is_no_prompt_links_nothing(seen: Callable[..., Observability], langfuse: Receiver, given: object) -> None:
    """The stock handler would leave the call out."""
    handle = seen()
    model = ScriptedChatModel([Reply("fine")])
    app = said_of(lambda state: {"messages": [model.invoke("hello")]})
    app.invoke(ASKED, run_config(metadata={"langfuse_prompt": given}))
    assert handle.flush(ENOUGH)
    assert [span.type for span in langfuse.spans].count("generation") == 1


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_an_agent_decides_is_shown_as_little_as_anything(
    seen: Callable[..., Observability], langfuse: Receiver, payload: Payload
) -> None:
    """The older agents say it by callbacks of their own, with the tool's arguments and the model's thoughts."""
    handle = seen(payload=payload, redact=lambda text: text.replace("SECRET", "#"))

    def decide(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        for say in (
            lambda run: run.on_agent_action(AgentAction("pay", {"card": "SECRET", "to": "bob"}, "I think SECRET")),
            lambda run: run.on_agent_finish(AgentFinish({"output": "paid bob, SECRET"}, "done SECRET")),
        ):
            run = config["callbacks"].on_chain_start({"name": "AgentExecutor"}, {})
            say(run)
            run.on_chain_error(RuntimeError("its tool raised"))
        return {}

    said_of(decide).invoke(ASKED, run_config())
    assert handle.flush(ENOUGH)
    shown = [span.attributes.get("langfuse.observation.output", "") for span in langfuse.named("AgentExecutor")]
    assert b"SECRET" not in langfuse.wire
    assert ["bob" in each for each in shown] == [payload != "none"] * 2


def test_a_session_of_the_programs_own_stays(seen: Callable[..., Observability]) -> None:
    """A visit of several threads, say: the thread is its session only where nobody says otherwise."""
    own = {"langfuse_session_id": "visit-1"}
    said = [
        run_config(thread_id="t-1", metadata=own),
        run_config(thread_id="t-1", metadata=own, session_id="visit-2"),
        run_config(thread_id="t-1", metadata={"langfuse_session_id": None}),
    ]
    assert [config["metadata"]["langfuse_session_id"] for config in said] == ["visit-1", "visit-2", "t-1"]


def test_ids_that_are_too_long_are_cut_and_stay_apart(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """Langfuse takes 200 characters, and drops a session's or a user's id that is longer."""
    handle, app = seen(), said_of(lambda state: {})
    for end in ("a", "b"):
        app.invoke(ASKED, run_config(thread_id="t", session_id=f"{'s' * 5_000}{end}", user_id=f"{'u' * 200}{end}"))
    assert handle.flush(ENOUGH)
    sessions, users = (
        {span.attributes.get(f"{each}.id", "") for span in langfuse.spans} for each in ("session", "user")
    )
    assert [len(each) for each in (sessions, users)] == [2, 2]
    assert {len(id) for id in sessions | users} == {200}
    assert {id[:150] for id in users} == {"u" * 150}


def test_a_long_tag_costs_no_trace_its_tags(
    seen: Callable[..., Observability], langfuse: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor a long name its name; what the program says at length is at the root alone, and no run is warned of it."""
    handle, app = seen(), said_of(lambda state: {})
    config = run_config(thread_id="t", tags=["t" * 300, "short"])
    config["metadata"] |= {"langfuse_trace_name": "n" * 300, "order": "o" * 300, "shop": "s" * 198}
    app.invoke(ASKED, config)
    assert handle.flush(ENOUGH)
    root = next(span for span in langfuse.spans if not langfuse.parent(span))
    below = [span for span in langfuse.spans if langfuse.parent(span)]
    assert {len(span.attributes["langfuse.trace.name"]) for span in langfuse.spans} == {200}
    assert {tuple(sorted(map(len, span.attributes["langfuse.trace.tags"]))) for span in langfuse.spans} == {(5, 200)}
    assert "o" * 300 in str(root.attributes)
    assert not [span for span in below if "ooo" in str(span.attributes)]
    assert all("s" * 198 in str(span.attributes) for span in langfuse.spans)
    assert not caplog.records


def test_an_id_that_fits_is_left_alone() -> None:
    """People look for it by what they know it as."""
    shown = Payloads("slim", Redactor()).metadata({"langfuse_user_id": "u" * 200})
    assert shown == {"langfuse_user_id": "u" * 200}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_card_number_is_hidden_as_a_figure_too(payload: Payload) -> None:
    """JSON has it as a number, and metadata is shown in every payload: as a value, as a name, and within."""
    payloads = Payloads(payload, Redactor())
    told: dict[Any, Any] = {"card": CARD, CARD: 1, "cards": [CARD, {CARD: CARD}], "step": 3}
    shown = payloads.metadata(told)
    assert shown == {"card": HIDDEN, HIDDEN: 1, "cards": [HIDDEN, {HIDDEN: HIDDEN}], "step": 3}
    assert str(CARD) not in json.dumps(payloads.picked(told))
