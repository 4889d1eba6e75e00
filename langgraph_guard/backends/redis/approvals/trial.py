"""A request and an execution on scratch keys: whether this server's Lua says what the rules say, hashes included."""

from __future__ import annotations

from typing import Any, Final

from langgraph_guard.backends.redis.approvals import wire
from langgraph_guard.backends.redis.approvals.keys import Keyspace
from langgraph_guard.policies import outbox
from langgraph_guard.policies.approval import desk
from langgraph_guard.policies.approval.commands import Decide, Request, Trail
from langgraph_guard.policies.approval.desk import head_key
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Done, EffectKey, Extend

NOW: Final = 1_767_225_600.25
EFFECT: Final = EffectKey("", "thread", "call", "digest")
REQUEST: Final = Request(
    "check", "", "thread", "", "call", "tool", "{}", "digest", "require", "", Requirement(ttl=60.0), "who asked"
)
DECIDE: Final = Decide("", "check", "who decides", "approve", "digest")
CLAIM: Final = Claim(EFFECT, "owner", 60.0, "check", True)
EXTEND: Final = Extend(EFFECT, 1, 90.0)
DONE: Final = Done(EFFECT, 1, "result")


def life(keys: Keyspace) -> list[tuple[Any, ...]]:
    """It is asked for, approved, begun and done."""
    now = repr(NOW)
    return [
        wire.request(keys, now, REQUEST),
        wire.decide(keys, now, DECIDE),
        wire.claim(keys, now, CLAIM),
        wire.extend(keys, now, EXTEND),
        wire.finish(keys, now, DONE),
        wire.trail(keys, Trail("")),
    ]


def is_as_expected(found: list[Any]) -> bool:
    """Whether these are the rules' own answers."""
    asked, decided, claimed, extended, ended, trail = found
    told = [wire.approval(asked), wire.decided(decided), wire.claimed(claimed), extended == 1, ended == 1]
    rows: dict[Any, Any] = {}
    expected = []
    for command in (REQUEST, DECIDE, CLAIM, EXTEND, DONE):
        reply, writes = {**desk.RULES, **outbox.RULES}[type(command)](rows.get, command, NOW)
        rows |= writes
        expected.append(reply)
    return told == expected and wire.part_of_trail(trail).head == rows[head_key("")]


def keys_of(keys: Keyspace) -> list[str]:
    """All that the trial may leave."""
    return [keys.head, keys.deeds, keys.open, keys.begun, keys.approval(REQUEST.id), keys.execution(EFFECT)]
