"""Faults: whatever is sent twice, and in whatever order people and workers act, there is one effect at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations, product
from typing import Any, Final, Literal, TypeAlias

import pytest

from langgraph_guard.policies.approval.commands import Decided
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claimed, EffectKey, Execution
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import (
    KEY,
    LEASE,
    LESS,
    TENANT,
    Harness,
    Office,
    driven,
)

Step: TypeAlias = Callable[[Office], Any]
Fault: TypeAlias = Literal["lost request", "lost answer", "crash"]

EDITED: Final = KEY._replace(digest=LESS.digest)

STORY: Final[list[Step]] = [
    lambda office: office.ask(Requirement(quorum=2, reviewers=("ann", "bob"))),
    lambda office: office.decide("ann"),
    lambda office: office.decide("cem"),
    lambda office: office.decide("bob", "edit", source="q1"),
    lambda office: office.claim(key=EDITED, approval="a1", required=True),
    lambda office: office.decide("ann", digest=LESS.digest),
    lambda office: office.decide("bob", "reject", digest=LESS.digest),
    lambda office: office.claim(key=EDITED, approval="a1", required=True),
    lambda office: office.extend(2 * LEASE, key=EDITED),
    lambda office: office.failed(True, key=EDITED),
    lambda office: office.resolve(None, key=EDITED),
    lambda office: office.claim("w2", EDITED, approval="a1", required=True),
    lambda office: office.failed(False, 2, EDITED),
    lambda office: office.claim("w3", EDITED, approval="a1", required=True),
    lambda office: office.done("paid", 3, EDITED),
    lambda office: office.claim("w4", EDITED, approval="a1", required=True),
]
"""A request and its execution, with all that can be said of them."""

EXTENDS: Final = 8
"""Which of them extends a lease: what is extended later ends later."""

# Two workers who claim and then end, and one who only claims: whose turn it is, in all 30 orders.
ORDERS: Final = sorted(set(permutations("aabbc")))
# Where one fault strikes: at which of a worker's two steps, or nowhere.
STRIKES: Final[list[tuple[str, int, Fault] | None]] = [
    None,
    *product("ab", (0, 1), ("lost request", "lost answer", "crash")),  # type: ignore[list-item]
]
WORDS: Final = ("approve", "reject", "edit")


class Faults(Harness):
    """A lost request, a lost answer, a dead worker."""

    @pytest.mark.parametrize("at", range(len(STORY)))
    def test_what_is_sent_again_has_the_same_reply_and_no_other_effect(self, at: int) -> None:
        """Each step of a story once more, a moment later, as a caller does who heard no answer."""
        with driven(self.make_backend(FakeClock(), TENANT), "execute") as office:
            told = [step(office) for step in STORY]
            expected = (told, office.approval(), office.execution(EDITED), office.deeds())
        clock = FakeClock()
        with driven(self.make_backend(clock, TENANT), "execute") as office:
            told = [step(office) for step in STORY[: at + 1]]
            moment = 0 if at == EXTENDS else 1
            clock.advance(moment)
            again = STORY[at](office)
            clock.set(clock.now() - moment)
            told += [step(office) for step in STORY[at + 1 :]]
            assert again == told[at]
            assert (told, office.approval(), office.execution(EDITED), office.deeds()) == expected

    @pytest.mark.parametrize("strike", STRIKES, ids=lambda s: "-".join(map(str, s)) if s else "no fault")
    def test_no_order_and_no_fault_makes_two_effects(self, strike: tuple[str, int, Fault] | None) -> None:
        """At each step of every order of three workers; and whoever crashed in between leaves a doubt, not a repeat."""
        clock = FakeClock()
        with driven(self.make_backend(clock, TENANT), "execute") as office:
            for number, order in enumerate(ORDERS):
                key = EffectKey(TENANT, "t", f"{number}", "d")
                effects, acknowledged = _work(office, order, strike, key)
                clock.advance(LEASE)
                assert len(effects) == 1
                known = office.claim("later", key)
                assert isinstance(known, Execution)
                assert (known.state, known.result) == (("done", effects[0]) if acknowledged else ("in_doubt", ""))

    @pytest.mark.parametrize("words", list(product(WORDS, WORDS)), ids="-".join)
    def test_every_order_of_two_reviewers_and_a_worker_is_consistent(self, words: tuple[str, str]) -> None:
        """It runs if the first word allows it and comes before the worker, and only then; the second never counts."""
        with driven(self.make_backend(FakeClock(), TENANT), "execute") as office:
            for number, order in enumerate(sorted(set(permutations("abww")))):
                id, first = f"a{number}", min("ab", key=order.index)
                office.ask(id=id, thread=id)
                won, ran = _decide_and_work(office, order, words, id)
                assert won == first
                word = words["ab".index(first)]
                wanted = {"approve": "5", "edit": "4"}.get(word) if "w" in order[order.index(first) :] else None
                # The worker tries twice, and each time does what it finds approved.
                assert ran == ([wanted] if wanted else [])


def _work(
    office: Office, order: tuple[str, ...], strike: tuple[str, int, Fault] | None, key: EffectKey
) -> tuple[list[str], bool]:
    """Let the workers act: the effects there were, and whether the outbox was told."""
    step = dict.fromkeys("abc", 0)
    fences: dict[str, int] = {}
    gone: set[str] = set()
    effects: list[str] = []
    told = False
    for worker in order:
        fault: Fault | None = strike[2] if strike and strike[:2] == (worker, step[worker]) else None
        step[worker] += 1
        if fault == "crash":
            gone.add(worker)  # before it could send
        if worker in gone:
            continue
        times = 2 if fault == "lost answer" else 1  # a lost request is sent again and arrives once
        if step[worker] == 1:
            replies = [office.claim(worker, key) for _ in range(times)]
            assert replies[0] == replies[-1]
            if isinstance(replies[0], Claimed):
                fences[worker] = replies[0].fence
                effects.append(worker)
        elif worker in fences:
            assert all(office.done(worker, fences[worker], key) for _ in range(times))
            told = True
    return effects, told


def _decide_and_work(office: Office, order: tuple[str, ...], words: tuple[str, str], id: str) -> tuple[str, list[str]]:
    """Whose word counted, and what ran."""
    won, ran = [], []
    for who in order:
        if who == "w":
            ran += list(_tries(office, id))
        else:
            told: Decided = office.decide(who, words["ab".index(who)], id=id)
            won += [who] if told.won else []
    (winner,) = won
    return winner, ran


def _tries(office: Office, id: str) -> Iterator[str]:
    """What a worker executes: what was asked, or what it was edited to."""
    for amount, key in (("5", KEY._replace(thread=id)), ("4", EDITED._replace(thread=id))):
        reply = office.claim(f"{id} {amount}", key, approval=id, required=True)
        if isinstance(reply, Claimed) and office.stands(key) == "started" and office.done(amount, reply.fence, key):
            yield amount
