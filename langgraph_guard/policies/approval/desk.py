"""The rules of an approval desk: asked once, decided once, by whom it may be.

Each rule is a function of the rows it reads; it returns its reply and the rows to write. A backend runs it inside one
atomic step: under a lock, in a transaction, or written again as a server-side script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from langgraph_guard.policies.approval.actions import digest_of
from langgraph_guard.policies.approval.chain import Head, head_of, linked
from langgraph_guard.policies.approval.commands import (
    ANONYMOUS,
    MOST_ANSWERS,
    SYSTEM,
    Approval,
    Decide,
    Decided,
    Look,
    Request,
    State,
    Vote,
    Withdraw,
)
from langgraph_guard.policies.approval.rules import DecisionType, Effect, Requirement

# Rows

Rows: TypeAlias = Callable[[Any], Any]
Writes: TypeAlias = dict[Any, Any]


def approval_key(tenant: str, id: str) -> tuple[str, str, str]:
    return ("approval", tenant, id)


def head_key(tenant: str) -> tuple[str, str]:
    return ("head", tenant)


def deed_key(tenant: str, number: int) -> tuple[str, str, int]:
    return ("deed", tenant, number)


# Rules


def request(rows: Rows, command: Request, now: float) -> tuple[Approval, Writes]:
    key = approval_key(command.tenant, command.id)
    known: Approval | None = rows(key)
    if known is not None:
        return _as_of(rows, known, now)
    needed = command.requirement
    approval = Approval(
        command.id,
        command.tenant,
        command.thread,
        command.ns,
        command.call_id,
        command.tool,
        command.args,
        command.digest,
        command.digest,
        command.reason,
        _as_row(needed) if needed else None,
        command.requested_by,
        now,
        now + needed.ttl if needed and needed.ttl else None,
        _FIRST[command.effect],
    )
    return approval, {key: approval, **_chained(rows, approval, now, _KINDS[approval.state], command.requested_by)}


def decide(rows: Rows, command: Decide, now: float) -> tuple[Decided | None, Writes]:
    """`None` for an id that nobody knows."""
    found: Approval | None = rows(approval_key(command.tenant, command.id))
    if found is None:
        return None, {}
    approval, writes = _as_of(rows, found, now)
    word = command.heard_as
    if word and word in approval.heard:
        return Decided(approval, True), writes
    if word and f"!{word}" in approval.heard:
        return Decided(approval, False, "it was said before, and did not count"), writes
    if not approval.is_open:
        return _late(approval, command), writes
    key = approval_key(command.tenant, command.id)
    if problem := _problem(approval, command):
        heard = _hearing(approval, word and f"!{word}")
        return Decided(heard, False, problem), {key: heard} if heard is not approval else {}
    heard = _hearing(approval, word)
    if _is_said(approval, command):
        return Decided(heard, True), {key: heard} if heard is not approval else {}
    after = _after(heard, command, now)
    kind = "voted" if after.is_open else _KINDS[after.state]
    return Decided(after, True), {key: after, **_chained(rows, after, now, kind, command.by, command.type)}


def look(rows: Rows, command: Look, now: float) -> tuple[tuple[Approval | None, ...], Writes]:
    found = (rows(approval_key(command.tenant, id)) for id in command.ids)
    return tuple(each and _as_of(rows, each, now)[0] for each in found), {}


def withdraw(rows: Rows, command: Withdraw, now: float) -> tuple[Approval | None, Writes]:
    """`None` for an id that nobody knows."""
    found: Approval | None = rows(approval_key(command.tenant, command.id))
    if found is None:
        return None, {}
    approval, writes = _as_of(rows, found, now)
    if not (approval.is_open or approval.may_run):
        return approval, writes
    after = approval._replace(state="withdrawn", decided_by=(), decided_at=now)
    key = approval_key(command.tenant, command.id)
    return after, {key: after, **_chained(rows, after, now, "withdrawn", SYSTEM)}


def waits(approval: Approval, now: float) -> bool:
    """Whether it is open: nobody has closed it, and neither has time."""
    return approval.is_open and (approval.expires_at is None or now < approval.expires_at)


def expire(rows: Rows, tenant: str, id: str, now: float) -> Writes:
    """Close one request whose time is over; nothing when it is closed, or its time runs."""
    found: Approval | None = rows(approval_key(tenant, id))
    return {} if found is None else _as_of(rows, found, now)[1]


RULES: Final[Mapping[type, Callable[[Rows, Any, float], tuple[Any, Writes]]]] = {
    Request: request,
    Decide: decide,
    Look: look,
    Withdraw: withdraw,
}
"""What reads single rows. `Pending`, `Sweep` and `Trail` read what a store has in an order of its own."""


# Parts

_FIRST: Final[Mapping[Effect, State]] = {"allow": "allowed", "deny": "denied", "require": "pending"}

_KINDS: Final[Mapping[State, str]] = {
    "allowed": "allowed",
    "denied": "denied",
    "pending": "requested",
    "approved": "approved",
    "rejected": "rejected",
    "responded": "responded",
    "expired": "expired",
    "withdrawn": "withdrawn",
}

_ENDS: Final[Mapping[DecisionType, State]] = {"reject": "rejected", "respond": "responded"}


def _as_row(needed: Requirement) -> tuple[Any, ...]:
    return (
        needed.allowed_decisions,
        needed.quorum,
        needed.reviewers,
        needed.roles,
        needed.ttl,
        needed.separation_of_duties,
        needed.description,
    )


def _as_of(rows: Rows, approval: Approval, now: float) -> tuple[Approval, Writes]:
    """The request as time alone has made it."""
    if not approval.is_open or waits(approval, now):
        return approval, {}
    after = approval._replace(state="expired", decided_at=now)
    return after, {
        approval_key(approval.tenant, approval.id): after,
        **_chained(rows, after, now, "expired", SYSTEM),
    }


def _problem(approval: Approval, command: Decide) -> str:
    """Why this word does not count; empty when it does."""
    needed = approval.needed
    named = bool(needed.reviewers or needed.roles)
    if not command.by:
        return "nobody says who decides"
    if command.by == ANONYMOUS and (named or needed.quorum > 1 or needed.separation_of_duties):
        return "it matters who decides, and nobody says who it was"
    if len(approval.heard) >= MOST_ANSWERS:
        return f"it was answered {MOST_ANSWERS} times"
    if named and command.by not in needed.reviewers and not set(needed.roles) & set(command.roles):
        return "this request is for other reviewers"
    if needed.separation_of_duties and (not approval.requested_by or command.by == approval.requested_by):
        return "whoever asked for it may not decide it"
    if command.type not in needed.allowed_decisions:
        return f"{command.type} is not among the decisions that are allowed"
    if command.digest != approval.digest and not _is_said(approval, command):
        return "the action is another than the one that was seen"
    if command.type == "edit" and not (command.args and command.new_digest):
        return "an edit brings the action that is to run instead"
    if command.type == "edit" and command.new_digest != digest_of(approval.tool, command.args):
        return "the digest of the edit is not of its arguments"
    if command.type == "edit" and command.new_digest == approval.digest and "approve" not in needed.allowed_decisions:
        return "an edit that changes nothing is an approval, which is not among the decisions that are allowed"
    return ""


def _is_said(approval: Approval, command: Decide) -> bool:
    """Whether it agrees again to what the same person agreed to, who did not hear the answer. An edit is agreed to by
    its editor."""
    digest = command.new_digest if command.type == "edit" else command.digest
    agrees = command.type not in _ENDS and digest == approval.digest
    return agrees and any(vote.by == command.by for vote in approval.votes)


def _hearing(approval: Approval, word: str) -> Approval:
    full = len(approval.heard) >= MOST_ANSWERS
    return approval if full or not word else approval._replace(heard=(*approval.heard, word))


def _late(approval: Approval, command: Decide) -> Decided:
    """A word on what is closed: it wins only if it was said before, by the same person, with the same meaning."""
    meant: State = _ENDS.get(command.type, "approved")
    digest = command.new_digest if command.type == "edit" else command.digest
    same = approval.state == meant and command.by in approval.decided_by and digest == approval.digest
    if same:
        return Decided(approval, True)
    if approval.state == "expired":
        return Decided(approval, False, "its time is over")
    if approval.state == "withdrawn":
        return Decided(approval, False, "it was withdrawn: its run went on without it")
    who = " and ".join(approval.decided_by) or "the rules"
    return Decided(approval, False, f"it was {approval.state} already, by {who}")


def _after(approval: Approval, command: Decide, now: float) -> Approval:
    if command.type in _ENDS:
        return approval._replace(
            state=_ENDS[command.type], decided_by=(command.by,), decided_at=now, message=command.message
        )
    if command.type == "edit" and command.new_digest != approval.digest:
        # What others agreed to is no longer what would run.
        approval = approval._replace(args=command.args, digest=command.new_digest, votes=())
    votes = (*approval.votes, Vote(command.by, now, approval.digest))
    if len(votes) < approval.needed.quorum:
        return approval._replace(votes=votes)
    return approval._replace(
        state="approved",
        votes=votes,
        decided_by=tuple(vote.by for vote in votes),
        decided_at=now,
        message=command.message,
    )


def _chained(rows: Rows, approval: Approval, now: float, kind: str, by: str, detail: str = "") -> Writes:
    head: Head = rows(head_key(approval.tenant)) or Head()
    deed = linked(head, int(now * 1_000), kind, approval.id, by, approval.digest, detail)
    return {deed_key(approval.tenant, deed.number): deed, head_key(approval.tenant): head_of(deed)}
