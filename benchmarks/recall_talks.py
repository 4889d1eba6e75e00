"""Long scripted conversations with facts planted in them, and how a reader finds them again.

A planted sentence ends with a code of its own, `(K-0042)`, and is found if it stands in a prompt word by word. Every
fifth turn plants one: a person says it, an answer says it, or a result of a tool has it among its lines.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

Shape = Literal["chat", "agent", "pages"]
"""Without tools; with a tool that returns 8 to 60 lines; with one that returns pages of 200."""

PLANTED_EVERY: Final = 5
GOAL: Final = "The goal is to move every kite of the river shop to the new warehouse before the fair on May 9 (K-0000)."

SENTENCE: Final = re.compile(r"[A-Z](?:[^.\n|<>]|\.(?=[a-z]))*\(K-\d{4}\)\.")
NOTE: Final = re.compile(r"(?:Question|Look-up|Answer) \d+ is about [^.\n|<>]*\.")

KINDS: Final = (
    "The {color} kite of shelf {n} was sold to {who} for {price} euros, to be paid in {month}",
    "We decided to pack the {color} kites of shelf {n} in boxes of {price}, as {who} carries them alone in {month}",
    "The list of the {color} kites of shelf {n} is in lists/{month}-{price}.csv, and {who} keeps it",
    "Still open is who repairs the {color} kite of shelf {n}, which {who} wants back in {month} for {price} euros",
)
COLORS: Final = ("red", "green", "blue", "white", "yellow", "striped")
PEOPLE: Final = ("Ada", "Grace", "Linus", "Edsger", "Barbara", "Ken")
MONTHS: Final = ("January", "February", "March", "April", "June", "July")
TOPICS: Final = (
    "the wind",
    "the tails",
    "the spare spools",
    "the labels",
    "the paint",
    "the river",
    "the opening hours",
)

SMALL_TALK: Final = (
    "Please look at it the way we did last time, and keep it short.",
    "I have a few minutes now, so tell me what you would do, and what it would take.",
    "It is not urgent, but I would like to have it off my desk today.",
    "You may use whatever the shop has on the shelves.",
    "If something is missing, say so at once, and do not guess.",
)
ANSWERS: Final = (
    "I looked at it, and as far as I can see everything is where it should be.",
    "Nothing has changed since yesterday, and nobody has asked for it in the meantime.",
    "I would leave it as it is, since any change now would cost more than it brings.",
    "The shop can do it with what it has, and it takes about an hour of one person's time.",
    "Tell me if you want it otherwise, and I shall go on from there.",
)
LINES: Final[dict[Shape, tuple[int, ...]]] = {"agent": (8, 20, 60), "pages": (200,)}


@dataclass
class Talk:
    """A conversation as it grows. `planted`: what was said so far that should be known later; the goal is not among
    it."""

    shape: Shape
    seed: int
    planted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.seed} {self.shape}")

    def opening(self) -> list[BaseMessage]:
        return [SystemMessage("You help the people of a kite shop.", id="system")]

    def question(self, turn: int) -> BaseMessage:
        said = [self._note("Question", turn), *self._some(SMALL_TALK, 2)]
        if turn == 1:
            said.append(GOAL)
        return HumanMessage(" ".join([*said, *self._fact(turn, "user")]), id=f"h{turn}")

    def rest(self, turn: int) -> Iterator[list[BaseMessage]]:
        """What follows a question, from one call of the model to the next."""
        if self.shape != "chat":
            call = {"name": "look_up", "args": {"shelf": turn, "fields": ["stock", "price"]}, "id": f"c{turn}"}
            result = ToolMessage(self._result(turn), name="look_up", tool_call_id=f"c{turn}", id=f"t{turn}")
            yield [AIMessage(self._note("Look-up", turn), tool_calls=[call], id=f"s{turn}"), result]
        said = [self._note("Answer", turn), *self._some(ANSWERS, 2), *self._fact(turn, "assistant")]
        yield [AIMessage(" ".join(said), id=f"a{turn}")]

    def _note(self, what: str, turn: int) -> str:
        one, other = self._some(TOPICS, 2)
        color, who = self._dice.choice(COLORS), self._dice.choice(PEOPLE)
        return f"{what} {turn} is about {one} and {other} of the {color} kites, which {who} looks after."

    def _some(self, of: Sequence[str], count: int) -> list[str]:
        return self._dice.sample(list(of), count)

    def _result(self, turn: int) -> str:
        """A table, and perhaps a fact among its lines."""
        rows = [
            f"shelf {turn} | place {at} | {self._dice.choice(COLORS)} | {self._dice.randrange(10**6)}"
            for at in range(self._dice.choice(LINES[self.shape]))
        ]
        rows[self._dice.randrange(len(rows)) : 0] = self._fact(turn, "tool")
        return "\n".join(rows)

    def _fact(self, turn: int, by: str) -> list[str]:
        """The sentence of this turn, if there is one and this is who says it: people twice, and in turn the others."""
        number, left = divmod(turn, PLANTED_EVERY)
        others = ("assistant", "assistant") if self.shape == "chat" else ("assistant", "tool")
        if left or by != ("user", others[0], "user", others[1])[number % 4]:
            return []
        dice = self._dice
        said = dice.choice(KINDS).format(
            color=dice.choice(COLORS),
            n=turn,
            who=dice.choice(PEOPLE),
            price=dice.randrange(10, 1_000),
            month=dice.choice(MONTHS),
        )
        self.planted.append(f"{said} (K-{turn:04}).")
        return self.planted[-1:]


def share(planted: Sequence[str], text: str) -> float:
    """How much of what was planted stands in a text."""
    return sum(each in text for each in planted) / len(planted) if planted else 1.0
