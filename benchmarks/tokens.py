"""What counting costs at every step of a long conversation.

The peers count the whole conversation at each step: with tiktoken, and with LangChain's `count_tokens_approximately`.
Whoever counts each message once cannot be more than `messages / 2` times cheaper than the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.utils import count_tokens_approximately

from benchmarks.measure import Batch, Row, Timing, interleaved, times
from benchmarks.texts import texts
from benchmarks.vocabulary import NoVocabulary, encodings, finding
from langgraph_guard.tokens.counter import TokenCounter

MESSAGES = 1_000
EVERY = 25
"""Of the peers' steps, which grow evenly, so many are one measured."""

GOAL = 200
MODEL = "gpt-4o"

Count = Callable[[list[BaseMessage]], object]


def rows(rounds: int = 5) -> Iterator[Row]:
    try:
        found = encodings()
    except NoVocabulary as why:
        yield Row.skipped("tokens", str(why))
        return
    messages = MESSAGES if rounds > 1 else 2 * EVERY
    with finding(found):
        yield from speed(searches(messages), "messages of a searching agent", rounds, GOAL)
        yield from speed(reported(searches(messages)), "of the same, with reports of usage,", rounds)
        yield from speed(chat(messages), "chat messages of 25 tokens", rounds)


def speed(talk: list[BaseMessage], what: str, rounds: int, goal: int | None = None) -> Iterator[Row]:
    for peer, name, least in (
        (recount, "a recount with tiktoken", goal),
        (count_tokens_approximately, "approximately", None),
    ):
        timing = compared(talk, peer, rounds)
        ratio = 1 / timing.ratio
        claim = f"tokens: {len(talk):,} {what} counted at each step, against {name}"
        shown = f"{timing.ours * 1e3:.0f} ms", f"{timing.peer:.2f} s"
        yield Row(claim, *shown, ratio, f"≥ {least}×" if least else "–", ratio >= least if least else None)


def compared(talk: list[BaseMessage], peer: Count, rounds: int) -> Timing:
    """CPU seconds of the conversation. Ours has a new counter each time, and counts at every step."""
    ours = follows(lambda: TokenCounter(MODEL).estimate, talk, every=1)
    theirs = follows(lambda: peer, talk, every=EVERY)
    timing = interleaved(ours, theirs, rounds=rounds, calls=1)
    return Timing(timing.ours, timing.peer * EVERY)


def follows(begin: Callable[[], Count], talk: list[BaseMessage], *, every: int) -> Batch:
    """Counts at the middle one of so many steps, which has the length that they have on average."""
    steps = [talk[:length] for length in range(every // 2 + 1, len(talk) + 1, every)]

    def conversation() -> None:
        count = begin()
        for step in steps:
            count(step)

    return times(conversation)


def recount(messages: list[BaseMessage]) -> int:
    """What one writes with tiktoken and the chat format: the same count, from the beginning each time."""
    return 3 + sum(map(_tokens, messages))


def _tokens(message: BaseMessage) -> int:
    if isinstance(message, ToolMessage):
        return 10 + _of(str(message.name)) + _of(str(message.content))
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    said = 4 + _of(str(message.content)) if message.content or not calls else 0
    return said + sum(11 + _of(call["name"]) + _of(json.dumps(call["args"])) for call in calls)


def _of(text: str) -> int:
    return len(encodings()["o200k_base"].encode(text, disallowed_special=()))


def searches(length: int) -> list[BaseMessage]:
    """Questions, searches, what they found, answers."""
    found = [texts()[kind][:4_000] for kind in ("JSON records", "log", "Python", "HTML")]
    asked, answered = texts()["English, chat"][:300], texts()["English, manual"][:600]
    talk: list[BaseMessage] = []
    for turn in range(length // 4):
        call: Any = {"name": "search", "args": {"query": f"invoice {turn}", "limit": 5}, "id": f"call-{turn}"}
        result = f"{turn}: {found[turn % len(found)]}"
        talk += [
            HumanMessage(f"{turn}: {asked}", id=f"h{turn}"),
            AIMessage("", tool_calls=[call], id=f"c{turn}"),
            ToolMessage(result, name="search", tool_call_id=call["id"], id=f"t{turn}"),
            AIMessage(f"{turn}: {answered}", id=f"a{turn}"),
        ]
    return talk


def chat(length: int) -> list[BaseMessage]:
    """Short questions, short answers: where counting is the least of the work."""
    asked, answered = texts()["English, chat"], texts()["English, manual"]
    return [
        HumanMessage(f"{at}: {asked[at : at + 90]}", id=f"h{at}")
        if at % 2 == 0
        else AIMessage(f"{at}: {answered[at : at + 110]}", id=f"a{at}")
        for at in range(length)
    ]


def reported(talk: list[BaseMessage]) -> list[BaseMessage]:
    """The same, and every answer says what was read, 1,800 tokens of tools and system prompt included."""
    read = 1_800
    for message in talk:
        size = _tokens(message)
        if isinstance(message, AIMessage):
            message.usage_metadata = UsageMetadata(
                input_tokens=read + 3, output_tokens=size, total_tokens=read + 3 + size
            )
        read += size
    return talk
