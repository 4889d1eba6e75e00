"""The step log: one record per unit of a run, and nothing that a run could notice."""

from __future__ import annotations

import gc
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

from langgraph_guard import events
from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.observability.steps.step import FIELDS, KINDS, VERSION
from langgraph_guard.observability.steps.text import Shown
from tests.observability.stepped import CANARY, agent, ask, of_kind, recorded

every_way = pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke"])


def test_the_record_is_pinned() -> None:
    """People keep these files, and ask them with SQL: a change is a decision, and renaming a field raises VERSION."""
    assert VERSION == 1
    assert list(FIELDS) == [
        *("ts", "trace_id", "thread_id", "id", "parent_id", "kind", "name", "node", "step", "checkpoint_ns"),
        *("status", "duration_ms", "model", "input_tokens", "output_tokens", "cache_read_tokens", "cost_micro_usd"),
        *("error_type", "error", "tool_call_id", "args", "result", "attrs"),
    ]
    assert KINDS == ("run", "node", "llm", "tool", "guard", "interrupt", "resume", "chain", "feedback")


@every_way
def test_each_unit_of_a_run_is_one_record(how: str) -> None:
    """Nothing twice and nothing missing: totals are sums over these rows."""
    steps = [step for step in recorded(how) if step.kind != "chain"]
    assert [(step.kind, step.name, step.status) for step in steps] == [
        ("run", "LangGraph", "interrupted"),
        ("node", "model", "ok"),
        ("llm", "gpt-4o", "ok"),
        ("node", "tools", "ok"),
        ("tool", "look_up", "error"),
        ("node", "model", "ok"),
        ("llm", "gpt-4o", "ok"),
        ("node", "tools", "ok"),
        ("tool", "look_up", "ok"),
        ("node", "model", "ok"),
        ("llm", "gpt-4o", "ok"),
        ("node", "tools", "interrupted"),
        ("tool", "refund", "interrupted"),
        ("interrupt", "interrupt", "waiting"),
        ("run", "LangGraph", "ok"),
        ("resume", "resume", "ok"),
        ("node", "tools", "ok"),
        ("tool", "refund", "ok"),
        ("node", "model", "ok"),
        ("llm", "gpt-4o", "ok"),
    ]


@every_way
def test_each_record_stands_below_one_that_exists(how: str) -> None:
    """A record whose parent was left out would hang in the air."""
    steps = recorded(how)
    known = {step.id for step in steps}
    assert len(known) == len(steps)
    assert [step for step in steps if step.kind != "run" and step.parent_id not in known] == []


def test_a_tool_call_says_what_it_was_asked_and_what_it_answered() -> None:
    """The two questions that anybody has about a call."""
    _, found, *_ = of_kind(recorded(), "tool")
    assert (found.args, found.result) == ('{"order": "4711"}', "order 4711 has shipped")
    assert found.tool_call_id
    assert (found.node, found.step) == ("tools", 4)


def test_a_failed_tool_says_why() -> None:
    """With the text of the exception, and without the secret in it."""
    failed, *_ = of_kind(recorded(), "tool")
    assert (failed.error_type, failed.error) == ("TimeoutError", "upstream timed out with [redacted]")


def test_a_model_call_has_its_tokens_and_its_price() -> None:
    """gpt-4o by hand, in micro-USD: 1,000 · 2.50 + 50 · 10."""
    first, *_ = of_kind(recorded(), "llm")
    assert (first.model, first.input_tokens, first.output_tokens) == ("gpt-4o", 1_000, 50)
    assert first.cost_micro_usd == 3_000


def test_a_model_without_a_known_price_has_none() -> None:
    """Nothing is not zero: a sum over zeros would look like an answer."""
    steps: list[Step] = []

    class NoPrices:
        version = "none"

        def rates(self, *asked: Any, **how: Any) -> None:
            return None

    watching = StepRecorder(steps, price=NoPrices())
    ask(agent(), "invoke", watching)
    watching.close()
    assert {step.cost_micro_usd for step in steps} == {None}


def test_a_price_table_that_breaks_costs_a_price_and_no_record() -> None:
    """The table is the user's own, and so is its bug."""
    steps: list[Step] = []

    class Broken:
        version = "none"

        def rates(self, *asked: Any, **how: Any) -> None:
            raise RuntimeError("no table")

    watching = StepRecorder(steps, price=Broken())
    ask(agent(), "invoke", watching)
    watching.close()
    assert [step.cost_micro_usd for step in of_kind(steps, "llm")] == [None] * 3


def test_a_trace_id_in_the_metadata_holds_over_an_interrupt() -> None:
    """The run that goes on is part of the same story, in whichever process it is."""
    assert {step.trace_id for step in recorded(guard_trace_id="a" * 32)} == {"a" * 32}


def test_without_one_a_trace_is_a_run() -> None:
    """Its id is the run's own, which other tools show too."""
    steps = recorded()
    assert [step.trace_id for step in of_kind(steps, "run")] == [step.id for step in of_kind(steps, "run")]
    assert {step.thread_id for step in steps} == {"t-1"}


@every_way
def test_guards_are_heard_from_any_node_of_the_run(
    how: str, recorder: Callable[[], tuple[list[Step], StepRecorder]]
) -> None:
    """Under `Send`, in threads of their own: each event stands below the node that said it."""
    steps, watching = recorder()

    def fan_out(state: MessagesState) -> list[Send]:
        return [Send("worker", {"number": number}) for number in range(4)]

    def worker(state: Any) -> dict[str, Any]:
        events.emit("loop.found", guard="g", kind="identical", tool=f"tool-{state['number']}", count=3, rung="nudge")
        return {}

    async def aworker(state: Any) -> dict[str, Any]:
        return worker(state)

    graph = StateGraph(MessagesState)
    graph.add_node("worker", aworker if how == "ainvoke" else worker)
    graph.add_conditional_edges(START, fan_out, ["worker"])
    graph.add_edge("worker", END)
    ask(graph.compile(), how, watching)

    nodes = {step.id for step in of_kind(steps, "node")}
    said = of_kind(steps, "guard")
    assert len(said) == 4
    assert {step.parent_id for step in said} == nodes
    assert {step.attrs["tool"] for step in said} == {f"tool-{number}" for number in range(4)}


@every_way
def test_guards_are_heard_from_the_threads_of_a_tools_node(
    how: str, recorder: Callable[[], tuple[list[Step], StepRecorder]]
) -> None:
    """`ToolNode` runs the calls of a message side by side: what a guard says of one stands in the log."""
    steps, watching = recorder()

    @tool
    def cleans(text: str) -> str:
        """A tool that a guard has something to say of."""
        events.emit("tool.cleaned", tool="cleans", kinds=["ansi"], count=1)
        return text

    asked = [{"id": str(number), "name": "cleans", "args": {"text": "x"}} for number in range(3)]
    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([cleans]))
    graph.add_edge(START, "tools")
    ask(graph.compile(), how, watching, {"messages": [AIMessage("", tool_calls=asked)]})

    said = of_kind(steps, "guard")
    assert [step.name for step in said] == ["tool.cleaned"] * 3
    assert {step.parent_id for step in said} <= {step.id for step in steps}


def test_an_event_outside_a_run_is_nobodys(recorder: Callable[[], tuple[list[Step], StepRecorder]]) -> None:
    """A guard may be asked by a script: nothing is recorded, and nothing fails."""
    steps, _ = recorder()
    events.emit("loop.found", guard="g", kind="identical", tool="t", count=3, rung="nudge")
    assert steps == []


def test_a_closed_recorder_listens_no_more() -> None:
    """Each listener costs every guard of the process."""
    gc.collect()  # What other tests left behind ends now, and not in between.
    before = events.listening()
    watching = StepRecorder([])
    assert events.listening()
    watching.close()
    assert events.listening() == before


def test_what_never_ends_is_closed_with_its_run(recorder: Callable[[], tuple[list[Step], StepRecorder]]) -> None:
    """A tool that was given up goes on in its thread: the log says so, and the memory is given back."""
    steps, watching = recorder()
    root, call = _ids()
    watching.on_chain_start({}, {}, run_id=root, name="graph")
    watching.on_tool_start({"name": "slow"}, "{}", run_id=call, parent_run_id=root)
    watching.on_chain_end({}, run_id=root)
    watching.on_tool_end("late", run_id=call)
    assert [(step.name, step.status, step.error_type) for step in steps] == [
        ("slow", "error", "NotEnded"),
        ("graph", "ok", None),
    ]


def test_a_run_leaves_nothing_behind(recorder: Callable[[], tuple[list[Step], StepRecorder]]) -> None:
    """A worker runs for weeks."""
    _, watching = recorder()
    ask(agent(), "invoke", watching)
    assert len(watching._records.units) == 0
    assert not any(vars(watching._records.bills._charges)[name] for name in ("_calls", "_of_run", "_of_root"))


@pytest.mark.parametrize(
    "broken",
    [
        lambda watching: watching.on_chain_start(None, None, run_id=None, metadata=7),
        lambda watching: watching.on_tool_end(object(), run_id=object()),
        lambda watching: watching.on_llm_end(object(), run_id=_open(watching)),
        lambda watching: watching.on_custom_event("guard.x", object(), run_id=None),
        lambda watching: watching.on_interrupt(object()),
    ],
    ids=["metadata", "unknown run", "no result", "no data", "no event"],
)
def test_what_it_does_not_understand_does_not_stop_a_run(broken: Any) -> None:
    """LangChain of another version may say something else: a record is lost, and no answer."""
    watching = StepRecorder([])
    broken(watching)
    watching.close()


class Endless:
    """A value whose text nobody should ask for."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"x": "y" * 10_000_000}, 501),
        ([0] * 1_000_000, 501),
        ("z" * 10_000_000, 501),
        ({"x": Endless()}, 18),
        (Endless(), 11),
        ("\ud800 half a character", 18),
        (AIMessage("text"), 4),
    ],
    ids=["long text in a dict", "long list", "long text", "object in a dict", "object", "surrogate", "message"],
)
def test_arguments_are_cut_whatever_they_are(value: Any, shown: int) -> None:
    """Ten megabytes, or something that cannot be written down at all: a record stays small, and is one."""
    steps: list[Step] = []
    watching = StepRecorder(steps, redactor=Redactor(None))
    root = _ids()[0]
    watching.on_tool_start({"name": "t"}, "", run_id=root, inputs=value)
    watching.on_tool_end("ok", run_id=root)
    watching.close()
    assert steps[0].args is not None
    assert len(steps[0].args) <= shown
    steps[0].args.encode()


def test_arguments_can_be_left_out() -> None:
    """Where nothing of what people say may be on a disk."""
    steps: list[Step] = []
    watching = StepRecorder(steps, max_chars=0)
    ask(agent(), "invoke", watching)
    watching.close()
    assert {(step.args, step.result, step.error) for step in steps} == {(None, None, None)}


def test_a_secret_in_state_arguments_thread_or_exception_is_in_no_record() -> None:
    """One canary in each of the places that secrets come from."""

    @tool(CANARY)
    def named(api_key: str) -> str:
        """A tool that a model made up the name of."""
        raise ValueError(f"bad key {api_key} at https://u:{CANARY}@host/x?token={CANARY}")

    steps: list[Step] = []
    watching = StepRecorder(steps)

    def node(state: Any) -> Any:
        events.emit("breaker.refused", breaker="b", key=CANARY, state="open", retry_after=1.0)
        named.invoke({"api_key": CANARY})

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    config: Any = {
        "configurable": {"thread_id": f"user-{CANARY}"},
        "callbacks": [watching],
        "metadata": {"guard_trace_id": CANARY},
    }
    with pytest.raises(ValueError, match="bad key"):
        graph.compile().invoke({"messages": [HumanMessage(CANARY)]}, config)
    watching.close()
    assert {step.kind for step in steps} == {"run", "node", "guard", "tool"}
    assert CANARY not in repr(steps)


def test_a_redactor_that_raises_hides_everything() -> None:
    """A broken filter must not be an open one."""

    def broken(text: str) -> str:
        raise RuntimeError("the filter broke")

    steps: list[Step] = []
    watching = StepRecorder(steps, redactor=Redactor(broken))
    ask(agent(), "invoke", watching)
    watching.close()
    tools = of_kind(steps, "tool")
    assert tools
    assert all("order" not in str(step.args) and CANARY not in repr(step) for step in tools)


def test_a_function_of_a_secret_sees_the_whole_text_before_it_is_cut() -> None:
    """A secret that the cut goes through would be shown by half."""
    steps: list[Step] = []
    watching = StepRecorder(steps, max_chars=20)
    root = _ids()[0]
    watching.on_tool_start({"name": "t"}, "", run_id=root, inputs="x" * 10 + " " + CANARY)
    watching.on_tool_end("ok", run_id=root)
    watching.close()
    assert "canary" not in str(steps[0].args)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"sink": "steps.txt"}, "steps"),
        ({"sink": 7}, "steps"),
        ({"sink": [], "max_queue": 0}, "max_queue"),
        ({"sink": [], "max_chars": -1}, "max_chars"),
        ({"sink": print, "prompts": True}, "prompts"),
    ],
    ids=["file name", "sink", "queue", "chars", "prompts"],
)
def test_a_wrong_setting_fails_when_it_is_made(settings: dict[str, Any], field: str) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError) as refused:
        StepRecorder(**settings)
    assert refused.value.field == field


def test_it_writes_no_context_variable() -> None:
    """What `run_inline` asks for: in an async run, a handler that sets one leaks it into the caller."""
    watching = StepRecorder([])
    context = copy_context()
    before = dict(context)
    context.run(ask, agent(), "invoke", watching)
    watching.close()
    assert StepRecorder.run_inline
    assert {variable: value for variable, value in context.items() if before.get(variable) is not value} == {}


def test_one_recorder_serves_runs_in_many_threads() -> None:
    """A worker has one for all of its runs: records do not get under another run."""
    steps: list[Step] = []
    watching = StepRecorder(steps)
    threads = [threading.Thread(target=ask, args=(agent(), "invoke", watching)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    watching.close()
    by_trace = {trace: [step for step in steps if step.trace_id == trace] for trace in {s.trace_id for s in steps}}
    assert len(by_trace) == 4
    assert {len(of_kind(each, "llm")) for each in by_trace.values()} == {3}


# --- what the tests share ---


@pytest.fixture
def recorder() -> Any:
    """Makes recorders that write into a list, and closes them."""
    made: list[StepRecorder] = []

    def make() -> tuple[list[Step], StepRecorder]:
        steps: list[Step] = []
        made.append(StepRecorder(steps))
        return steps, made[-1]

    yield make
    for each in made:
        each.close()


def _ids() -> tuple[Any, Any]:
    return uuid.uuid4(), uuid.uuid4()


def _open(watching: StepRecorder) -> Any:
    root = _ids()[0]
    watching.on_llm_start({}, ["prompt"], run_id=root)
    return root


def test_no_column_shows_what_the_others_hide() -> None:
    """A node above a subgraph is in the namespace of all that is below it."""
    inner, outer = StateGraph(MessagesState), StateGraph(MessagesState)
    inner.add_node("inner", lambda state: {})
    inner.add_edge(START, "inner")
    inner.add_edge("inner", END)
    outer.add_node(CANARY, inner.compile())
    outer.add_edge(START, CANARY)
    outer.add_edge(CANARY, END)
    steps: list[Step] = []
    with closing(StepRecorder(steps)) as watching:
        outer.compile().invoke({"messages": []}, {"callbacks": [watching]})
    namespaces = {step.checkpoint_ns.partition(":")[0] for step in steps if step.checkpoint_ns}
    assert namespaces == {"[redacted]"}
    assert CANARY not in str(steps)


def test_a_secret_in_a_long_name_is_not_shown_in_part() -> None:
    """What is cut before it is looked at is not recognised."""
    shown = Shown(Redactor(lambda text: text.replace("CANARY" * 10, "#")), 500)
    assert "CANARY" not in str(shown.value({"x" * 190 + "CANARY" * 10: 1}))


def test_a_figure_is_looked_at_too() -> None:
    """A card number may be a number."""
    assert Shown(Redactor(), 500).facts({"limit": 7, "card": 4111111111111111}) == {"limit": 7, "card": "[redacted]"}
