"""Commands as the scripts' arguments, and what they answer as replies."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, Final

from langgraph_guard._redis.errors import STORE
from langgraph_guard.backends.redis.approvals import scripts
from langgraph_guard.backends.redis.approvals.keys import (
    APPROVAL,
    EXECUTION,
    VERSION,
    Keyspace,
    Place,
    to_text,
    unframed,
)
from langgraph_guard.errors import StoreRefused
from langgraph_guard.policies.approval.chain import Deed, Head
from langgraph_guard.policies.approval.commands import (
    Approval,
    Decide,
    Decided,
    Request,
    Told,
    Trail,
    Vote,
    Withdraw,
    told,
)
from langgraph_guard.policies.approval.rules import Effect, Requirement
from langgraph_guard.policies.outbox import (
    Claim,
    Claimed,
    Done,
    Execution,
    Extend,
    Failed,
    OutboxReply,
    Resolve,
    Unapproved,
)

Call = tuple[Any, ...]

_FIRST: Final[dict[Effect, str]] = {"allow": "allowed", "deny": "denied", "require": "pending"}

_NO_REQUIREMENT: Final = to_text(astuple(Requirement()))
"""What holds where nobody said anything else."""


# The desk


def request(keys: Keyspace, now: str, command: Request) -> Call:
    needed = command.requirement
    asked = (
        command.id,
        command.tenant,
        command.thread,
        command.ns,
        command.call_id,
        command.tool,
        command.args,
        command.digest,
        command.reason,
        to_text(astuple(needed)) if needed else "",
        command.requested_by,
    )
    ttl = repr(float(needed.ttl)) if needed and needed.ttl else ""
    places = (keys.approval(command.id), keys.open, keys.head, keys.deeds)
    return (scripts.REQUEST, len(places), *places, now, _FIRST[command.effect], ttl, *asked)


def decide(keys: Keyspace, now: str, command: Decide, fits: bool = False) -> Call:
    """`fits`: of an edit, whether its digest is of its arguments."""
    said = (command.by, command.type, command.digest, command.message, command.args, command.new_digest)
    places = (keys.approval(command.id), keys.open, keys.head, keys.deeds)
    rest = (command.heard_as, _NO_REQUIREMENT, int(fits), *command.roles)
    return (scripts.DECIDE, len(places), *places, now, *said, *rest)


def withdraw(keys: Keyspace, now: str, command: Withdraw) -> Call:
    places = (keys.approval(command.id), keys.open, keys.head, keys.deeds)
    return (scripts.WITHDRAW, len(places), *places, now)


def sweep(keys: Keyspace, now: str, places: Sequence[Place]) -> Call:
    approvals = [keys.approval(each.id) for each in places]
    members = [each.member for each in places]
    return (
        scripts.SWEEP,
        3 + len(places),
        keys.open,
        keys.head,
        keys.deeds,
        *approvals,
        now,
        secrets.token_hex(4),
        *members,
    )


def trail(keys: Keyspace, command: Trail) -> Call:
    return (scripts.TRAIL, 2, keys.head, keys.deeds, command.after, command.count)


def decided(reply: Any) -> Decided | None:
    if reply is None:
        return None
    with _as_written("decide"):
        won, problem, values = reply
        found = approval(values)
        assert found
        return Decided(found, bool(won), problem.decode())


def part_of_trail(reply: Any) -> Told:
    with _as_written("trail"):
        number, digest, deeds = reply
        return told([_deed(each) for each in deeds], Head(int(number), digest.decode()))


def _deed(text: bytes) -> Deed:
    _, number, at_ms, *rest = unframed(text)
    return Deed(int(number), int(at_ms), *rest)


def approval(values: Sequence[bytes | None]) -> Approval | None:
    """A request, from the values of its fields; `None` when there is none."""
    with _as_written("request"):
        return None if values[0] is None else _approval(_fields(APPROVAL, values))


def _approval(fields: dict[str, bytes]) -> Approval:
    texts: dict[str, Any] = {name: value.decode() for name, value in fields.items()}
    texts["requirement"] = _requirement(texts["requirement"])
    texts["at"] = float(texts["at"])
    for name in ("expires_at", "decided_at"):
        texts[name] = float(texts[name]) if texts[name] else None
    for name in ("decided_by", "heard"):
        texts[name] = tuple(unframed(fields[name]))
    words = iter(unframed(fields["votes"]))
    texts["votes"] = tuple(Vote(by, float(at), digest) for by, at, digest in zip(words, words, words, strict=True))
    return Approval(**texts)


def _requirement(text: str) -> tuple[Any, ...] | None:
    told = json.loads(text) if text else None
    return told and tuple(tuple(each) if isinstance(each, list) else each for each in told)


# The outbox


def claim(keys: Keyspace, now: str, command: Claim) -> Call:
    key = command.key
    places = [keys.execution(key), keys.head, keys.deeds, keys.begun]
    if command.approval:
        places.append(keys.approval(command.approval))
    asked = (command.owner, repr(float(command.lease)), command.approval, int(command.required))
    deed = (key.idempotency_key, key.digest)
    return (scripts.CLAIM, len(places), *places, now, *deed, *asked, key.thread, key.call_id)


def finish(keys: Keyspace, now: str, command: Done | Failed) -> Call:
    key, state, result = command.key, "done", ""
    if isinstance(command, Done):
        result = command.result
    else:
        state = "in_doubt" if command.happened else "failed"
    places = (keys.execution(key), keys.head, keys.deeds, keys.begun)
    return (scripts.FINISH, len(places), *places, now, key.idempotency_key, key.digest, command.fence, state, result)


def extend(keys: Keyspace, now: str, command: Extend) -> Call:
    places = (keys.execution(command.key), keys.begun)
    return (scripts.EXTEND, len(places), *places, now, command.fence, repr(float(command.lease)))


def resolve(keys: Keyspace, now: str, command: Resolve) -> Call:
    key = command.key
    places = (keys.execution(key), keys.head, keys.deeds, keys.begun)
    state = "failed" if command.result is None else "done"
    told = (key.idempotency_key, key.digest, command.by, state, command.result or "", command.reason)
    return (scripts.RESOLVE, len(places), *places, now, *told)


def claimed(reply: Any) -> OutboxReply:
    with _as_written("claim"):
        match reply:
            case [b"claimed", fence]:
                return Claimed(int(fence))
            case [b"unapproved"]:
                return Unapproved(None)
            case [b"unapproved", values]:
                return Unapproved(approval(values))
            case [b"execution", values]:
                return execution(values)
        raise ValueError


def execution(values: Sequence[bytes | None] | None) -> Execution | None:
    """An execution, from the values of its fields; `None` when there is none."""
    if values is None or values[0] is None:
        return None
    with _as_written("execution"):
        fields = _fields(EXECUTION, values)
        texts: dict[str, Any] = {name: value.decode() for name, value in fields.items()}
        numbers = {"fence": int(texts["fence"]), "at": float(texts["at"]), "ends_at": float(texts["ends_at"])}
        return Execution(**texts | numbers)


# Both


def words(values: Sequence[bytes]) -> list[str]:
    with _as_written("read"):
        return [each.decode() for each in values]


def _fields(names: Sequence[str], values: Sequence[bytes | None]) -> dict[str, bytes]:
    """What is kept, by its fields' names, of this version."""
    if values[0] != VERSION:
        raise StoreRefused(STORE, "read", "what is kept there has a format that this release does not know")
    return {name: value or b"" for name, value in zip(names[1:], values[1:], strict=True)}


@contextmanager
def _as_written(operation: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise StoreRefused(STORE, operation, "what is kept there is not what was written") from error
