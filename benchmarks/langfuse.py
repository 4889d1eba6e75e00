"""What watching a run with Langfuse adds to it: our handler, which shows little of a state, against the stock one.

Both make the same observations, and both are exported as on the wire, protobuf and gzip, to nowhere. The history
grows, since that is what a run's state is made of, and what the stock handler serialises at every node.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from benchmarks.measure import Row, show

NODES: Final = 4
SIZES: Final = ((1, 500, None), (20, 500, 0.5), (20, 1_000, 0.5), (200, 500, 0.33))
"""KB of history, bytes of one message, and how much of the stock handler's added CPU may be ours. Few long messages
are the harder case: the stock handler serialises them faster, and what is the same for both weighs more."""

Run = Callable[[], object]


def rows(rounds: int = 15, calls: int = 5) -> Iterator[Row]:
    few = rounds == 1
    for size, message, goal in SIZES:
        alone, ours, stock = _measured(history(size, message), rounds, 1 if few else calls)
        ratio = max(0.0, ours - alone) / max(1e-9, stock - alone)
        yield Row(
            f"langfuse: CPU that it adds to a run, {size} KB in messages of {message:,} bytes, slim against stock",
            f"+{show(max(0.0, ours - alone))}",
            f"+{show(stock - alone)}",
            ratio,
            "–" if goal is None else f"≤ {goal:.2f}×",
            None if goal is None else ratio <= goal,
        )


class Nowhere(SpanExporter):
    """Encodes what it is given, as the real one does before it sends."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        gzip.compress(encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS


def _measured(messages: list[AnyMessage], rounds: int, calls: int) -> list[float]:
    """CPU seconds of a run without a handler, with ours and with the stock one: of interleaved rounds the lower
    quartile, since what else the machine does can only add, and adds the same to all."""
    app, asked = graph(), {"messages": messages}
    arms = [_arm(app, asked, handler, client) for handler, client in ((None, None), _ours(), _stock())]
    found: list[list[float]] = [[] for _ in arms]
    for arm in arms:
        arm(1)
    for turn in range(rounds):
        for place in range(len(arms)):
            at = (place + turn) % len(arms)
            found[at].append(arms[at](calls))
    return [sorted(each)[len(each) // 4] for each in found]


def _arm(app: Any, asked: dict[str, Any], handler: Any, client: Any) -> Callable[[int], float]:
    config: dict[str, Any] = {"callbacks": [handler] if handler else []}

    def timed(calls: int) -> float:
        began = time.process_time()
        for _ in range(calls):
            app.invoke(asked, config)
        if client is not None:
            client.flush()
        return (time.process_time() - began) / calls

    return timed


def _ours() -> tuple[Any, Any]:
    from langgraph_guard.observability import Redactor
    from langgraph_guard.observability.langfuse.client import local
    from langgraph_guard.observability.langfuse.handler import GuardLangfuseHandler
    from langgraph_guard.observability.langfuse.payload import Payloads

    client = local(Nowhere(), full=False)
    return GuardLangfuseHandler(client, Payloads("slim", Redactor()), scores=False), client


def _stock() -> tuple[Any, Any]:
    from langfuse.langchain import CallbackHandler

    from langgraph_guard.observability.langfuse import private
    from langgraph_guard.observability.langfuse.client import local

    client = local(Nowhere(), full=True)
    return CallbackHandler(public_key=private.public_key(client)), client


def history(size: int, message: int = 500) -> list[AnyMessage]:
    """`size` KB of talk, in messages of so many bytes."""
    text = ("kites and strings " * (message // 18 + 1))[:message]
    return [(HumanMessage if n % 2 == 0 else AIMessage)(text, id=str(n)) for n in range(1_000 * size // message)]


def graph() -> Any:
    """Nodes in a row, each with a model call and an edge to decide on: 13 observations a run."""
    model = FakeListChatModel(responses=["fine"])
    building = StateGraph(MessagesState)
    names = [f"node_{n}" for n in range(NODES)]
    for name, following in zip(names, [*names[1:], END], strict=True):
        building.add_node(name, lambda state: {"messages": [model.invoke(state["messages"])]})
        building.add_conditional_edges(name, lambda _, to=following: to, [following])
    building.add_edge(START, names[0])
    return building.compile()
