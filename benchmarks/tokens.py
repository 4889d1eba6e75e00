"""What counting costs at every step of a long conversation, and how right it is.

The peers: counting the whole conversation with tiktoken at each step, and LangChain's `count_tokens_approximately`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately

from benchmarks.measure import Row, no_garbage_collection
from langgraph_guard.tokens import loading
from langgraph_guard.tokens.counter import TokenCounter
from langgraph_guard.tokens.encodings import O200K
from langgraph_guard.tokens.guess import guess_gauge
from tests.tokens.corpora import corpora
from tests.vocabulary import vocabulary_folder

MESSAGES = 1_000
EVERY = 25
"""Of the peers' steps, which grow evenly, so many are one measured."""

MODEL = "gpt-4o"

Count = Callable[[list[BaseMessage]], object]


def rows(rounds: int = 5) -> Iterator[Row]:
    with vocabulary():
        yield from speed(MESSAGES if rounds > 1 else 2 * EVERY, rounds)
        yield from accuracy()


@contextmanager
def vocabulary() -> Iterator[None]:
    """The genuine one, whatever this machine has, for as long as it is measured."""
    before = dict(loading._loaded)
    loading._loaded[O200K.name] = loading.build(O200K, (vocabulary_folder() / O200K.file.name).read_bytes())
    try:
        yield
    finally:
        loading._loaded.clear()
        loading._loaded.update(before)


def speed(messages: int, rounds: int) -> Iterator[Row]:
    talk = conversation(messages)
    ours = min(_ours(talk) for _ in range(rounds))
    for peer, name, goal in (
        (recount, "a recount with tiktoken", 200),
        (count_tokens_approximately, "approximately", 0),
    ):
        theirs = seconds(peer, talk, every=EVERY)
        ratio = theirs / ours
        claim = f"tokens: {messages:,} messages counted at each step, against {name}"
        shown = (f"{ours:.3f} s", f"{theirs:.2f} s")
        yield Row(claim, *shown, ratio, f"≥ {goal}×" if goal else "–", ratio >= goal if goal else None)


def accuracy() -> Iterator[Row]:
    encoding = loading.find_encoding(O200K.name)
    assert encoding is not None
    guessed, approximate = [], []
    for text in corpora().values():
        true = len(encoding.encode(text, disallowed_special=()))
        guessed.append(abs(guess_gauge().count(text).tokens / true - 1))
        approximate.append(abs(count_tokens_approximately([HumanMessage(text)]) / true - 1))
    ours, theirs = median(guessed), median(approximate)
    claim = "tokens: median error without a vocabulary, against approximately"
    yield Row(claim, f"{ours:.1%}", f"{theirs:.1%}", ours / theirs, "≤ 10 %", ours <= 0.10)


def _ours(talk: list[BaseMessage]) -> float:
    counter = TokenCounter(MODEL)
    return seconds(counter.estimate, talk, every=1)


def seconds(count: Count, talk: list[BaseMessage], *, every: int) -> float:
    """CPU time of counting the conversation at each step, from the steps that were taken."""
    steps = [talk[:length] for length in range(every, len(talk) + 1, every)]
    with no_garbage_collection():
        began = time.process_time()
        for step in steps:
            count(step)
        return (time.process_time() - began) * every


def recount(messages: list[BaseMessage]) -> int:
    encoding = loading.find_encoding(O200K.name)
    assert encoding is not None
    total = 3
    for message in messages:
        total += 4 + len(encoding.encode(str(message.content), disallowed_special=()))
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            total += len(encoding.encode(call["name"] + json.dumps(call["args"]), disallowed_special=()))
    return total


def conversation(length: int) -> list[BaseMessage]:
    """Questions, searches, what they found, answers: no usage, so that everything is counted."""
    texts = corpora(4_000)
    kinds = [texts[name] for name in ("json", "log", "code", "html")]
    talk: list[BaseMessage] = []
    for turn in range(length // 4):
        found = kinds[turn % len(kinds)]
        call: Any = {"name": "search", "args": {"query": f"invoice {turn}", "limit": 5}, "id": f"call-{turn}"}
        talk += [
            HumanMessage(f"{turn}: {texts['chat'][:300]}", id=f"h{turn}"),
            AIMessage("", tool_calls=[call], id=f"c{turn}"),
            ToolMessage(f"{turn}: {found}", name="search", tool_call_id=call["id"], id=f"t{turn}"),
            AIMessage(f"{turn}: {texts['english'][:600]}", id=f"a{turn}"),
        ]
    return talk
