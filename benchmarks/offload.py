"""Tokens that a model reads over a run, when results are kept out of its context.

The run: twelve calls of tools, one after the other, each followed by a call of the model, which reads all messages from
the beginning. Eight calls bring a JSON record of 3,800 tokens of which three fields matter, four bring a page of 30 KB,
and a part of one page is read back. The peer hands over what the tools returned, and needs no reading back.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from benchmarks.measure import Row
from benchmarks.texts import prose
from benchmarks.vocabulary import NoVocabulary, encodings, finding
from langgraph_guard.tokens.counter import TokenCounter
from langgraph_guard.tools.content.artifacts import Offloaded, offload, page
from langgraph_guard.tools.content.cleaning import clean, fence
from langgraph_guard.tools.content.select import select

MODEL: Final = "gpt-4o"
LIMIT: Final = 8_000
"""Characters from which a result is offloaded."""

READ: Final = 8_000
KEEP: Final = ("order.id", "order.status", "order.eta")
GOAL: Final = 0.6
CALLS: Final = ("orders", "orders", "page") * 4
READ_BACK: Final = 5

Shape = Callable[[str, int, str], str]
"""What the model reads of a result, by its tool and its place in the run."""


def rows(rounds: int = 5) -> Iterator[Row]:
    """Counts do not vary: one round only makes the run shorter."""
    try:
        found = encodings()
    except NoVocabulary as why:
        yield Row.skipped("offload", str(why))
        return
    calls = CALLS if rounds > 1 else CALLS[:3]
    with finding(found):
        raw = read_over(run(calls, lambda tool, at, text: text))
        for claim, shape, goal in (
            ("fields kept", selected, None),
            ("big results offloaded", offloaded, None),
            ("both", both, GOAL),
            ("both, cleaned and fenced", fenced, GOAL),
        ):
            yield saved(f"offload: {claim}", read_over(run(calls, shape)), raw, goal)


def saved(claim: str, ours: int, raw: int, goal: float | None) -> Row:
    share = 1 - ours / raw
    told = f"{ours:,} tokens ({share:.0%} saved)"
    held = (f"≥ {goal:.0%} saved", share >= goal) if goal else ("–", None)
    return Row(claim, told, f"{raw:,} tokens, raw", raw / ours, *held)


def read_over(talk: list[BaseMessage]) -> int:
    """Prompt tokens of all calls of the model together: each ends with a result that it has not seen."""
    count = TokenCounter(MODEL)
    return sum(count(talk[: at + 1]) for at, message in enumerate(talk) if not isinstance(message, AIMessage))


def run(calls: tuple[str, ...], shape: Shape) -> list[BaseMessage]:
    """The conversation. A page that was offloaded is read from where its preview ends."""
    talk: list[BaseMessage] = [HumanMessage("Where are the orders, and what do the manuals say of them?", id="h")]
    for at, tool in enumerate(calls):
        text = RESULTS[tool](at)
        shown = shape(tool, at, text)
        talk += called(tool, at, {"number": at}, shown)
        if at == min(READ_BACK, len(calls) - 1) and (kept := aside(text, at)) and len(shown) < len(text):
            talk += called("read_artifact", at, {"id": f"a{at}", "offset": 1_200}, page(kept.record, 1_200, READ))
    return talk


def called(tool: str, at: int, args: dict[str, Any], result: str) -> list[BaseMessage]:
    id = f"{tool}-{at}"
    call: Any = {"name": tool, "args": args, "id": id}
    return [AIMessage("", tool_calls=[call], id=f"c-{id}"), ToolMessage(result, name=tool, tool_call_id=id, id=id)]


def order(at: int) -> str:
    """Three useful fields, and 200 others."""
    dice = random.Random(at)
    others = {f"attribute_{number}": dice.randbytes(10).hex() for number in range(200)}
    return json.dumps({"order": {"id": at, "status": "shipped", "eta": "2026-11-24", **others}, "took_ms": 12})


def manual(at: int) -> str:
    dice = random.Random(at)
    return "\n".join(prose("English, manual", dice)[:100] for _ in range(300))


RESULTS: Final[dict[str, Callable[[int], str]]] = {"orders": order, "page": manual}


def aside(text: str, at: int) -> Offloaded | None:
    return offload(text, id=f"a{at}", tool="page", call=f"page-{at}", limit=LIMIT, at=at)


def selected(tool: str, at: int, text: str) -> str:
    return str(select(text, KEEP)) if tool == "orders" else text


def offloaded(tool: str, at: int, text: str) -> str:
    found = aside(text, at)
    return found.preview if found else text


def both(tool: str, at: int, text: str) -> str:
    return offloaded(tool, at, selected(tool, at, text))


def fenced(tool: str, at: int, text: str) -> str:
    return fence(both(tool, at, clean(text).text), source=tool, nonce=f"{at:016x}")
