"""An execution is claimed before it begins, and its end is written down: so that it happens at most once.

    (nothing) → started → done(result)
                       → failed          it did not happen: it may be claimed again
                       → in doubt        it may have happened: only a person, or whoever can look, decides

Whoever starts has a lease. When that ends without a word, the execution is in doubt; a word that comes late still
counts, because only its owner has the fence. Exactly once is not to be had: between an effect and the word of it there
is always a moment in which a process can die.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from langgraph_guard.policies.approval.actions import hashed
from langgraph_guard.policies.approval.chain import Head, head_of, linked
from langgraph_guard.policies.approval.commands import Approval, Look
from langgraph_guard.policies.approval.desk import deed_key, head_key, look

State = Literal["started", "done", "failed", "in_doubt"]

RETENTION: Final = 30 * 86_400.0
"""Seconds for which an execution that ended is remembered. One that is in doubt is remembered until it is not."""


class EffectKey(NamedTuple):
    """Which execution it is: a tool call in a thread, and the digest of what it does."""

    tenant: str
    thread: str
    call_id: str
    digest: str

    @property
    def idempotency_key(self) -> str:
        """What to give a service that takes one: the same for every attempt at this execution."""
        return hashed("effect", *self)[:32]


class Execution(NamedTuple):
    """What is known of one. `result` is text; `ends_at`: the end of the lease, in seconds since 1970, or when its owner
    said before that it is in doubt."""

    state: State
    owner: str
    fence: int
    at: float
    ends_at: float
    result: str = ""
    approval: str = ""


class Doubt(NamedTuple):
    """An execution that is in doubt, and which it is."""

    key: EffectKey
    execution: Execution

    @property
    def place(self) -> str:
        """Where it stands among a tenant's, as text that is in their order: by the instant since when it is."""
        return place(self.key, self.execution)


# Commands


@dataclass(frozen=True, slots=True)
class Claim:
    """Begin an execution, unless it was begun. `owner`: the attempt's own id; the same one again has the same claim.

    `approval`: the id of the request that covers it. One that was refused, is open, or is of another call or action
    stands in the way; that there is none does so where one is `required`.
    """

    key: EffectKey
    owner: str
    lease: float = 300.0
    approval: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """It happened, and this is what it came to."""

    key: EffectKey
    fence: int
    result: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended with an error. `happened`: it may have had its effect all the same."""

    key: EffectKey
    fence: int
    happened: bool


@dataclass(frozen=True, slots=True)
class Extend:
    """It is still under way: its lease ends `lease` seconds from now, or later. The reply: whether it is ours."""

    key: EffectKey
    fence: int
    lease: float = 300.0


@dataclass(frozen=True, slots=True)
class Resolve:
    """Somebody looked: an execution in doubt happened, with this `result`, or (`None`) it did not. `reason`: how they
    know; it stands in the record of it."""

    key: EffectKey
    by: str
    result: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LookUp:
    """What is known of an execution."""

    key: EffectKey


@dataclass(frozen=True, slots=True)
class Doubts:
    """A tenant's executions that are in doubt, found so or not, those first that are so for longest. In pages: `after`
    is the `place` of the last one of the page before, whatever has become of that."""

    tenant: str
    after: str = ""
    count: int = 100


OutboxCommand: TypeAlias = Claim | Done | Failed | Extend | Resolve | LookUp | Doubts

# Replies


@dataclass(frozen=True, slots=True)
class Claimed:
    """It is yours to do, and `fence` is what its end is told with."""

    fence: int


@dataclass(frozen=True, slots=True)
class Unapproved:
    """What stands in the way is a request, or (`None`) that there is none."""

    approval: Approval | None


OutboxReply: TypeAlias = Claimed | Execution | Unapproved | bool | tuple[Doubt, ...] | None
"""To `Claim` one of the first three: an `Execution` is what stands in the way. To `Resolve`, `LookUp` what is known, to
`Doubts` the page."""

# Rules

Rows: TypeAlias = Callable[[Any], Any]
Writes: TypeAlias = dict[Any, Any]


def effect_key(key: EffectKey) -> tuple[str, EffectKey]:
    return ("effect", key)


def claim(rows: Rows, command: Claim, now: float) -> tuple[Claimed | Execution | Unapproved, Writes]:
    known = _as_of(rows(effect_key(command.key)), now)
    if known is None or known.state == "failed":
        if (unapproved := _unapproved(rows, command, now)) is not None:
            return unapproved, {}
    elif known.state == "started" and known.owner == command.owner:
        return Claimed(known.fence), {}
    if known is not None and known.state != "failed":
        return known, _kept(rows, command.key, known, now)
    fence = known.fence + 1 if known else 1
    begun = Execution("started", command.owner, fence, now, now + command.lease, approval=command.approval)
    return Claimed(fence), {effect_key(command.key): begun, **_chained(rows, command.key, begun, now, "started")}


def _unapproved(rows: Rows, command: Claim, now: float) -> Unapproved | None:
    approval: Approval | None = None
    if command.approval:
        ((approval,), _) = look(rows, Look(command.key.tenant, (command.approval,)), now)
    if approval is None:
        return Unapproved(None) if command.required else None
    asked = (approval.thread, approval.call_id, approval.digest)
    return None if approval.may_run and asked == command.key[1:] else Unapproved(approval)


def done(rows: Rows, command: Done, now: float) -> tuple[bool, Writes]:
    return _ended(rows, command.key, command.fence, now, "done", command.result)


def failed(rows: Rows, command: Failed, now: float) -> tuple[bool, Writes]:
    return _ended(rows, command.key, command.fence, now, "in_doubt" if command.happened else "failed")


def extend(rows: Rows, command: Extend, now: float) -> tuple[bool, Writes]:
    known = _as_of(rows(effect_key(command.key)), now)
    if known is None or known.state != "started" or known.fence != command.fence:
        return False, {}
    return True, {effect_key(command.key): known._replace(ends_at=max(known.ends_at, now + command.lease))}


def resolve(rows: Rows, command: Resolve, now: float) -> tuple[Execution | None, Writes]:
    known = _as_of(rows(effect_key(command.key)), now)
    if known is None or known.state != "in_doubt":
        return known, {}
    state: State = "failed" if command.result is None else "done"
    after = known._replace(state=state, at=now, result=command.result or "")
    return after, {
        effect_key(command.key): after,
        **_chained(rows, command.key, after, now, f"resolved_{state}", (command.by, command.reason)),
    }


def look_up(rows: Rows, command: LookUp, now: float) -> tuple[Execution | None, Writes]:
    return _as_of(rows(effect_key(command.key)), now), {}


RULES: Final[Mapping[type, Callable[[Rows, Any, float], tuple[Any, Writes]]]] = {
    Claim: claim,
    Done: done,
    Failed: failed,
    Extend: extend,
    Resolve: resolve,
    LookUp: look_up,
}
"""What reads single rows. `Doubts` reads what a store has in an order of its own."""


def place(key: EffectKey, execution: Execution) -> str:
    """The place of an execution that has not ended among a tenant's."""
    return f"{execution.ends_at:026.9f} {key.idempotency_key}"


def doubt(key: EffectKey, known: Execution | None, now: float) -> Doubt | None:
    """The execution, if it is in doubt by now."""
    known = _as_of(known, now)
    return Doubt(key, known) if known is not None and known.state == "in_doubt" else None


def _as_of(known: Execution | None, now: float) -> Execution | None:
    """The execution as time alone has made it."""
    if known is not None and known.state == "started" and known.ends_at <= now:
        return known._replace(state="in_doubt")
    return known


def _ended(rows: Rows, key: EffectKey, fence: int, now: float, state: State, result: str = "") -> tuple[bool, Writes]:
    """Its owner's word counts also when it comes late; once somebody else has decided, it does not. That it happened
    counts until it is claimed again: whoever said that it did not was wrong, and it must not happen twice."""
    known = _as_of(rows(effect_key(key)), now)
    if known is None or known.fence != fence:
        return False, {}
    if known.state == state == "in_doubt":
        return True, _kept(rows, key, known, now)
    if known.state == "done" or (known.state == "failed" and state != "done"):
        return known.state == state and known.result == result, {}
    ends_at = min(known.ends_at, now) if state == "in_doubt" else known.ends_at
    after = known._replace(state=state, at=now, result=result, ends_at=ends_at)
    return True, {effect_key(key): after, **_chained(rows, key, after, now, state)}


def _kept(rows: Rows, key: EffectKey, known: Execution, now: float) -> Writes:
    """That its lease has ended is written down by who finds it."""
    if rows(effect_key(key)) == known:
        return {}
    return {effect_key(key): known, **_chained(rows, key, known, now, "in_doubt")}


def _chained(
    rows: Rows, key: EffectKey, after: Execution, now: float, kind: str, resolved: tuple[str, str] | None = None
) -> Writes:
    """`resolved`: by whom, and how they know."""
    head: Head = rows(head_key(key.tenant)) or Head()
    by, detail = resolved or (after.owner, after.approval)
    deed = linked(head, int(now * 1_000), kind, key.idempotency_key, by, key.digest, detail)
    return {deed_key(key.tenant, deed.number): deed, head_key(key.tenant): head_of(deed)}
