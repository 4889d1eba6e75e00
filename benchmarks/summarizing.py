"""What a summarizer costs: its own time while there is nothing to do, and what it sends to its model.

The history of the first part has 1,000 messages and stays far below the limit. Seen again they are the same objects;
from a checkpoint they are others that say the same. The peer is LangChain's middleware with its own counter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

from langchain_core.messages import BaseMessage

from benchmarks.measure import Row, interleaved, show, times
from benchmarks.recall import PEERS, TURNS, Run, is_here, played
from benchmarks.recall_peers import LANGCHAIN, OURS
from benchmarks.recall_talks import Shape
from benchmarks.tokens import searches
from benchmarks.vocabulary import NoVocabulary, encodings, finding
from langgraph_guard import SummarizationNode
from langgraph_guard.testing import ScriptedChatModel, says

MESSAGES: Final = 1_000
IDLE: Final = 1e-3
"""Seconds of the node's own time."""

SENT: Final = 0.5
ROOM: Final = 10**8
LOADS: Final = 8
TINY: Final = (20,)
SHAPES: Final[tuple[Shape, ...]] = ("chat", "agent", "pages")

Visit = Callable[[list[BaseMessage]], object]


def rows(rounds: int = 20) -> Iterator[Row]:
    try:
        found = encodings()
    except NoVocabulary as why:
        yield Row.skipped("summarizing", str(why))
        return
    with finding(found):
        if is_here(LANGCHAIN):
            yield from idle(rounds)
        for shape in SHAPES:
            for peer in filter(is_here, PEERS):
                yield sent(shape, peer, TURNS if rounds > 1 else TINY)
    yield from (Row.skipped("summarizing", f"{name} is not installed") for name in PEERS if not is_here(name))


def idle(rounds: int) -> Iterator[Row]:
    talk = searches(MESSAGES if rounds > 1 else 40)
    loaded = [[message.model_copy(deep=True) for message in talk] for _ in range(LOADS)]
    for what, histories in (("the same objects", [talk]), ("just reloaded", loaded)):
        timing = interleaved(over(ours(), histories), over(langchain(), histories), rounds=rounds, calls=LOADS)
        claim = f"summarizing: a visit of {len(talk):,} messages, {what}, nothing to do, against {LANGCHAIN}"
        yield Row(claim, show(timing.ours), show(timing.peer), timing.ratio, f"≤ {show(IDLE)}", timing.ours <= IDLE)


def over(visit: Visit, histories: list[list[BaseMessage]]) -> Callable[[int], object]:
    """Visits of one history after another."""
    turns = cycle(histories)
    return times(lambda: visit(next(turns)))


def ours() -> Visit:
    node = SummarizationNode(max_tokens=ROOM)
    return lambda messages: node.invoke({"messages": messages})


def langchain() -> Visit:
    from langchain.agents.middleware import SummarizationMiddleware

    middleware: Any = SummarizationMiddleware(ScriptedChatModel([says("")]), trigger=("tokens", ROOM))
    return lambda messages: middleware.before_model({"messages": messages}, None)


def sent(shape: Shape, peer: str, turns: tuple[int, ...]) -> Row:
    """Tokens that the summarizer read per turn, from the beginning to the last turn."""
    one, other = played(OURS, shape, turns), played(peer, shape, turns)
    ratio = per_turn(one) / max(per_turn(other), 1)
    claim = f"summarizing: {shape}, tokens sent to the summarizer per turn, against {peer}"
    return Row(claim, told(one), told(other), ratio, f"≤ {SENT}×", ratio <= SENT)


def per_turn(run: Run) -> float:
    return sum(run.sent) / run.turns


def told(run: Run) -> str:
    return f"{per_turn(run):,.0f} ({len(run.sent) / run.talks:,.0f} calls)"
