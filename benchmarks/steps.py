"""What a StepRecorder adds to a run, per step, whether it grows with the state, and Langfuse's stock handler beside it.

A graph of a model that calls a tool three times, over a history of a message, of 20 KB and of 200 KB, and with answers
of 4 KB. No two answers are alike. The recorder writes to SQLite, its thread's work included. Langfuse's handler exports
to memory, so that no network is measured.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from benchmarks.measure import Batch, Row, Timing, interleaved, show
from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.testing import ScriptedChatModel, calls, says

GOAL: Final = 150e-6
FLAT: Final = 2.0
"""How much more a step may cost over 200 KB than over one message, beside what a clock of a busy machine is off by."""

RUNS: Final = 5
SIZES: Final = {"one message": (1, 20), "20 KB": (40, 500), "200 KB": (100, 2_000)}
"""Messages of a history, and characters of each."""


LONG: Final = 4_000
"""Characters of what a tool answers that has much to say."""


def rows(rounds: int = 30) -> Iterator[Row]:
    added: dict[str, float] = {}
    for name, (messages, chars) in SIZES.items():
        history: list[BaseMessage] = [HumanMessage("x" * chars) for _ in range(messages)]
        recorder, langfuse = measured(history, rounds)
        added[name] = recorder.added
        yield recorder.adds_less_than(GOAL, f"steps: a recorded step, history of {name}, against no recorder")
        ratio = beside(recorder.added, langfuse.added)
        claim = f"steps: what a step adds, history of {name}, against Langfuse's stock handler"
        yield Row(claim, f"+{show(recorder.added)}", f"+{show(langfuse.added)}", ratio, "< 1.00×", ratio < 1)
    yield answering(rounds)
    yield against_nothing(rounds)
    small, large = added["one message"], added["200 KB"]
    claim = "steps: what a step adds, history of 200 KB, against one message"
    yield Row(claim, f"+{show(large)}", f"+{show(small)}", beside(large, small), f"< {FLAT:.2f}×", large < FLAT * small)


class Deaf(BaseCallbackHandler):
    """Is told everything, and does nothing: what LangChain itself does for a run that anybody watches."""

    run_inline = True

    def on_chain_start(self, *said: Any, **more: Any) -> None: ...

    def on_chain_end(self, *said: Any, **more: Any) -> None: ...

    def on_tool_start(self, *said: Any, **more: Any) -> None: ...

    def on_tool_end(self, *said: Any, **more: Any) -> None: ...

    def on_chat_model_start(self, *said: Any, **more: Any) -> None: ...

    def on_llm_end(self, *said: Any, **more: Any) -> None: ...


def answering(rounds: int) -> Row:
    history: list[BaseMessage] = [HumanMessage("x")]
    steps, count = len(recorded(history)), min(RUNS, rounds)
    with tempfile.TemporaryDirectory() as folder, closing(StepRecorder(Path(folder) / "steps.db")) as recorder:
        ours, peer = runs(history, recorder, chars=LONG), runs(history, chars=LONG)
        timing = interleaved(ours, peer, rounds=rounds, calls=count)
    return per_step(timing, steps).adds_less_than(
        GOAL, "steps: a recorded step, tools answer 4 KB, against no recorder"
    )


def against_nothing(rounds: int) -> Row:
    history: list[BaseMessage] = [HumanMessage("x")]
    steps, count = len(recorded(history)), min(RUNS, rounds)
    with tempfile.TemporaryDirectory() as folder, closing(StepRecorder(Path(folder) / "steps.db")) as recorder:
        timing = interleaved(runs(history, recorder), runs(history, Deaf()), rounds=rounds, calls=count)
    claim = "steps: a recorded step, history of one message, against a handler that does nothing"
    return per_step(timing, steps).adds_less_than(GOAL, claim)


def beside(ours: float, theirs: float) -> float:
    """A ratio of two differences, either of which may come to nothing on a busy machine."""
    return max(ours, 0.0) / max(theirs, 1e-9)


def measured(history: list[BaseMessage], rounds: int) -> tuple[Timing, Timing]:
    """Seconds per step: with the recorder and with Langfuse, each against a run that nobody watches."""
    steps, count = len(recorded(history)), min(RUNS, rounds)
    with tempfile.TemporaryDirectory() as folder, closing(StepRecorder(Path(folder) / "steps.db")) as recorder:
        ours = per_step(interleaved(runs(history, recorder), runs(history), rounds=rounds, calls=count), steps)
    with stock() as (handler, flush):
        theirs = per_step(interleaved(runs(history, handler, flush), runs(history), rounds=rounds, calls=count), steps)
    return ours, theirs


def recorded(history: list[BaseMessage]) -> list[Step]:
    """The steps of one run."""
    steps: list[Step] = []
    with closing(StepRecorder(steps)) as recorder:
        runs(history, recorder)(1)
    return steps


def per_step(timing: Timing, steps: int) -> Timing:
    return Timing(timing.ours / steps, timing.peer / steps)


def runs(
    history: list[BaseMessage], handler: BaseCallbackHandler | None = None, flush: Any = None, chars: int = 0
) -> Batch:
    number = itertools.count()

    @tool
    def look_up(order: str) -> str:
        """Where an order is."""
        return f"parcel {next(number)} of order {order} has shipped".ljust(chars, ".")

    graph = StateGraph(MessagesState)
    asks = [calls("look_up", {"order": "4711"}, usage=(1_000, 50))] * 3
    model = ScriptedChatModel([*asks, says("It has shipped.", usage=(1_200, 10))], cycle=True, model_name="gpt-4o")
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([look_up]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    graph.add_edge("tools", "model")
    app: Any = graph.compile()
    config: Any = {"callbacks": [handler] if handler else []}
    written = flush or (handler.flush if isinstance(handler, StepRecorder) else lambda: None)

    def batch(count: int) -> None:
        for _ in range(count):
            app.invoke({"messages": history}, config)
        written()  # What a thread does for a run is part of what it costs.

    return batch


@contextmanager
def stock() -> Iterator[tuple[BaseCallbackHandler, Any]]:
    """Langfuse's handler as it comes, and what waits for its exports."""
    from langfuse import Langfuse
    from langfuse.langchain import CallbackHandler
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, key = InMemorySpanExporter(), "pk-lf-benchmark-steps"
    # Nothing is sent to the address: spans go to the exporter, and there are no scores.
    address = "http://127.0.0.1:9"
    client = Langfuse(
        public_key=key,
        secret_key="sk-lf-benchmark",
        base_url=address,
        tracer_provider=TracerProvider(),
        span_exporter=exporter,
    )

    def flush() -> None:
        client.flush()
        exporter.clear()

    yield CallbackHandler(public_key=key), flush
    client.flush()
