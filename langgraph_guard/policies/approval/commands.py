"""What can be said to an approval desk, and what it answers. `policies/approval/desk.py` has the rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from langgraph_guard.policies.approval.actions import hashed
from langgraph_guard.policies.approval.chain import Deed, Head
from langgraph_guard.policies.approval.rules import DecisionType, Effect, Requirement

State = Literal["allowed", "denied", "pending", "approved", "rejected", "responded", "expired", "withdrawn"]

CLOSED: Final = frozenset({"allowed", "denied", "approved", "rejected", "responded", "expired", "withdrawn"})

RETENTION: Final = 30 * 86_400.0
"""Seconds for which a request that is closed is remembered, so that a late resume finds how it ended."""

SYSTEM: Final = ""
"""Who it is that no person is."""

ANONYMOUS: Final = "anonymous"
"""Somebody whom nobody named. Enough where a rule asks for anybody, once."""

MOST_ANSWERS: Final = 1_000
"""To one request. Whoever asks for more is a loop."""


class Vote(NamedTuple):
    """One reviewer's word on the action with this digest."""

    by: str
    at: float
    digest: str


class Approval(NamedTuple):
    """A request and what became of it. Builtins all the way down, so that a store can keep it.

    `args` is the action's exact text and `digest` its own; after an edit, the edited one's, and `first_digest` is what
    was asked. Instants are seconds since 1970. `decided_by`: everybody whose word counted. `heard`: the words that came
    from a source, as `Decide.heard_as` names them; after a `!` those that did not count.
    """

    id: str
    tenant: str
    thread: str
    ns: str
    call_id: str
    tool: str
    args: str
    digest: str
    first_digest: str
    reason: str
    requirement: tuple[Any, ...] | None
    requested_by: str
    at: float
    expires_at: float | None
    state: State
    votes: tuple[Vote, ...] = ()
    decided_by: tuple[str, ...] = ()
    decided_at: float | None = None
    message: str = ""
    heard: tuple[str, ...] = ()

    @property
    def needed(self) -> Requirement:
        """Whose word it needs."""
        return Requirement(*self.requirement) if self.requirement else Requirement()

    @property
    def is_open(self) -> bool:
        return self.state == "pending"

    @property
    def edited(self) -> bool:
        return self.digest != self.first_digest

    @property
    def may_run(self) -> bool:
        """Whether the action with this digest, and no other, may be executed."""
        return self.state in ("allowed", "approved")


# Commands


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for an approval, or lay down that none is needed, or none given. Idempotent by `id`: what stands, stands."""

    id: str
    tenant: str
    thread: str
    ns: str
    call_id: str
    tool: str
    args: str
    digest: str
    effect: Effect
    reason: str = ""
    requirement: Requirement | None = None
    requested_by: str = ""


@dataclass(frozen=True, slots=True)
class Decide:
    """Somebody's word on a request: on the action with `digest`, which they saw. An edit brings the text of other
    arguments, and their digest.

    `source` names the answer that it was in. A node that runs again hears all answers again, and by then somebody else
    may be running it: the same word from the same source is not heard again, whoever brings it.
    """

    tenant: str
    id: str
    by: str
    type: DecisionType
    digest: str
    roles: tuple[str, ...] = ()
    message: str = ""
    args: str = ""
    new_digest: str = ""
    source: str = ""

    @property
    def heard_as(self) -> str:
        """What the desk remembers of a word from a source; empty without one. Two people who answer one question at
        once have one source, and what they say differs."""
        return self.source and hashed("heard", self.source, self.type, self.new_digest, self.message)[:32]


@dataclass(frozen=True, slots=True)
class Look:
    """Requests by id, in order; `None` for those that nobody knows."""

    tenant: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Its run went on without it: what is open or agreed to is neither any more, so that nothing can run by it. What
    was refused, or ran out of time, stays as it is. Whoever says that a call did not run says this first."""

    tenant: str
    id: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A tenant's open requests, across threads, oldest first, of one moment by id. In pages: `after` is the last id of
    the page before, whatever has become of it. One whose time is over is not open, swept or not."""

    tenant: str
    thread: str | None = None
    after: str = ""
    count: int = 500


@dataclass(frozen=True, slots=True)
class Sweep:
    """Close a tenant's requests whose time is over. The reply is how many."""

    tenant: str


@dataclass(frozen=True, slots=True)
class Trail:
    """A tenant's deeds after number `after`, oldest first, and where the chain ends."""

    tenant: str
    after: int = 0
    count: int = 1_000


DeskCommand: TypeAlias = Request | Decide | Look | Withdraw | Pending | Sweep | Trail

# Replies


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision came to. `won`: it is the one that counts, or counts towards it, or was said before in the same
    words. Otherwise `problem` says why not, and `approval` who was first."""

    approval: Approval
    won: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A part of the chain, where all of it ends, and what the part comes `after`: the beginning may be forgotten.
    `verify(deeds, head, after)` checks it where it reaches the end."""

    deeds: tuple[Deed, ...]
    head: Head
    after: Head = Head()  # noqa: RUF009 - a value


def told(deeds: Iterable[Deed], head: Head) -> Told:
    """A part of the chain with what it comes after."""
    part = tuple(deeds)
    return Told(part, head, Head(part[0].number - 1, part[0].before) if part else head)


DeskReply: TypeAlias = Approval | Decided | tuple[Approval | None, ...] | Told | int | None
