"""How right counts are: of texts of every kind, of prompts whose counts were published, and in conversations.

What is true of a text says tiktoken, which reads it in one piece; of a published prompt, the API. A conversation's
provider is played here: it reports what tiktoken says, and 1,800 tokens that nobody else can see. The peer is
LangChain's `count_tokens_approximately`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from statistics import median
from typing import Final, NamedTuple, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from rich.console import RenderableType
from rich.table import Table

from benchmarks.measure import Row
from benchmarks.texts import texts
from benchmarks.vocabulary import NoVocabulary, encodings, finding
from langgraph_guard.tokens.counter import TokenCounter, TokenEstimate
from tests.tokens.published import CALLS, CONVERSATIONS, TOOLS, Known

Prompts: TypeAlias = list[Known]
Counter: TypeAlias = Callable[[Prompts], list[int]]

MODEL: Final = "gpt-4o"
REPLY, MESSAGE = 3, 4
"""Tokens of the chat format."""

HIDDEN: Final = 1_800
"""Tokens of the system prompt and the tools that a conversation's provider reports and nobody sees."""

TURNS: Final = 40
TALKS: Final = {
    "English": ("English, chat", "English, manual"),
    "code and JSON": ("Python", "JSON records"),
    "Chinese": ("Chinese, interface", "Chinese, prose"),
    "CSV and UUIDs": ("CSV", "UUIDs"),
    "of everything": tuple(texts()),
}
"""Conversations, and the kinds of text that their messages take turns with."""


def rows(rounds: int = 1) -> Iterator[Row]:
    try:
        found = measured()
    except NoVocabulary as why:
        yield Row.skipped("accuracy", str(why))
        return
    for group, kinds in found.items():
        theirs = median_error(kinds, "approximately")
        for how, goal in GOALS[group].items():
            ours = median_error(kinds, how)
            claim = f"accuracy: median error of {group} {how}, against approximately"
            yield Row(claim, f"{ours:.2%}", f"{theirs:.1%}", ours / theirs, f"≤ {goal:.0%}", ours <= goal)


def every_kind() -> RenderableType:
    """What the counters are off by, in all prompts of a kind together, and the medians over all prompts of a group.

    Held: what a reservation without a vocabulary has of the truth, in the prompt where that is least. (Not in the first
    one of a conversation: what it hides, nobody can hold.)
    """
    try:
        found = measured()
    except NoVocabulary as why:
        return str(why)
    columns = ("kind", "truth", *(f"ours, {how}" for how in OURS), "approximately", "held without")
    shown = Table(*columns, title="Errors of token counts")
    for kinds in found.values():
        shown.add_section()
        for kind, one in kinds.items():
            shown.add_row(
                kind, f"{sum(one.truth):,}", *(f"{error:+.1%}" for error in one.of_all()), f"{one.covered:.2f}×"
            )
    shown.add_section()
    for group, kinds in found.items():
        shown.add_row(f"median error of {group}", "", *(f"{median_error(kinds, how):.2%}" for how in COUNTERS))
    return shown


class Measured(NamedTuple):
    """What is true of some prompts, what each counter says, and what is held without a vocabulary."""

    truth: list[int]
    counts: dict[str, list[int]]
    held: list[int]
    unseen: int
    """So many prompts, from the first, have tokens that nobody sees."""

    @property
    def covered(self) -> float:
        """The least that is held of the truth."""
        shares = [held / true for held, true in zip(self.held, self.truth, strict=True)]
        return min(shares[self.unseen :])

    def of_all(self) -> Iterator[float]:
        """What each counter is off by in all of the prompts together."""
        for counts in self.counts.values():
            yield sum(counts) / sum(self.truth) - 1

    def errors(self, how: str) -> Iterator[float]:
        for true, count in zip(self.truth, self.counts[how], strict=True):
            yield abs(count / true - 1)


@cache
def measured() -> dict[str, dict[str, Measured]]:
    """By group and kind."""
    return {
        group: {kind: measure(prompts, unseen=int(group == REPORTED)) for kind, prompts in make()}
        for group, make in GROUPS.items()
    }


def measure(prompts: Prompts, unseen: int) -> Measured:
    counts = {how: count(prompts) for how, count in COUNTERS.items()}
    with finding({}):
        held = [found.reserve for found in estimates(prompts)]
    return Measured([prompt.tokens for prompt in prompts], counts, held, unseen)


def median_error(kinds: dict[str, Measured], how: str) -> float:
    """Over all prompts."""
    return median(error for one in kinds.values() for error in one.errors(how))


def with_a_vocabulary(prompts: Prompts) -> list[int]:
    with finding(encodings()):
        return [found.total for found in estimates(prompts)]


def without(prompts: Prompts) -> list[int]:
    with finding({}):
        return [found.total for found in estimates(prompts)]


def estimates(prompts: Prompts) -> list[TokenEstimate]:
    """One after the other, as the prompts of one conversation."""
    counter = TokenCounter()
    return [counter.estimate(known.messages, known.tools, known.model) for known in prompts]


def approximately(prompts: Prompts) -> list[int]:
    return [count_tokens_approximately(known.messages, tools=list(known.tools) or None) for known in prompts]


OURS: Final[dict[str, Counter]] = {"with a vocabulary": with_a_vocabulary, "without": without}
COUNTERS: Final[dict[str, Counter]] = {**OURS, "approximately": approximately}


def of_texts() -> Iterator[tuple[str, Prompts]]:
    for kind, text in texts().items():
        yield kind, [Known(true(text) + MESSAGE + REPLY, [HumanMessage(text)], model=MODEL)]


def published() -> Iterator[tuple[str, Prompts]]:
    yield "published: messages", CONVERSATIONS
    yield "published: calls of functions", CALLS
    yield "published: tools", TOOLS


def conversations() -> Iterator[tuple[str, Prompts]]:
    for name, kinds in TALKS.items():
        yield f"conversation: {name}", list(conversation(kinds))


def conversation(kinds: tuple[str, ...]) -> Iterator[Known]:
    """The prompt of each call: what was said, the provider's reports, and a new question."""
    talk: list[BaseMessage] = []
    read = HIDDEN + REPLY
    for turn in range(TURNS):
        asked, answered = (part(kinds[at % len(kinds)], at) for at in (2 * turn, 2 * turn + 1))
        talk = [*talk, HumanMessage(asked, id=f"h{turn}")]
        read += true(asked) + MESSAGE
        yield Known(read, talk, model=MODEL)
        wrote = true(answered)
        usage = {"input_tokens": read, "output_tokens": wrote, "total_tokens": read + wrote}
        talk = [*talk, AIMessage(answered, id=f"a{turn}", usage_metadata=usage)]
        read += wrote + MESSAGE


def part(kind: str, at: int, size: int = 500) -> str:
    text = texts()[kind]
    start = at * 97 % (len(text) - size)
    return text[start : start + size]


def true(text: str) -> int:
    return len(encodings()["o200k_base"].encode(text, disallowed_special=()))


TEXTS, PUBLISHED, REPORTED = "texts", "published prompts", "conversations"
GROUPS: Final = {TEXTS: of_texts, PUBLISHED: published, REPORTED: conversations}
GOALS: Final[dict[str, dict[str, float]]] = {
    TEXTS: {"with a vocabulary": 0.01, "without": 0.10},
    PUBLISHED: {"with a vocabulary": 0.01, "without": 0.10},
    REPORTED: {"with a vocabulary": 0.01, "without": 0.01},  # there the reports are what is right
}
