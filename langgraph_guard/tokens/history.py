"""The running total of a conversation: a step counts what is new, and only compares the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.messages.utils import MessageLikeRepresentation

from langgraph_guard.tokens.fingerprint import fingerprint, joined
from langgraph_guard.tokens.tally import NOTHING, Tally
from langgraph_guard.tokens.unchanged import NOBODY, Snapshot

START: Final = b""
"""The chain of no messages at all."""


@dataclass(frozen=True, slots=True)
class History:
    """`sums[n]` and `chain[n]` are of the first n messages: their tokens, and what they say in sixteen bytes. `reports`
    are the places of AI messages that carry usage. Never changed, only continued."""

    seen: Snapshot = NOBODY
    sums: list[Tally] = field(default_factory=lambda: [NOTHING])
    chain: list[bytes] = field(default_factory=lambda: [START])
    reports: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.chain) - 1

    @property
    def total(self) -> Tally:
        return self.sums[-1]

    def begins(self, other: History) -> bool:
        """Whether `other` goes on where this ends."""
        return len(self) < len(other) and other.chain[len(self)] == self.chain[-1]

    def continued(
        self, messages: Sequence[MessageLikeRepresentation], weigh: Callable[[bytes, BaseMessage], Tally]
    ) -> History:
        """The history of `messages`, of which the common beginning is neither counted nor looked at again."""
        keep = self.seen.unchanged(messages)
        if keep == len(self) == len(messages):
            return self
        sums, chain = self.sums[: keep + 1], self.chain[: keep + 1]
        reports = self.reports if keep == len(self) else [at for at in self.reports if at < keep]
        if keep == len(messages):
            return History(NOBODY, sums, chain, reports)  # A beginning of this one: nobody goes on from here.
        new = as_messages(messages[keep:])
        for message in new:
            said = fingerprint(message)
            sums.append(sums[-1].plus(weigh(said, message)))
            chain.append(joined(chain[-1], said))
        answers = ((at, message) for at, message in enumerate(new, keep) if isinstance(message, AIMessage))
        reports = [*reports, *(at for at, message in answers if message.usage_metadata)]
        return History(self.seen.extended(messages, keep, new), sums, chain, reports)


def as_messages(given: Sequence[MessageLikeRepresentation]) -> list[BaseMessage]:
    """Pairs, dictionaries and strings become messages here as they do at a model."""
    if all(isinstance(message, BaseMessage) for message in given):
        return cast(list[BaseMessage], list(given))
    return convert_to_messages(given)
