"""Concurrency: many threads and many tasks at one desk and one outbox, of whom one wins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.policies.approval.chain import verify
from langgraph_guard.policies.approval.commands import Look, Sweep, Trail
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Claimed, Done, Execution, LookUp, Resolve
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import (
    KEY,
    LEASE,
    TENANT,
    TTL,
    WAYS,
    Harness,
    Way,
    decide,
    request,
)
from langgraph_guard.testing.contracts.breakers.concurrency import in_threads

WORKERS: Final = 8


class Concurrency(Harness):
    """Two approvals at once run a payment twice, where a check and a claim are two steps."""

    @pytest.mark.parametrize("way", WAYS)
    def test_one_of_many_begins(self, way: Way) -> None:
        """The others find it under way, and whoever comes afterwards has its result."""
        for _ in range(self.trials):
            backend = self._asked("approve")
            claims = [Claim(KEY, f"w{worker}", LEASE, "a1", True) for worker in range(WORKERS)]
            replies = _race(backend.outbox, claims, way)
            assert replies.count(Claimed(1)) == 1
            assert all(isinstance(reply, Execution) for reply in replies if reply != Claimed(1))
            assert _do(backend, Done(KEY, 1, "paid"), Claim(KEY, "late"))[1].result == "paid"
            _check_trail(backend, "requested", "approved", "started", "done")

    @pytest.mark.parametrize("way", WAYS)
    def test_one_claim_that_is_sent_many_times_is_one(self, way: Way) -> None:
        """A retry may overtake the attempt that it replaces."""
        for _ in range(self.trials):
            backend = self._asked("approve")
            assert _race(backend.outbox, [Claim(KEY, "w")] * WORKERS, way) == [Claimed(1)] * WORKERS
            _check_trail(backend, "requested", "approved", "started")

    @pytest.mark.parametrize("way", WAYS)
    def test_of_approve_edit_and_reject_at_once_one_wins(self, way: Way) -> None:
        """All are told the same end, and each loser whose it was."""
        kinds = ("approve", "reject", "edit", "approve", "reject", "edit", "approve", "reject")
        for _ in range(self.trials):
            backend = self._asked()
            replies = _race(backend.desk, [decide(f"r{at}", kind) for at, kind in enumerate(kinds)], way)
            (winner,) = [at for at, reply in enumerate(replies) if reply.won]
            (approval,) = {reply.approval for reply in replies}
            assert approval.decided_by == (f"r{winner}",)
            assert approval.state == ("rejected" if kinds[winner] == "reject" else "approved")
            assert approval.edited == (kinds[winner] == "edit")
            problem = f"it was {approval.state} already, by r{winner}"
            assert [reply.problem for reply in replies] == ["" if reply.won else problem for reply in replies]

    @pytest.mark.parametrize("way", WAYS)
    def test_a_quorum_is_complete_once(self, way: Way) -> None:
        """Of eight who approve at once three are named; every vote is a deed, the last of them the approval."""
        for _ in range(self.trials):
            backend = self._asked(needed=Requirement(quorum=3))
            replies = _race(backend.desk, [decide(f"r{at}") for at in range(WORKERS)], way)
            won = {f"r{at}" for at, reply in enumerate(replies) if reply.won}
            ((approval,),) = backend.desk.execute([Look(TENANT, ("a1",))])  # type: ignore[misc]
            assert approval is not None
            assert (set(approval.decided_by), len(won)) == (won, 3)
            _check_trail(backend, "requested", "voted", "voted", "approved")

    def test_a_claim_beside_a_rejection_is_consistent_with_it(self) -> None:
        """What was rejected did not begin, and what began was not rejected."""
        for trial in range(self.trials):
            backend = self._asked()
            word = decide("ann", "approve" if trial % 2 else "reject")
            claims = [Claim(KEY, f"w{worker}", LEASE, "a1", True) for worker in range(2)]
            calls: list[tuple[Any, Any]] = [(backend.desk, word), *((backend.outbox, claim) for claim in claims)]
            replies = in_threads(lambda at: calls[at][0].execute([calls[at][1]])[0], len(calls))  # noqa: B023 - run now
            begun = sum(reply == Claimed(1) for reply in replies[1:])
            assert begun <= (word.type == "approve")
            assert (_do(backend, LookUp(KEY))[0] is not None) == bool(begun)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_doubt_is_resolved_once(self, way: Way) -> None:
        """Whoever looks at once is told what the first said, and the owner's late word does not change it."""
        for _ in range(self.trials):
            clock = FakeClock()
            backend = self.make_backend(clock, TENANT)
            _do(backend, Claim(KEY, "w", LEASE))
            clock.advance(LEASE)
            words = [Resolve(KEY, f"r{at}", f"paid {at}") for at in range(WORKERS - 1)]
            replies = _race(backend.outbox, [*words, Done(KEY, 1, "told")], way)
            (known,) = set(replies[:-1])
            assert _do(backend, LookUp(KEY)) == [known]
            assert replies[-1] == (known.result == "told")

    def test_many_who_sweep_close_each_request_once(self) -> None:
        """What they say they closed is what there was, and the chain is one."""
        for _ in range(max(1, self.trials // 5)):
            clock = FakeClock()
            backend = self.make_backend(clock, TENANT)
            backend.desk.execute([request(f"a{at}", requirement=Requirement(ttl=TTL)) for at in range(20)])
            clock.advance(TTL)
            replies: Any = in_threads(lambda _: backend.desk.execute([Sweep(TENANT)])[0], 4)  # noqa: B023 - run now
            assert sum(replies) == 20
            _check_trail(backend, *["requested"] * 20, *["expired"] * 20)

    def test_deeds_of_many_are_one_chain(self) -> None:
        """Nobody's deed is lost, and none is written over."""
        for _ in range(max(1, self.trials // 5)):
            backend = self.make_backend(FakeClock(), TENANT)

            def work(worker: int) -> None:
                for call in range(3):
                    key = KEY._replace(call_id=f"{worker} {call}")
                    backend.desk.execute([request(f"{worker} {call}", "allow")])  # noqa: B023 - run now
                    backend.outbox.execute([Claim(key, "w"), Done(key, 1, "")])  # noqa: B023 - run now

            in_threads(work, WORKERS)
            (told,) = backend.desk.execute([Trail(TENANT)])
            assert verify(told.deeds, told.head) is None  # type: ignore[union-attr]
            assert len({deed.subject for deed in told.deeds}) == 2 * 3 * WORKERS  # type: ignore[union-attr]
            assert len(told.deeds) == 3 * 3 * WORKERS  # type: ignore[union-attr]

    def _asked(self, kind: str = "", needed: Requirement | None = None) -> ApprovalBackend:
        """A store where somebody asked, and somebody may have answered."""
        backend = self.make_backend(FakeClock(), TENANT)
        asked = request(requirement=needed or Requirement())
        backend.desk.execute([asked, decide(kind=kind)] if kind else [asked])
        return backend


def _race(place: Any, commands: Sequence[Any], way: Way) -> list[Any]:
    """The replies to commands that are sent at once, each by a thread or a task of its own."""
    if way == "execute":
        return in_threads(lambda at: place.execute([commands[at]])[0], len(commands))

    async def send(command: Any) -> Any:
        await asyncio.sleep(0)
        return (await place.aexecute([command]))[0]

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*map(send, commands))

    return asyncio.run(all_at_once())


def _do(backend: ApprovalBackend, *commands: Any) -> list[Any]:
    return list(backend.outbox.execute(commands))


def _check_trail(backend: ApprovalBackend, *kinds: str) -> None:
    told: Any = backend.desk.execute([Trail(TENANT)])[0]
    assert verify(told.deeds, told.head) is None
    assert [deed.kind for deed in told.deeds] == list(kinds)
