"""The same commands to a desk in memory and to one on a server: every reply, every deed and every hash are the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

import pytest

from langgraph_guard._redis import RedisLink
from langgraph_guard.backends.memory import MemoryBackend
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.chain import verify
from langgraph_guard.policies.approval.commands import (
    ANONYMOUS,
    Decide,
    Look,
    Pending,
    Request,
    Sweep,
    Trail,
    Withdraw,
)
from langgraph_guard.policies.approval.rules import DECISIONS, EFFECTS, Requirement
from langgraph_guard.policies.outbox import Claim, Done, Doubts, EffectKey, Extend, Failed, LookUp, Resolve
from langgraph_guard.testing import FakeClock
from tests.backends.redis.desks import office
from tests.servers.redis import RedisServer

TENANTS: Final = ("acme", "", "b:{x}")
THREADS: Final = ("t1", "", "t 2\0é")
IDS: Final = ("a", "a\0", "a\0b", "ab", "a:b {c}*", "é\u202e😀", "", "x" * 200)
CALLS: Final = ("c1", "c2")
PEOPLE: Final = ("ann", "bob", "zoë\n", ANONYMOUS, "", "agent")
ROLES: Final = ("boss", "3:boss", 'q"\\\u0001')
ACTIONS: Final = (Action("pay", {"amount": 5}), Action("pay", {"amount": 50_000, "to": "é"}))
STEPS: Final = (0.0, 0.0, 0.0, 0.25, 1e-3 / 3, 7.1)
LONG_STEPS: Final = (60.0, 3_600.0, 86_400.0, 31 * 86_400.0)

HISTORIES: Final = 40
COMMANDS: Final = 120


class Author:
    """Writes commands by chance, on few things, so that they meet."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.tenant = self._one(TENANTS)

    def step(self) -> float:
        return self._one(STEPS if self._dice.random() < 0.95 else LONG_STEPS)

    def for_the_desk(self) -> Any:
        kind = self._one((self._request, self._request, self._decide, self._decide, self._decide, self._read))
        return kind()

    def for_the_outbox(self) -> Any:
        key = EffectKey(self.tenant, self._one(THREADS[:2]), self._one(CALLS), self._one(ACTIONS).digest)
        fence, lease = self._one((0, 1, 1, 1, 2, 3)), self._one((1, 5.5, 60.0, 1e-3 / 7))
        claim = Claim(key, self._one("vw"), lease, self._one(("", *IDS[:2])), self._maybe())
        result = self._one(("", "paid", "ü\0" * 50))
        return self._one(
            (
                claim,
                claim,
                claim,
                Done(key, fence, result),
                Failed(key, fence, self._maybe()),
                Extend(key, fence, lease),
                Resolve(key, self._one(PEOPLE[:2]), self._one((None, result)), "looked"),
                LookUp(key),
                Doubts(self.tenant, count=self._one((1, 2, 100))),
            )
        )

    def _request(self) -> Request:
        action = self._one((*ACTIONS, ACTIONS[0]))
        needed = Requirement(
            self._one((DECISIONS, self._some(DECISIONS) or DECISIONS)),
            self._one((1, 1, 2, 3)),
            self._one(((), (), (), self._some(PEOPLE))),
            self._one(((), (), (), self._some(ROLES))),
            self._one((None, 5, 60.5, 86_400.0)),
            self._dice.random() < 0.2,
            self._one(("", "look twice: é\n")),
        )
        return Request(
            self._one((*IDS, *IDS[:2] * 4)) or "a",
            self.tenant,
            self._one(THREADS[:2] * 3 + THREADS[2:]),
            self._one(("", "sub|graph")),
            self._one(CALLS),
            action.tool,
            action.text,
            action.digest,
            self._one((*EFFECTS, "require", "require", "require")),
            self._one(("", "money")),
            self._one((None, needed, needed)),
            self._one(("", "agent")),
        )

    def _decide(self) -> Decide:
        seen, new = self._one((*ACTIONS, ACTIONS[0])), self._one(ACTIONS)
        edit = self._one(((new.text, new.digest),) * 8 + (("", ""), (new.text, seen.digest)))
        return Decide(
            self.tenant,
            self._one(IDS[:2]),
            self._one((*PEOPLE, *PEOPLE[:3])),
            self._one((*DECISIONS, "approve", "edit")),
            seen.digest,
            self._some(ROLES),
            self._one(("", "why not: ü")),
            *edit,
            self._one(("", "", "s1", "s2")),
        )

    def _read(self) -> Any:
        return self._one(
            (
                Look(self.tenant, tuple(self._some(IDS))),
                Pending(self.tenant, self._one((None, *THREADS)), self._one(("", *IDS)), self._one((1, 2, 500))),
                Pending(self.tenant),
                Sweep(self.tenant),
                Withdraw(self.tenant, self._one(IDS[:2])),
                Trail(self.tenant, self._dice.randint(0, 30), self._one((1, 5, 1_000))),
            )
        )

    def _one(self, things: Any) -> Any:
        return self._dice.choice(things)

    def _some(self, things: Any) -> Any:
        return tuple(each for each in things if self._maybe())

    def _maybe(self) -> bool:
        return self._dice.random() < 0.5


@pytest.fixture(scope="module")
def link(redis_server: RedisServer) -> Iterator[RedisLink]:
    """A process's connections."""
    link = RedisLink.from_url(redis_server.url, deadline=60)
    yield link
    link.close()


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_every_history_is_answered_as_in_memory(link: RedisLink, seed: int) -> None:
    """A graph that was tried on one backend does the same on the other, to the last bit of every instant."""
    author, clock = Author(seed), FakeClock()
    twins = MemoryBackend(clock=clock), office(link, clock)
    for _ in range(COMMANDS):
        clock.advance(author.step())
        if author._maybe():
            command = author.for_the_desk()
            (expected,), (found,) = (each.desk.execute([command]) for each in twins)
        else:
            command = author.for_the_outbox()
            (expected,), (found,) = (each.outbox.execute([command]) for each in twins)
        assert (command, found) == (command, expected)
    (expected,), (found,) = (each.desk.execute([Trail(author.tenant, count=10_000)]) for each in twins)
    assert found == expected
    assert verify(found.deeds, found.head) is None  # type: ignore[union-attr]


def test_an_edit_that_changes_nothing_is_told_the_same(link: RedisLink) -> None:
    """The sentence that chance seldom comes upon."""
    clock, action = FakeClock(), ACTIONS[0]
    needed = Requirement(("edit", "reject"))
    commands = [
        Request("a", "", "", "", "", "pay", action.text, action.digest, "require", "", needed),
        Decide("", "a", "ann", "edit", action.digest, args=action.text, new_digest=action.digest),
    ]
    told = [each.desk.execute(commands) for each in (MemoryBackend(clock=clock), office(link, clock))]
    assert told[0] == told[1]
